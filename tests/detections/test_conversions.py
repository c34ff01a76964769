"""Conversions of detections to and from the forms of other software."""

import sys
import types

import keras
import numpy as np
import pytest

from cspdarknet.detections import Detections

pytestmark = pytest.mark.one_backend

NAMES = ("red", "blue")


@pytest.fixture
def detections():
    return Detections([[1, 2, 11.25, 22], [0, 0, 5, 5]], [0.5, 0.25], [1, 0], (30, 40), NAMES)


@pytest.fixture
def empty():
    return Detections([], [], [], (30, 40), NAMES)


def assert_same(converted, detections):
    np.testing.assert_allclose(converted.xyxy, detections.xyxy, atol=1e-5)
    np.testing.assert_array_equal(converted.confidence, detections.confidence)
    np.testing.assert_array_equal(converted.class_id, detections.class_id)
    assert converted.image_size == detections.image_size
    assert converted.class_names == detections.class_names


def test_files_have_coordinates_within_a_thousandth_of_a_pixel():
    exact = [[1.00004, 2.00006, 11.123456, 22.9]]
    detections = Detections(exact, [0.5], [0], (30, 40))
    (row,) = detections.to_coco(1)
    left, top, width, height = row["bbox"]
    np.testing.assert_allclose([left, top, left + width, top + height], exact[0], atol=2e-4)
    np.testing.assert_allclose(detections.to_json()[0]["xyxy"], exact[0], atol=1e-4)


# Supervision.


def test_to_supervision(detections, monkeypatch):
    module = types.ModuleType("supervision")
    module.Detections = lambda **fields: fields
    monkeypatch.setitem(sys.modules, "supervision", module)
    fields = detections.to_supervision()
    np.testing.assert_array_equal(fields["xyxy"], detections.xyxy)
    np.testing.assert_array_equal(fields["confidence"], detections.confidence)
    np.testing.assert_array_equal(fields["class_id"], detections.class_id)
    assert fields["data"]["class_name"].tolist() == ["blue", "red"]
    unnamed = Detections(np.zeros((0, 4)), [], [], (30, 40)).to_supervision()
    assert unnamed["data"] == {}


def test_supervision_itself_takes_them(detections):
    supervision = pytest.importorskip("supervision")
    converted = detections.to_supervision()
    assert isinstance(converted, supervision.Detections)
    assert next(iter(converted))[-1]["class_name"] == "blue"


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_from_supervision(detections, empty):
    supervision = pytest.importorskip("supervision")
    for given in (detections, empty):
        assert_same(Detections.from_supervision(given.to_supervision(), (30, 40), NAMES), given)
    bare = supervision.Detections(xyxy=detections.xyxy, class_id=detections.class_id)
    assert Detections.from_supervision(bare, (30, 40)).confidence.tolist() == [1, 1]
    assert len(Detections.from_supervision(supervision.Detections.empty(), (30, 40))) == 0
    bare = supervision.Detections(xyxy=detections.xyxy)
    with pytest.raises(ValueError, match="must have a `class_id` for each object"):
        Detections.from_supervision(bare, (30, 40))


def test_missing_supervision_is_one_sentence(detections, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match=r"pip install 'cspdarknet\[supervision\]'"):
        detections.to_supervision()


# Torchvision.


def test_torchvision(detections, empty):
    torch = pytest.importorskip("torch")
    for given in (detections, empty):
        for first_label in (0, 1):
            target = given.to_torchvision(first_label)
            shapes = {name: tuple(tensor.shape) for name, tensor in target.items()}
            n = len(given)
            assert shapes == {"boxes": (n, 4), "labels": (n,), "scores": (n,)}
            assert (target["boxes"].dtype, target["labels"].dtype) == (torch.float32, torch.int64)
            assert target["labels"].tolist() == (given.class_id + first_label).tolist()
            same = Detections.from_torchvision(target, (30, 40), NAMES, first_label)
            assert_same(same, given)
    target = {"boxes": torch.tensor([[1.0, 2, 3, 4]], requires_grad=True), "labels": [1]}
    assert Detections.from_torchvision(target, (30, 40)).confidence.tolist() == [1]


def test_tensors_are_copies(detections):
    pytest.importorskip("torch")
    detections.to_torchvision()["boxes"][0, 0] = 99
    assert detections.xyxy[0, 0] == 1


@pytest.mark.parametrize("target", [[], {"boxes": []}])
def test_other_targets_are_refused(target):
    with pytest.raises(ValueError, match=r"must be a dict with 'boxes' and 'labels'\. Received: "):
        Detections.from_torchvision(target, (30, 40))


# Keras.


@pytest.mark.parametrize(
    "name",
    [
        *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
        *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
    ],
)
def test_formats_are_those_of_keras(detections, name):
    size = {"height": 30, "width": 40}
    convert = keras.utils.bounding_boxes.convert_format
    boxes = detections.to_format(name)
    expected = keras.ops.convert_to_numpy(convert(detections.xyxy, "xyxy", name, **size))
    np.testing.assert_allclose(boxes, expected, atol=1e-5)
    assert boxes.dtype == np.float32
    again = Detections.from_format(boxes, name, [0.5, 0.25], [1, 0], (30, 40), NAMES)
    assert_same(again, detections)


def test_formats_of_no_boxes(empty):
    assert empty.to_format("rel_yxyx").shape == (0, 4)
    assert_same(Detections.from_format([], "rel_yxyx", [], [], (30, 40), NAMES), empty)


def test_another_format_is_refused(detections):
    with pytest.raises(ValueError, match=r"must be one of 'xyxy'.*Received: .*'ltrb'"):
        detections.to_format("ltrb")
    with pytest.raises(ValueError, match=r"array \(n, 4\). Received: an array of shape \(1, 3\)"):
        Detections.from_format([[1, 2, 3]], "xywh", [1], [0], (30, 40))
