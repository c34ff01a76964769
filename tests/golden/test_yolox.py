"""Comparison with the official code: raw outputs, detections, label assignment, losses."""

import json

import keras
import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.images import read_image
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model
from cspdarknet.yolox.anchors import anchor_grid, decode_boxes
from cspdarknet.yolox.coco_names import COCO_NAMES
from cspdarknet.yolox.letterbox import letterbox
from cspdarknet.yolox.letterbox_layer import Letterbox
from cspdarknet.yolox.losses import yolox_losses
from cspdarknet.yolox.simota import assign
from support import GOLDEN, NANO, assert_same_weights, needs_golden, needs_nano, to_numpy

SIMOTA = GOLDEN / "simota_loss"
STRIDES = (8, 16, 32)


def raw_outputs(model, images):
    """What the official code calls raw: boxes as they are, sigmoids of the rest."""
    found = {name: np.asarray(value) for name, value in model.predict_on_batch(images).items()}
    sigmoids = [1 / (1 + np.exp(-found[name])) for name in ("objectness", "classes")]
    return np.concatenate([found["boxes"], *sigmoids], axis=-1)


def rgb(images):
    """From YOLOX's BGR, channels first."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)[..., ::-1])


@pytest.fixture(scope="module")
def nano():
    return YOLOXDetector.from_preset(NANO / "yolox_nano.pth")


@needs_golden
def test_a_whole_model_of_random_weights():
    model = YOLOXDetector.from_preset(GOLDEN / "pafpn_head_random/yolox_dep033_wid025_c3.pth")
    io = np.load(GOLDEN / "pafpn_head_random/io.npz")
    images = rgb(io["x"])
    # The original itself is 8e-6 from float64; typical errors change it by 1.7 and more.
    np.testing.assert_allclose(raw_outputs(model, images), io["raw"], atol=1e-4)
    grid, strides = anchor_grid(*images.shape[1:3], STRIDES)
    decoded = decode_boxes(model(images)["boxes"], grid, strides)
    np.testing.assert_allclose(to_numpy(decoded), io["decoded"][..., :4], atol=5e-3, rtol=1e-4)
    neck = keras.Model(
        model.input, [model.get_layer(f"neck_{name}_csp").output for name in ("p3", "n4", "n5")]
    )
    for maps, stride in zip(neck(images[:1]), STRIDES, strict=True):
        expected = io[f"pan_s{stride}"].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(to_numpy(maps), expected, atol=1e-4)


@needs_nano
def test_raw_outputs_on_real_photos(nano):
    io = np.load(NANO / "io.npz")
    found = raw_outputs(nano, rgb(io["input"]))
    # PyTorch and ONNX Runtime are 3e-4 apart on boxes, 4e-5 on scores.
    np.testing.assert_allclose(found[..., :4], io["out_f32"][..., :4], atol=1e-3)
    np.testing.assert_allclose(found[..., 4:], io["out_f32"][..., 4:], atol=1e-4)
    photos = [read_image(NANO / "images" / str(name)) for name in io["names"]]
    squares = np.stack([letterbox(photo, 416)[0] for photo in photos]).astype("float32")
    found = raw_outputs(nano, squares)
    half = io["out_f16"].astype("float32")  # rounded by up to 1/2048 of the value
    np.testing.assert_allclose(found, half, atol=1e-3, rtol=1e-3)


@needs_nano
def test_raw_outputs_are_those_of_onnx_runtime(nano):
    runtime = pytest.importorskip("onnxruntime").InferenceSession(NANO / "yolox_nano.onnx")
    for path in sorted((NANO / "images").iterdir()):
        square, _ = letterbox(read_image(path), 416)
        bgr = square[None].transpose(0, 3, 1, 2)[:, ::-1].astype("float32")
        (expected,) = runtime.run(None, {runtime.get_inputs()[0].name: bgr})
        found = raw_outputs(nano, square[None].astype("float32"))
        np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=path.name)


@needs_nano
def test_detections_are_the_original_ones(nano):
    stored = json.loads((NANO / "detections.json").read_text())
    assert tuple(stored["classes"]) == COCO_NAMES == nano.class_names
    photos = [read_image(NANO / "images" / entry["file"]) for entry in stored["images"]]
    found = nano.predict(photos, options=DetectionOptions(0.3, 0.45))
    assert found["num_detections"].sum() == 105
    for i, entry in enumerate(stored["images"]):
        assert found["num_detections"][i] == len(entry["conf0.3_nms0.45"])
        assert_same_detections(found, i, entry["conf0.3_nms0.45"])
        count = found["num_detections"][i]
        for name in ("boxes", "confidence", "classes"):
            assert (found[name][i, count:] == -1).all()


@needs_nano
def test_detections_down_to_low_scores(nano):
    stored = json.loads((NANO / "detections.json").read_text())
    entries = [entry for entry in stored["images"] if "conf0.001_nms0.65" in entry]
    photos = [read_image(NANO / "images" / entry["file"]) for entry in entries]
    found = nano.predict(photos, batch_size=2, options=DetectionOptions(0.001, 0.65, 400))
    for i, entry in enumerate(entries):
        expected = entry["conf0.001_nms0.65"]
        # Scores and overlaps a few millionths from a threshold may fall to either side.
        assert abs(found["num_detections"][i] - len(expected)) <= 1
        assert_same_detections(found, i, expected[: len(expected) * 9 // 10])


def assert_same_detections(found, i, expected):
    """The detections match one to one those of the original, with the same sum of scores."""
    count = len(expected)
    scores = found["confidence"][i, :count]
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(scores, [item["score"] for item in expected], atol=5e-4)
    left = set(range(found["num_detections"][i]))
    for item in expected:
        same = [
            place
            for place in left
            if found["classes"][i, place] == item["class_id"]
            and abs(found["confidence"][i, place] - item["score"]) < 0.005
            and iou(item["box"], found["boxes"][i, place]) >= 0.99
        ]
        assert same, item
        left.remove(same[0])


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return overlap / (sum(areas) - overlap)


@needs_nano
def test_the_whole_graph_gives_what_predict_gives(nano):
    """Letterboxing inside the graph is that of NumPy, which is OpenCV's, to the last bit."""
    photos = [read_image(path) for path in sorted((NANO / "images").iterdir())[:2]]
    graph = nano.inference_model(DetectionOptions(0.1))
    assert not [layer for layer in graph.layers if isinstance(layer, keras.layers.Lambda)]
    expected = nano.predict(photos, options=DetectionOptions(0.1))
    for i, photo in enumerate(photos):
        found = graph.predict_on_batch(photo[None].astype("float32"))
        assert found["num_detections"][0] == expected["num_detections"][i]
        np.testing.assert_allclose(found["boxes"][0], expected["boxes"][i], atol=2e-2)
        np.testing.assert_allclose(found["confidence"][0], expected["confidence"][i], atol=1e-4)
        np.testing.assert_array_equal(found["classes"][0], expected["classes"][i])


