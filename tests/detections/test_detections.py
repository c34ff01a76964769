"""The detected objects of one image."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from cspdarknet.detections import Detection, Detections

pytestmark = pytest.mark.one_backend

NAMES = ("red", "blue")


@pytest.fixture
def detections():
    return Detections([[1, 2, 11.25, 22], [0, 0, 5, 5]], [0.5, 0.25], [1, 0], (30, 40), NAMES)


def test_arrays_and_entries(detections):
    assert detections.xyxy.dtype == detections.confidence.dtype == np.float32
    assert detections.class_id.dtype == np.int64
    assert len(detections) == 2
    assert detections.counts(3).tolist() == [1, 1, 0]
    assert list(detections) == [
        Detection((1, 2, 11.25, 22), 0.5, 1, "blue"),
        Detection((0, 0, 5, 5), 0.25, 0, "red"),
    ]
    assert detections.to_json()[0] == {
        **{"class_id": 1, "class_name": "blue"},
        **{"confidence": 0.5, "xyxy": [1, 2, 11.25, 22]},
    }
    assert detections.to_coco(3)[0] == {
        **{"image_id": 3, "category_id": 2},
        **{"bbox": [1, 2, 10.25, 20], "score": 0.5},
    }


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [1]),
        (np.int64(-1), [0]),
        (slice(1, None), [0]),
        (slice(None, None, -1), [0, 1]),
        ([True, False], [1]),
        (np.array([False, False]), []),
        ([1, 0, 1], [0, 1, 0]),
        ([], []),
    ],
)
def test_indexing(detections, index, expected):
    selected = detections[index]
    assert selected.class_id.tolist() == expected
    assert len(selected.xyxy) == len(selected.confidence) == len(expected)
    assert (selected.image_size, selected.class_names) == ((30, 40), NAMES)


def test_no_detections():
    empty = Detections(np.zeros((0, 4)), [], [], (30, 40))
    assert len(empty) == 0
    assert list(empty) == empty.to_json() == empty.to_coco(1) == []
    assert empty.counts(2).tolist() == [0, 0]


def test_empty_lists_are_no_detections():
    assert Detections([], [], [], (30, 40)).xyxy.shape == (0, 4)


def test_it_cannot_be_reversed(detections):
    """The old protocol of sequences would give `Detections` of one object each."""
    with pytest.raises(TypeError):
        reversed(detections)


def test_without_names():
    unnamed = Detections([[0, 0, 5, 5]], [0.25], [7], (30, 40))
    assert next(iter(unnamed)).class_name is unnamed.to_json()[0]["class_name"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xyxy": [1, 2, 3, 4]}, r"`xyxy` must be an array \(n, 4\).*\(4,\)"),
        ({"xyxy": [[5, 0, 4, 9]]}, "left, top, right"),
        ({"xyxy": [[0, 0, np.nan, 9]]}, "finite"),
        ({"confidence": [0.5, 0.5]}, "one value for each of the 1 boxes"),
        ({"confidence": [1.5]}, "0..1"),
        ({"confidence": [np.nan]}, "0..1"),
        ({"class_id": [-1]}, "integers from 0"),
        ({"class_id": [0.5]}, "integers from 0"),
        ({"class_id": [[0]]}, "one value for each of the 1 boxes"),
        ({"class_id": [2]}, "less than the number of `class_names`, 2"),
        ({"image_size": (0, 5)}, "height, width"),
        ({"image_size": 5}, "height, width"),
    ],
)
def test_invalid_detections(change, message):
    valid = {"xyxy": [[0, 0, 4, 9]], "confidence": [0.5], "class_id": [0], "image_size": (10, 10)}
    assert len(Detections(**valid, class_names=NAMES)) == 1
    with pytest.raises(ValueError, match=message):
        Detections(**{**valid, **change}, class_names=NAMES)


def test_from_the_outputs_of_a_detector():
    """The padding is dropped, and boxes that overflowed in an untrained network."""
    outputs = {
        "boxes": np.array([[0, 0, np.inf, 5], [1, 2, 3, 4], [-1, -1, -1, -1]], "float32"),
        "confidence": np.array([1.0000001, 0.5, -1], "float32"),
        "classes": np.array([0, 1, -1], "int32"),
        "num_detections": np.array(2, "int32"),
    }
    detections = Detections.from_outputs(outputs, (30, 40), NAMES)
    assert detections.to_json() == [
        {"class_id": 1, "class_name": "blue", "confidence": 0.5, "xyxy": [1, 2, 3, 4]}
    ]


# Pictures and texts.


def test_names_and_summary(detections):
    assert detections.class_name.tolist() == ["blue", "red"]
    assert len(detections[detections.class_name == "red"]) == 1
    assert detections.summary() == "1 red, 1 blue"
    assert detections[[0, 0, 1]].summary() == "1 red, 2 blue"
    assert repr(detections[0]) == "Detections(1 blue; image_size=(30, 40))"
    unnamed = Detections([[0, 0, 5, 5]] * 2, [0.25, 0.5], [7, 7], (30, 40))
    assert unnamed.summary() == "2 of class 7"
    assert unnamed.class_name is None
    assert unnamed[[]].summary() == "no objects"


def test_plot_draws_on_a_copy_of_any_image(detections, tmp_path):
    array = np.full((30, 40, 3), 255, "uint8")
    image = Image.fromarray(array)
    image.save(tmp_path / "a.png")
    drawn = detections.plot(array)
    assert drawn.size == (40, 30)
    assert (np.asarray(drawn) != 255).any()
    for same in (image, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert detections.plot(same).tobytes() == drawn.tobytes()
    assert (array == 255).all()
    assert (np.asarray(image) == 255).all()
    with pytest.raises(ValueError, match=r"of \(height, width\) \(30, 40\)"):
        detections.plot(array[:20])


def test_the_image_is_known_where_it_was_a_file(detections, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    known = dataclasses.replace(detections, path=tmp_path / "a.png")[:1]
    assert known.plot().tobytes() == detections[:1].plot(tmp_path / "a.png").tobytes()
    with pytest.raises(ValueError, match="pass the image to draw on"):
        detections.plot()


def test_save(detections, tmp_path):
    image = np.zeros((30, 40, 3), "uint8")
    for name, kind in (("new/a.jpg", "JPEG"), ("b.PNG", "PNG")):
        detections.save(tmp_path / name, image)
        assert Image.open(tmp_path / name).format == kind
    with pytest.raises(ValueError, match=r"must end in \.jpg, \.jpeg or \.png\. Received: a\.bmp"):
        detections.save("a.bmp", image)
    assert not list(tmp_path.rglob(".*"))


def test_ids_of_tracks(detections):
    """They are selected and converted with the rest."""
    assert detections.tracker_id is None
    assert next(iter(detections)).tracker_id is None
    assert "tracker_id" not in detections.to_json()[0]
    ids = np.arange(len(detections)) + 7
    tracked = dataclasses.replace(detections, tracker_id=ids)
    assert [item.tracker_id for item in tracked[::-1]] == ids[::-1].tolist()
    assert tracked[-1:].to_json()[0]["tracker_id"] == ids[-1]
    with pytest.raises(ValueError, match=r"`tracker_id` must be an array \(n,\)"):
        dataclasses.replace(detections, tracker_id=[1] * (len(detections) + 1))


def test_ids_of_tracks_in_supervision(detections):
    pytest.importorskip("supervision", reason="about supervision")
    ids = np.arange(len(detections)) + 7
    other = dataclasses.replace(detections, tracker_id=ids).to_supervision()
    np.testing.assert_array_equal(other.tracker_id, ids)
    back = Detections.from_supervision(other, detections.image_size)
    np.testing.assert_array_equal(back.tracker_id, ids)
