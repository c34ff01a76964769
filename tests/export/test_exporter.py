"""`export`: files are written atomically, and only if their outputs are those of the model."""

import json
from collections import Counter
from dataclasses import replace

import keras
import numpy as np
import pytest

from cspdarknet.export import export, exporter, inference_graph
from cspdarknet.export.onnx import model as onnx_model
from cspdarknet.model_info import KEY, ModelInfo
from cspdarknet.models import YOLOXDetector
from cspdarknet.yolox.postprocess import NonMaxSuppression
from support import randomize

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.one_backend  # weights as NumPy arrays are all that a backend provides
TOLERANCE = 1e-5  # of the largest value; seen: below 3e-6


# What is written.


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_the_file_holds_its_model_info(classifier, tmp_path, suffix):
    result = export(classifier, tmp_path / f"model{suffix}")
    assert result.comparison.max_relative_error < TOLERANCE
    if suffix == ".onnx":
        import onnx

        stored = {p.key: p.value for p in onnx.load(result.path).metadata_props}[KEY]
        files = {"model.onnx"}
    else:
        stored = openvino.Core().read_model(result.path).get_rt_info([KEY]).astype(str)
        files = {"model.xml", "model.bin"}
    assert ModelInfo.from_json(stored, result.path) == result.info
    assert json.loads(stored)["class_names"] == ["a", "b", "c"]
    assert {path.name for path in tmp_path.iterdir()} == files
    assert result.num_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_images_are_uint8_by_default(classifier, tmp_path):
    for arguments, dtype in (({}, "uint8"), ({"inputs": "float32"}, "float")):
        result = export(classifier, tmp_path / "model.onnx", **arguments)
        (images,) = ort.InferenceSession(result.path).get_inputs()
        assert images.type == f"tensor({dtype})"


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_float16_halves_the_file(backbone, tmp_path, suffix):
    whole = export(backbone, tmp_path / f"whole{suffix}")
    half = export(backbone, tmp_path / f"half{suffix}", precision="float16")
    assert half.num_bytes < 0.65 * whole.num_bytes
    assert half.info.precision == "float16"
    assert 1e-6 < half.comparison.max_relative_error < 5e-3


@pytest.mark.parametrize(("suffix", "tool"), [(".onnx", "onnxruntime"), (".xml", "nncf")])
def test_int8_is_small_and_close(backbone, noise, tmp_path, suffix, tool):
    pytest.importorskip(tool)
    whole = export(backbone, tmp_path / f"whole{suffix}")
    images = list(noise(64, 64, count=12))
    path = tmp_path / f"int8{suffix}"
    small = export(backbone, path, precision="int8", calibration=images)
    assert small.num_bytes < 0.6 * whole.num_bytes
    assert small.info.precision == "int8"
    assert 1e-4 < small.comparison.max_relative_error < 0.2


def test_lora_is_exported(tmp_path):
    x = keras.Input((8, 8, 4))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, name="conv")(x))
    model = keras.Model(x, keras.layers.Dense(5, name="dense")(y))
    for name in ("conv", "dense"):
        model.get_layer(name).enable_lora(2)
    comparison = export(randomize(model), tmp_path / "m.onnx").comparison
    assert comparison.max_relative_error < TOLERANCE


def test_sample_images_are_compared(classifier, noise, tmp_path, monkeypatch):
    compared = []
    monkeypatch.setattr(
        exporter,
        "Reference",
        lambda graph, images, *_: compared.append(images) or right(graph, images),
    )
    right = exporter.verification.Reference
    images = noise(32, 32, count=3)
    export(classifier, tmp_path / "model.onnx", sample_images=images)
    np.testing.assert_array_equal(compared, [images])


# Detectors.


def test_detections_are_compared(exported_detector):
    comparison = exported_detector.comparison
    assert comparison.num_expected == comparison.num_exported == comparison.num_matched > 10
    assert exported_detector.info.letterbox is False


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_detector_that_finds_nothing_is_compared_with_scaled_scores(
    detector, high, tmp_path, suffix, letterbox
):
    path = tmp_path / f"d{suffix}"
    comparison = export(detector, path, letterbox=letterbox, options=high).comparison
    assert comparison.num_matched == comparison.num_expected > 10
    assert comparison.max_relative_error < TOLERANCE