@needs_nano
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_the_letterbox_layer_is_bit_equal(layout):
    layer = Letterbox(416, layout)
    for path in sorted((NANO / "images").iterdir())[:5]:
        photo = read_image(path)
        batch = photo[None].astype("float32")
        first = layout == "channels_first"
        squares, sizes = layer(batch.transpose(0, 3, 1, 2) if first else batch)
        squares = to_numpy(squares).transpose(0, 2, 3, 1) if first else to_numpy(squares)
        np.testing.assert_array_equal(squares[0], letterbox(photo, 416)[0])
        np.testing.assert_array_equal(to_numpy(sizes), [photo.shape[:2]])


@needs_nano
def test_onnx_and_pth_hold_the_same(nano):
    pytest.importorskip("onnx")
    assert_same_weights(YOLOXDetector.from_preset(NANO / "yolox_nano.onnx"), nano)


@needs_nano
def test_the_backbone_alone_of_the_same_file(nano):
    backbone = CSPDarkNetBackbone.from_preset(NANO / "yolox_nano.pth")
    assert_same_weights(backbone, nano.backbone)
    assert_same_weights(load_model(NANO / "yolox_nano.pth", "features"), backbone)


# Label assignment and losses.


def simota(case):
    """Predictions, ground truth and stored reference outputs of a case."""
    stored = np.load(SIMOTA / f"{case}.npz")

    def joined(kind):
        maps = [stored[f"{kind}_s{stride}"] for stride in STRIDES]
        rows = [m.transpose(0, 2, 3, 1).reshape(m.shape[0], -1, m.shape[1]) for m in maps]
        return np.concatenate(rows, axis=1).astype("float32")

    names = {"boxes": "reg", "objectness": "obj", "classes": "cls"}
    predictions = {name: joined(f"raw_{kind}") for name, kind in names.items()}
    labels = stored["labels"]
    classes = np.where(labels.sum(-1) > 0, labels[..., 0], -1).astype("int32")
    return predictions, labels[..., 1:].astype("float32"), classes, stored, joined


