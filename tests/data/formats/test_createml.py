"""The reader of CreateML."""

import pytest

from annotation_files import createml, write_image, write_json
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.createml import CREATEML

pytestmark = pytest.mark.one_backend


def read(folder, content):
    for name in "abc":
        write_image(folder / f"{name}.jpg")
    write_json(folder / "boxes.json", content)
    return CREATEML.read(DatasetFiles(folder))


def test_boxes_are_given_by_their_center(tmp_path):
    a, b, c = read(tmp_path, createml("abc")).splits["train"]
    assert a.boxes == [(8, 6, 40, 36), (0, 30, 20, 60)]
    assert a.names == ["cell", "worm"]
    assert b.boxes == [(60, 15, 80, 45)]
    assert (c.boxes, c.names) == ([], [])


def test_the_keys_of_older_files(tmp_path):
    content = [
        {"imagefilename": entry["image"], "annotation": entry["annotations"]}
        for entry in createml("ab")
    ]
    a, _ = read(tmp_path, content).splits["train"]
    assert a.boxes == [(8, 6, 40, 36), (0, 30, 20, 60)]


BOX = {"x": 10, "y": 10, "width": 4, "height": 4}


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"label": "cell", "coordinates": BOX | {"x": "left"}}, "`x` must be a number"),
        ({"label": "cell", "coordinates": [1, 2, 3, 4]}, "`coordinates` must be a mapping"),
        ({"label": "", "coordinates": BOX}, "`label` is missing"),
        ({"label": {}, "coordinates": BOX}, "must be text"),
        ({"label": "cell"}, "`coordinates` must be a mapping. Received: NoneType"),
        ("cell", "an annotation must be a mapping. Received: str"),
    ],
)
def test_annotations_that_cannot_be_read(tmp_path, bad, what):
    content = createml("abc")
    content[0]["annotations"][1:] = [bad]
    annotations = read(tmp_path, content)
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", "a.jpg")
    assert problem.reason.startswith("annotation 2: ")
    assert what in problem.reason
    assert [image.path.stem for image in annotations.splits["train"]] == ["b", "c"]


@pytest.mark.parametrize(
    "entry", [None, 3, [], {}, {"image": 5.5}, {"image": "a.jpg", "annotations": 1}]
)
def test_entries_that_are_no_images(tmp_path, entry):
    annotations = read(tmp_path, [*createml("bc"), {"image": "a.jpg", "annotations": []}, entry])
    assert [problem.kind for problem in annotations.problems] == ["malformed annotation"]


@pytest.mark.parametrize("content", [{}, [], [{}], [1], "image", None, [{"image": "a.jpg"}]])
def test_json_of_something_else(tmp_path, content):
    with pytest.raises(ValueError, match="has no file in this format"):
        read(tmp_path, content)
    for source in (tmp_path, tmp_path / "boxes.json"):
        assert CREATEML.match(DatasetFiles(source)) is None