def test_the_inference_graph_is_built_once(detector, high, tmp_path, monkeypatch):
    """This holds also for a detector that detects nothing and is therefore compared twice."""
    calls = Counter()

    def count(owner, name):
        function = getattr(owner, name)

        def counted(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(exporter, "inference_graph")
    count(inference_graph, "detection_outputs")
    count(onnx_model, "onnx_from_graph")
    count(YOLOXDetector, "inference_model")
    count(YOLOXDetector, "call")
    comparison = export(detector, tmp_path / "d.onnx", options=high).comparison
    assert comparison.num_matched
    assert calls == {"inference_graph": 1, "detection_outputs": 1, "onnx_from_graph": 1, "call": 1}


def _with_other_nms(monkeypatch, **changes):
    """Let the conversion to ONNX change arguments of NMS."""
    convert = onnx_model.CONVERTERS["NonMaxSuppression"]

    def changed(writer, call, inputs):
        call.operation = NonMaxSuppression.from_config({**call.operation.get_config(), **changes})
        return convert(writer, call, inputs)

    monkeypatch.setitem(onnx_model.CONVERTERS, "NonMaxSuppression", changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"iou_threshold": 0.2},
        {"iou_threshold": 1.0},
        {"score_threshold": 0.5},
        {"score_threshold": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_file_with_other_thresholds_is_not_kept_though_nothing_is_found(
    detector, high, tmp_path, monkeypatch, suffix, changes
):
    _with_other_nms(monkeypatch, **changes)
    options = replace(high, max_detections=30)  # of which more than a tenth changes
    with pytest.raises(ValueError, match=r"of [1-9]\d* detections match"):
        export(detector, tmp_path / f"d{suffix}", options=options)
    assert not list(tmp_path.iterdir())


def test_a_file_that_detects_where_the_model_finds_nothing_is_not_kept(
    detector, high, tmp_path, monkeypatch
):
    _with_other_nms(monkeypatch, score_threshold=0.001)
    with pytest.raises(ValueError, match=r"0 of [1-9]\d* detections match"):
        export(detector, tmp_path / "d.onnx", options=high)
    assert not list(tmp_path.iterdir())


def test_a_file_with_another_number_of_detections_is_not_kept(
    detector, high, tmp_path, monkeypatch
):
    _with_other_nms(monkeypatch, max_detections=50)
    with pytest.raises(ValueError, match="shape"):
        export(detector, tmp_path / "d.onnx", options=high)


def test_a_file_with_other_boxes_is_not_kept_though_nothing_is_found(
    detector, high, tmp_path, monkeypatch
):
    convert = onnx_model.CONVERTERS["DecodeBoxes"]

    def shifted(writer, call, inputs):
        boxes, scores = convert(writer, call, inputs)
        name = writer.node("Add", boxes.name, writer.constant(5.0))
        return [type(boxes)(name, boxes.rank), scores]

    monkeypatch.setitem(onnx_model.CONVERTERS, "DecodeBoxes", shifted)
    with pytest.raises(ValueError, match=r"0 of [1-9]\d* detections match"):
        export(detector, tmp_path / "d.onnx", options=high)


# What is refused.


def test_a_file_that_computes_something_else_is_not_kept(classifier, tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_text("an older file")
    convert = exporter.onnx_for_runtime

    def wrong(*args):
        model = convert(*args)
        kernel = next(item for item in model.graph.initializer if "kernel" in item.name)
        kernel.raw_data = np.ones(len(kernel.raw_data) // 4, "float32").tobytes()
        return model

    monkeypatch.setattr(exporter, "onnx_for_runtime", wrong)
    with pytest.raises(ValueError, match=r"maximum relative error of 0\.0001"):
        export(classifier, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "an older file"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_that_computes_nan_is_not_kept(classifier, noise, tmp_path, monkeypatch, precision):
    monkeypatch.setattr(
        exporter.onnx_formats,
        "run",
        lambda *_: {"probabilities": np.full((2, 3), np.nan, "float32")},
    )
    calibration = list(noise(64, 64, count=2)) if precision == "int8" else None
    with pytest.raises(ValueError, match="Received: nan"):
        export(classifier, tmp_path / "m.onnx", precision=precision, calibration=calibration)


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("model.txt", {}, "`format` must be one of"),
        ("model.onnx", {"precision": "int4"}, "`precision` must be one of"),
        ("model.onnx", {"precision": "int8"}, "`calibration` must be given"),
        ("model.onnx", {"calibration": "images"}, "`calibration` must be given"),
        ("model.tflite", {"precision": "float16"}, "for the formats onnx, openvino"),
        ("model.pt2", {"letterbox": True}, "cannot letterbox"),
        ("model.tflite", {"letterbox": True}, "cannot letterbox"),
        ("model.onnx", {"image_size": 0}, "`image_size` must be an integer"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit(classifier, tmp_path, path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export(classifier, tmp_path / path, **arguments)
    assert not list(tmp_path.iterdir())


# What is at the path already.


def test_other_files_and_folders_are_not_replaced(classifier, tmp_path):
    (tmp_path / "model.onnx").mkdir()
    (tmp_path / "model.bin").write_text("other weights")
    for name in ("model.onnx", "model.xml"):
        with pytest.raises(ValueError, match="choose another path"):
            export(classifier, tmp_path / name)


def test_a_second_export_replaces_the_first(classifier, tmp_path):
    for suffix in ("xml", "onnx"):
        first, second = (export(classifier, tmp_path / f"m[1].{suffix}") for _ in range(2))
        assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m[1].bin", "m[1].onnx", "m[1].xml"]


# Models and options of other types.


def test_a_model_is_not_named(tmp_path):
    for path in ("a.onnx", "a.pt2"):
        with pytest.raises(ValueError, match="load a preset with `load_model`"):
            export("yolox_nano_bccd", tmp_path / path)


def test_options_of_another_type(tiny_detector, tmp_path):
    with pytest.raises(ValueError, match="`options` must be DetectionOptions or None"):
        export(tiny_detector, tmp_path / "a.onnx", options={"score_threshold": 0.5})