CASES = ("main", "overlap", "tiny", "crowd", "outside")


@needs_golden
@pytest.mark.parametrize("case", CASES)
def test_assignment_is_the_original_one(case):
    predictions, boxes, classes, stored, _ = simota(case)
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in predictions.items()}
    grid, strides = anchor_grid(256, 256, STRIDES)
    decoded = decode_boxes(tensors["boxes"], grid, strides)
    np.testing.assert_allclose(to_numpy(decoded), stored["decoded"][..., :4], rtol=1e-5, atol=1e-4)
    found = assign(
        decoded, tensors["objectness"], tensors["classes"], boxes, classes, grid, strides
    )
    positive = to_numpy(found.positive)
    np.testing.assert_array_equal(positive, stored["fg_mask"])
    matched = np.where(positive, to_numpy(found.matched), -1)
    np.testing.assert_array_equal(matched, stored["matched_gt"])
    np.testing.assert_allclose(to_numpy(found.iou), stored["matched_iou"], atol=1e-5)


@needs_golden
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_the_original_ones(case):
    predictions, boxes, classes, stored, joined = simota(case)

    def total(predictions):
        parts = yolox_losses(predictions, boxes, classes, (256, 256), STRIDES)
        return sum(parts.values()), parts

    gradients, parts = gradients_of(total, predictions)
    found = [parts[name] for name in ("box", "objectness", "class", "l1")]
    np.testing.assert_allclose(found, stored["losses_l1"][1:5], rtol=1e-4, atol=1e-4)
    names = {"boxes": "grad_l1_reg", "objectness": "grad_obj", "classes": "grad_cls"}
    for name, kind in names.items():
        np.testing.assert_allclose(gradients[name], joined(kind), atol=1e-4, err_msg=name)


def gradients_of(total, predictions):
    """Return the gradients of a loss by its inputs, and its terms, on any backend."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        gradients, parts = jax.grad(total, has_aux=True)(predictions)
    elif backend == "torch":
        import torch

        leaves = {name: torch.tensor(v, requires_grad=True) for name, v in predictions.items()}
        value, parts = total(leaves)
        value.backward()
        gradients = {name: leaf.grad for name, leaf in leaves.items()}
        parts = {name: part.detach() for name, part in parts.items()}
    else:
        import tensorflow as tf

        leaves = {name: tf.Variable(value) for name, value in predictions.items()}
        with tf.GradientTape() as tape:
            value, parts = total(leaves)
        gradients = tape.gradient(value, leaves)
    return (
        {name: np.asarray(gradient) for name, gradient in gradients.items()},
        {name: float(part) for name, part in parts.items()},
    )
