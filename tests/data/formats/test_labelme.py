"""The reader of LabelMe."""

import pytest

from annotation_files import CONTENT, labelme, write_image, write_json, write_labelme
from cspdarknet.data import read_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import NAMED, RELATED
from cspdarknet.data.formats.labelme import LABELME

pytestmark = pytest.mark.one_backend


def read(folder):
    return LABELME.read(DatasetFiles(folder))


def read_shapes(folder, shapes):
    write_image(folder / "a.jpg")
    write_json(folder / "a.json", labelme("a") | {"shapes": shapes})
    return read(folder)


def shape(kind, points, label="cell"):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}}


def test_splits_in_folders(tmp_path):
    annotations = read(write_labelme(tmp_path, {"Train": ["a", "c"], "Valid": ["b"]}))
    a, c = annotations.splits["train"]
    assert a.path == tmp_path / "Train/a.jpg"
    assert a.boxes == [(8, 6, 40, 36), (0, 30, 20, 60)]
    assert (a.names, a.size) == (["cell", "worm"], (80, 60))
    assert (c.boxes, c.names) == ([], [])
    assert [image.path.stem for image in annotations.splits["validation"]] == ["b"]
    assert annotations.problems == []


def test_images_in_another_folder(tmp_path):
    for split, name in (("train", "a"), ("val", "a")):
        write_image(tmp_path / f"images/{split}/{name}.jpg")
        content = labelme(name) | {"imagePath": f"..\\..\\old\\{name}.JPG", "imageData": "aGVsbG8="}
        write_json(tmp_path / f"labels/{split}/{name}.json", content)
    splits = read(tmp_path).splits
    assert [image.path for image in splits["train"]] == [tmp_path / "images/train/a.jpg"]
    assert [image.path for image in splits["validation"]] == [tmp_path / "images/val/a.jpg"]


def test_an_image_that_was_renamed_with_its_file(tmp_path):
    write_image(tmp_path / "renamed.jpg")
    write_json(tmp_path / "renamed.json", labelme("a"))
    (image,) = read(tmp_path).splits["train"]
    assert image.path == tmp_path / "renamed.jpg"


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("rectangle", [[40, 36], [8, 6]], (8, 6, 40, 36)),
        ("polygon", [[8, 30], [40, 6], [20, 36]], (8, 6, 40, 36)),
        (None, [[8, 30], [40, 6], [20, 36]], (8, 6, 40, 36)),
        ("circle", [[30, 20], [36, 28]], (20, 10, 40, 30)),
        ("mask", [[8, 6], [40, 36]], (8, 6, 40, 36)),
    ],
)
def test_shapes(tmp_path, kind, points, box):
    (image,) = read_shapes(tmp_path, [shape(kind, points)]).splits["train"]
    assert image.boxes == [pytest.approx(box)]


def test_points_and_lines_have_no_box(tmp_path):
    shapes = [shape("point", [[1, 2]]), shape("line", [[1, 2], [3, 4]]), *labelme("b")["shapes"]]
    annotations = read_shapes(tmp_path, shapes)
    assert annotations.splits["train"][0].boxes == [(60, 15, 80, 45)]
    assert [problem.kind for problem in annotations.problems] == ["annotation without box"] * 2


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"shapes": {}}, "`shapes` must be a list. Received: dict"),
        ({"shapes": [None]}, "shape 1: a shape must be a mapping"),
        ({"shapes": [shape("star", [[1, 2], [3, 4]])]}, "shape 1: the shape must be one of"),
        ({"shapes": [shape("rectangle", [[1, 2]])]}, "`points` must have two points or more"),
        ({"shapes": [shape("rectangle", [[1, 2], [3]])]}, "each of two numbers"),
        ({"shapes": [shape("rectangle", [[1, 2], [3, "x"]])]}, "must be a number. Received: 'x'"),
        ({"shapes": [shape("rectangle", [[1, 2], 3])]}, "a point must be a list"),
        ({"shapes": [shape("polygon", [[1, 2], [3, 10**400]])]}, "must be a number"),
        ({"shapes": [shape("polygon", [[1, 2], [3, 4]], "")]}, "`label` is missing"),
        ({"imagePath": None}, "`imagePath` is missing"),
        ({"imagePath": "x" * 9000}, "`imagePath` is longer than 4,096 characters"),
        ({"imageWidth": "wide"}, "the size of the image must be a number"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, what):
    write_labelme(tmp_path, {"train": ["a", "b"]})
    write_json(tmp_path / "train/a.json", labelme("a") | content)
    annotations = read(tmp_path)
    (problem,) = annotations.problems
    assert (problem.kind, problem.path) == ("malformed annotation", tmp_path / "train/a.json")
    assert what in problem.reason
    assert [image.path.stem for image in annotations.splits["train"]] == ["b"]
    with pytest.raises(ValueError, match="is not in the LabelMe format"):
        read(tmp_path / "train/a.json")


def test_other_json_files(tmp_path):
    write_labelme(tmp_path, {"train": list(CONTENT)})
    write_json(tmp_path / "train/settings.json", {"zoom": 2})
    (tmp_path / "train/d.json").write_text('{"shapes": [')
    annotations = read(tmp_path)
    assert len(annotations.splits["train"]) == 3
    (problem,) = annotations.problems
    assert problem.path.name == "d.json"
    assert "is not a JSON file" in problem.reason
    with pytest.raises(ValueError, match="must have `shapes` and `imagePath`"):
        read(tmp_path / "train/settings.json")
    assert LABELME.match(DatasetFiles(tmp_path / "train/settings.json")) is None


def test_a_few_files_are_no_dataset(tmp_path):
    write_labelme(tmp_path, {"train": ["a"]})
    assert LABELME.match(DatasetFiles(tmp_path)).certainty == RELATED
    assert LABELME.match(DatasetFiles(tmp_path / "train/a.json")).certainty == NAMED
    for i in range(5):
        write_image(tmp_path / f"train/{i}.jpg")
    assert LABELME.match(DatasetFiles(tmp_path)).certainty < RELATED


def test_an_image_that_the_file_has_inside_is_not_kept(tmp_path):
    for i in range(60):
        write_image(tmp_path / f"{i}.jpg")
        content = labelme("a") | {"imagePath": f"{i}.jpg", "imageData": "A" * 1000}
        write_json(tmp_path / f"{i}.json", content)
    files = DatasetFiles(tmp_path)
    assert LABELME.match(files).certainty == RELATED
    assert len(LABELME.read(files).splits["train"]) == 60
    assert len(files._json) == 3


def test_names_of_images_are_not_splits(tmp_path):
    for name in ("test_1", "rome"):
        write_image(tmp_path / f"{name}.jpg")
        write_json(tmp_path / f"{name}.json", {**labelme("a"), "imagePath": f"{name}.jpg"})
    assert len(read_dataset(tmp_path).splits["train"]) == 2
