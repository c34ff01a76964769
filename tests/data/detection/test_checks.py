"""Checks of the boxes and images of a dataset for detection."""

import numpy as np
import pytest
from PIL import Image

from annotation_files import HEIGHT, WIDTH, write_image
from cspdarknet.data.annotations import AnnotatedImage
from cspdarknet.data.detection.checks import check_annotations
from cspdarknet.data.repeated import drop_repeated

pytestmark = pytest.mark.one_backend

GOOD = (1, 2, 30, 40)


def image_with(path, *boxes, name="cell", **kwargs):
    return AnnotatedImage(path, list(boxes), [name] * len(boxes), [False] * len(boxes), **kwargs)


@pytest.mark.parametrize(
    ("box", "what", "fixed"),
    [
        ((-30, 6, 40, 36), "extends beyond the image", (0, 6, 40, 36)),
        ((100, 6, 140, 36), "is outside the image", None),
        ((40, 6, 40, 36), "has no area", None),
        ((40, 36, 8, 6), "has no area", None),
        (
            (0.1, 0.2, 0.5, 0.9),
            "is in the first pixel: are its coordinates fractions of the image?",
            None,
        ),
        (GOOD, "is given more than once", None),
        ((float("nan"), 6, 40, 36), "has coordinates that are not finite numbers", None),
    ],
)
def test_boxes_that_are_wrong_are_clipped_or_left_out(tmp_path, box, what, fixed):
    path = write_image(tmp_path / "a.jpg")
    images = [image_with(path), image_with(path, GOOD, box)]
    dataset, (problem,) = check_annotations(images, ["cell"])
    np.testing.assert_array_equal(dataset.boxes[1], [GOOD] + ([fixed] if fixed else []))
    assert problem.where == "box 2"
    assert dataset.labels[1].tolist() == [0] * len(dataset.boxes[1])
    assert dataset.ignored[1].tolist() == [False] * len(dataset.boxes[1])
    assert (problem.path, problem.reason.split(") ")[1]) == (path, what)
    assert len(dataset.boxes[0]) == 0


def test_boxes_of_unknown_classes_are_left_out(tmp_path):
    image = image_with(write_image(tmp_path / "a.jpg"), GOOD, name="egg")
    dataset, (problem,) = check_annotations([image], ["cell", "worm"])
    assert len(dataset.boxes[0]) == 0
    assert problem.reason == "the box (1, 2, 30, 40) is of the unknown class 'egg'"
    dataset, problems = check_annotations([image], ["cell", "egg"])
    assert (dataset.labels[0].tolist(), problems) == ([1], [])


def test_coordinates_may_be_rounded(tmp_path):
    image = image_with(write_image(tmp_path / "a.jpg"), (-1, 0.5, 81, 60.9))
    dataset, problems = check_annotations([image], ["cell"])
    assert problems == []
    np.testing.assert_array_equal(dataset.boxes[0], [[0, 0.5, WIDTH, HEIGHT]])


@pytest.mark.filterwarnings("error")
def test_fractions_of_the_image_beyond_all_bounds(tmp_path):
    boxes = [(-5e307, -5e307, 1e308, 1e308), (0.25, 0.25, 0.75, 0.5)]
    image = image_with(write_image(tmp_path / "a.jpg"), *boxes, relative=True)
    dataset, (problem,) = check_annotations([image], ["cell"])
    assert "not finite numbers" in problem.reason
    np.testing.assert_array_equal(dataset.boxes[0], [[20, 15, 60, 30]])


def test_images_that_cannot_be_used_are_left_out(tmp_path):
    good, other_size = (write_image(tmp_path / f"{name}.jpg") for name in "ab")
    (tmp_path / "text.jpg").write_text("not an image")
    images = [
        image_with(tmp_path / "missing.jpg", GOOD),
        image_with(good, GOOD, size=(WIDTH, HEIGHT)),
        image_with(tmp_path / "text.jpg", GOOD),
        image_with(other_size, GOOD, size=(HEIGHT, WIDTH)),
    ]
    dataset, problems = check_annotations(images, ["cell"])
    assert dataset.paths == (good,)
    assert [problem.path.name for problem in problems] == ["missing.jpg", "text.jpg", "b.jpg"]
    missing, text, size = (problem.reason for problem in problems)
    assert missing == "there is no such image"
    assert text.startswith("it is not an image")
    assert "80 x 60 pixels, but its annotation states 60 x 80. Was it annotated without" in size


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_boxes_are_those_of_the_upright_image(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write_image(tmp_path / f"a.{suffix}", size=(HEIGHT, WIDTH), exif=exif)
    image = image_with(path, (0, 0, 0.5, 1), relative=True, size=(WIDTH, HEIGHT))
    dataset, problems = check_annotations([image], ["cell"])
    assert problems == []
    np.testing.assert_array_equal(dataset.boxes[0], [[0, 0, WIDTH / 2, HEIGHT]])


def test_the_first_annotation_of_an_image_is_kept(tmp_path):
    first, second = (write_image(tmp_path / f"{name}.jpg") for name in "ab")
    link = tmp_path / "link.jpg"
    link.symlink_to(first)
    splits = {
        "train": [image_with(first), image_with(second), image_with(second, GOOD)],
        "test": [image_with(link)],
    }
    kept, problems = drop_repeated(splits)
    assert kept == {"train": splits["train"][:2], "test": []}
    assert [problem.path for problem in problems] == [second, link]
    assert [problem.reason for problem in problems] == [
        "is annotated more than once",
        "is annotated more than once: for train, where it is kept, and for test",
    ]


def test_equal_boxes_of_two_classes_or_images_are_not_repeated(tmp_path):
    paths = [write_image(tmp_path / f"{name}.jpg") for name in "ab"]
    two = AnnotatedImage(paths[0], [GOOD, GOOD], ["cell", "worm"])
    dataset, problems = check_annotations([two, image_with(paths[1], GOOD)], ["cell", "worm"])
    assert (problems, dataset.counts.tolist()) == ([], [2, 1])


def test_pixels_in_place_of_fractions(tmp_path):
    image = image_with(write_image(tmp_path / "a.jpg"), (8, 6, 40, 36), relative=True)
    _, (problem,) = check_annotations([image], ["cell"])
    assert (problem.kind, "pixels in place of fractions" in problem.reason) == ("scaled box", True)
