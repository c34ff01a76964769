"""Pictures of what a network gets."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    DetectionAugmentation,
    DetectionDataset,
    DetectionSource,
    RegressionDataset,
    RegressionSource,
    load_classification_dataset,
)
from cspdarknet.data.doctor.show import evaluation_pictures, training_pictures
from cspdarknet.visualize import class_color
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend

BOX = (40, 20, 80, 60)


@pytest.fixture
def cells(tmp_path):
    """A wide gray image with a box, and an ignored one."""
    path = tmp_path / "cell.png"
    Image.new("RGB", (160, 80), (100, 100, 100)).save(path)
    boxes = np.array([BOX, (0, 0, 10, 10)], "float32")
    labels, ignored = np.array([0, 0], "int32"), np.array([False, True])
    return DetectionDataset(("cell",), (path,), (boxes,), (labels,), (ignored,))


def has_outline(image, box):
    """Whether the sides of a box, and not the pixels beside it, have the color of the class."""
    left, top, right, bottom = box
    x, y = (left + right) // 2, (top + bottom) // 2
    sides = [(left, y), (right - 1, y), (x, bottom - 1), (x, top)]
    beside = [(left - 1, y), (right, y)]
    color = class_color(0)
    return all(image.getpixel(p) == color for p in sides) and all(
        image.getpixel(p) != color for p in beside
    )


def test_images_are_letterboxed_with_their_boxes(cells):
    (picture,) = evaluation_pictures(cells, 80, count=4)
    assert (picture.caption, picture.name) == ("1 box, 1 ignored", "cell.png")
    assert picture.image.size == (80, 80)
    assert picture.image.getpixel((40, 70)) == (114, 114, 114)
    assert has_outline(picture.image, (20, 10, 40, 30))  # half the size


def test_a_rectangle_of_four_channels(cells, tmp_path):
    path = tmp_path / "cell.npy"
    np.save(path, np.full((80, 160, 4), [100 * 257, 50 * 257, 0, 65535], "uint16"))
    dataset = dataclasses.replace(cells, paths=(path,))
    (picture,) = evaluation_pictures(dataset, (80, 120), count=1, channels=4)
    assert picture.image.size == (120, 80)
    assert has_outline(picture.image, (30, 15, 60, 45))  # three quarters of the size
    assert picture.image.getpixel((100, 10)) == (100, 50, 0)
    assert picture.image.getpixel((100, 70)) == (114, 114, 114)
    (picture,) = evaluation_pictures(dataset, (80, 120), count=1)
    assert "`--channels 4`" in picture.caption
    assert picture.image.size == (120, 80)


def test_images_are_cropped_and_chosen_by_the_seed(tmp_path):
    dataset = load_classification_dataset(write_class_folders(tmp_path)).train
    first = list(evaluation_pictures(dataset, 32, count=5))
    assert [picture.image.size for picture in first] == [(32, 32)] * 5
    captions = [picture.caption for picture in first]
    assert captions == sorted(captions)
    assert captions != [p.caption for p in evaluation_pictures(dataset, 32, count=5, seed=1)]


def test_an_image_that_has_become_unreadable(cells):
    cells.paths[0].write_text("not an image")
    (picture,) = evaluation_pictures(cells, 80, count=1)
    assert picture.caption == "not an image."


def test_training_batches_of_a_detector(cells):
    pytest.importorskip("grain")
    plain = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
    source = DetectionSource(cells, plain, batch_size=2)
    pictures = training_pictures(source, 160, count=3)
    assert [picture.caption for picture in pictures] == ["1 box"] * 3
    assert has_outline(pictures[0].image, BOX)


def test_training_batches_of_other_channels(cells, tmp_path):
    pytest.importorskip("grain")
    path = tmp_path / "cell.npy"
    np.save(path, np.full((80, 160), 200, "uint8"))
    dataset = dataclasses.replace(cells, paths=(path,))
    plain = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
    source = DetectionSource(dataset, plain, batch_size=1, channels=1)
    (picture,) = training_pictures(source, (80, 160), count=1)
    assert picture.image.getpixel((150, 70)) == (200, 200, 200)
    assert has_outline(picture.image, BOX)


def test_training_batches_of_a_classifier(tmp_path):
    pytest.importorskip("grain")
    dataset = load_classification_dataset(write_class_folders(tmp_path)).train
    source = ClassificationSource(dataset, ClassificationAugmentation(mix=1.0), batch_size=8)
    captions = [picture.caption for picture in training_pictures(source, 32, count=8)]
    assert any("%" in caption for caption in captions)
    plain = ClassificationSource(dataset, ClassificationAugmentation(mix=0), batch_size=4)
    pictures = training_pictures(plain, 32, count=6)
    assert {picture.caption for picture in pictures} <= set(dataset.class_names)
    assert pictures[5].image.size == (32, 32)


def test_numbers_are_captions(cells):
    numbers = RegressionDataset(("age", "weight"), cells.paths, np.array([[3.5, 1000]]))
    (picture,) = evaluation_pictures(numbers, 32, 1)
    assert (picture.image.size, picture.caption) == ((32, 32), "age 3.5, weight 1000")
    source = RegressionSource(numbers, ClassificationAugmentation(), batch_size=1)
    (picture,) = training_pictures(source, 24, 1)
    assert (picture.image.size, picture.caption) == ((24, 24), "age 3.5, weight 1000")
