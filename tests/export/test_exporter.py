"""Exported files compute what the Keras models do, and appear whole or not at all."""

import importlib.util
import json
import re

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.export import build_onnx, export, quantize
from cspdarknet.model_info import KEY, ModelInfo
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.yolox.letterbox import fitted, letterbox
from cspdarknet.yolox.letterbox_layer import Letterbox
from cspdarknet.yolox.postprocess import NonMaxSuppression
from support import SMALL, TINY_NET, needs_channels_first, randomize, relative_error

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.one_backend  # weights as NumPy arrays are all that a backend gives
TOLERANCE = 1e-5  # of the largest value; seen: below 3e-6


def run_onnxruntime(graph, images):
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def run_openvino(graph, images):
    core = openvino.Core()
    model = core.read_model(graph.SerializeToString(), b"")
    results = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([images])
    return {output.name: results[output.name] for output in graph.graph.output}


RUNTIMES = pytest.mark.parametrize("run", [run_onnxruntime, run_openvino])


def photos(height=65, width=96, count=2, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, height // 8 + 1, width // 8 + 1, 3))
    smooth = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype("uint8")


@pytest.fixture(scope="module")
def backbone():
    return randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))


@pytest.fixture(scope="module")
def detector():
    return YOLOXDetector.from_preset("yolox_nano_bccd", image_size=256, score_threshold=0.05)


# Graphs.


def test_each_runtime_gets_the_form_that_it_runs_fastest(backbone):
    images = photos().astype("float32")
    graphs = [build_onnx(backbone, runtime) for runtime in ("openvino", "onnxruntime")]
    merged, separate = ({node.name for node in graph.graph.node} for graph in graphs)
    assert any(name.endswith("_merged") for name in merged)
    assert not any(name.endswith("_merged") for name in separate)
    results = [run_onnxruntime(graph, images)["features"] for graph in graphs]
    assert relative_error(*results) < TOLERANCE


@RUNTIMES
@pytest.mark.parametrize(
    "config",
    [
        {},
        pytest.param({"data_format": "channels_first"}, marks=needs_channels_first),
        {"padding": "symmetric"},
        {"use_depthwise": True},
        {"include_rescaling": False},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_a_backbone_of_any_kind(run, config):
    backbone = randomize(CSPDarkNetBackbone(**SMALL, **{"include_rescaling": True, **config}))
    pyramid = backbone.feature_pyramid(["P2", "P3", "P4", "P5"])
    images = photos().astype("float32")
    if "data_format" in config:
        images = images.transpose(0, 3, 1, 2)
    found = run(build_onnx(pyramid), images)
    tolerance = 0.05 if "dtype" in config else TOLERANCE
    for name, value in pyramid.predict_on_batch(images).items():
        assert relative_error(found[name], value) < tolerance, name


@RUNTIMES
@pytest.mark.parametrize(("height", "width", "count"), [(64, 64, 1), (33, 70, 3), (1, 5, 2)])
def test_batch_and_size_are_free(run, backbone, height, width, count):
    graph = build_onnx(backbone, inputs="uint8")
    images = photos(height, width, count)
    found = run(graph, images)
    expected = backbone.predict_on_batch(images.astype("float32"))
    assert relative_error(found["features"], expected) < TOLERANCE


@RUNTIMES
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_a_classifier(run, pooling):
    inside = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    classifier = randomize(
        ImageClassifier(inside, 3, pooling, dropout=0.2, class_names=["a", "b", "c"])
    )
    found = run(build_onnx(classifier, inputs="uint8"), photos())
    expected = classifier.predict_on_batch(photos().astype("float32"))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)


@RUNTIMES
def test_objects_of_a_detector(run, detector):
    squares = photos(256, 256)
    sizes = np.full((2, 2), 256, "float32")
    graph = detector.inference_model(letterboxed=True, score_threshold=0.002)
    expected = graph.predict_on_batch({"images": squares.astype("float32"), "image_sizes": sizes})
    assert expected["num_detections"].min() > 10
    found = run(build_onnx(detector, inputs="uint8", score_threshold=0.002), squares)
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-2)


@RUNTIMES
@pytest.mark.parametrize(("height", "width"), [(120, 160), (301, 97), (256, 256), (40, 700)])
def test_photos_of_any_size_are_letterboxed_inside(run, detector, height, width):
    images = photos(height, width)
    how = {"score_threshold": 0.002, "max_detections": 30}
    expected = detector.predict(images, **how)
    assert expected["num_detections"].min() > 5
    found = run(build_onnx(detector, inputs="uint8", letterbox=True, **how), images)
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=0.02)


@RUNTIMES
def test_what_the_head_says(run, detector):
    images = photos(96, 64).astype("float32")
    found = run(build_onnx(detector, outputs="raw"), images)
    expected = keras.Model.predict_on_batch(detector, images)
    for name, value in expected.items():
        assert relative_error(found[name], value) < TOLERANCE, name


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    places=st.integers(1, 60),
    classes=st.integers(1, 4),
    slots=st.integers(1, 80),
    threshold=st.sampled_from([0.0, 0.3, 0.5]),
    overlap=st.sampled_from([0.0, 0.45, 1.0]),
)
def test_suppression_is_that_of_keras(seed, places, classes, slots, threshold, overlap):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 20, (2, places, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 20, corners.shape)], -1)
    scores = rng.permutation(2 * places * classes).reshape(2, places, classes)
    scores = (scores / (2 * places * classes)).round(3).astype("float32")
    both = np.concatenate([boxes, scores], -1).astype("float32")
    layer = NonMaxSuppression(threshold, overlap, slots)
    x = keras.Input((places, 4 + classes), name="images")
    # The graph has one input; a layer of this package cannot split it, Keras' slices can.
    model = keras.Model(x, layer(*ops.split(x, [4], axis=-1)))
    expected = {k: ops.convert_to_numpy(v) for k, v in model(both).items()}
    from cspdarknet.export.onnx.model import write_onnx

    found = run_onnxruntime(write_onnx(model, ModelInfo("boxes")), both)
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-6)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-5)


def test_the_letterbox_is_exact_but_for_the_sizes_it_names():
    size, rng = 64, np.random.default_rng(0)
    x = keras.Input((None, None, 3), name="images")
    squares, sizes = Letterbox(size)(x)
    from cspdarknet.export.onnx.model import write_onnx

    model = keras.Model(x, {"squares": squares, "sizes": sizes})
    graph = write_onnx(model, ModelInfo("features", inputs="float32"))
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    other = 0
    for height, width in rng.integers(1, 300, (60, 2)).tolist():
        photo = rng.integers(0, 256, (1, height, width, 3)).astype("uint8")
        (square,) = session.run(["squares"], {"images": photo.astype("float32")})
        longer = max(height, width)
        exact = max(1, height * size // longer), max(1, width * size // longer)
        if fitted(height, width, size)[:2] != exact:
            other += 1
            continue
        np.testing.assert_array_equal(square[0], letterbox(photo[0], size)[0])
    assert other < 6


def test_what_cannot_be_written_is_named():
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, keras.layers.LayerNormalization(name="norm")(x))
    with pytest.raises(ValueError, match="'norm' is a LayerNormalization"):
        build_onnx(model)
    model = keras.Model(x, keras.layers.Activation("selu")(x))
    with pytest.raises(ValueError, match="activation 'selu'"):
        build_onnx(model)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"inputs": "int8"}, "`inputs`"),
        ({"outputs": "boxes"}, "`outputs`"),
        ({"letterbox": True}, "for a detector"),
        ({"score_threshold": 0.5}, "for a detector"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(backbone, how, message):
    with pytest.raises(ValueError, match=message):
        build_onnx(backbone, **how)


# Files.


@pytest.fixture(scope="module")
def classifier():
    inside = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(inside, 3, class_names=["a", "b", "c"], image_size=64))


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_file_says_what_it_is(classifier, tmp_path, suffix):
    exported = export(classifier, tmp_path / f"model{suffix}", inputs="uint8")
    assert exported.difference.relative < TOLERANCE
    if suffix == ".onnx":
        import onnx

        stored = {p.key: p.value for p in onnx.load(exported.path).metadata_props}[KEY]
        files = {"model.onnx"}
    else:
        stored = openvino.Core().read_model(exported.path).get_rt_info([KEY]).astype(str)
        files = {"model.xml", "model.bin"}
    assert ModelInfo.from_json(stored, exported.path) == exported.description
    assert json.loads(stored)["class_names"] == ["a", "b", "c"]
    assert {path.name for path in tmp_path.iterdir()} == files
    assert exported.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_half_precision_halves_the_file(backbone, tmp_path, suffix):
    whole = export(backbone, tmp_path / f"whole{suffix}")
    half = export(backbone, tmp_path / f"half{suffix}", precision="float16")
    assert half.bytes < 0.65 * whole.bytes
    assert 1e-6 < half.difference.relative < 5e-3


@pytest.mark.parametrize(("suffix", "tool"), [(".onnx", "onnxruntime"), (".xml", "nncf")])
def test_int8_is_small_and_close(backbone, tmp_path, suffix, tool):
    pytest.importorskip(tool)
    images = photos(64, 64, count=12)
    whole = export(backbone, tmp_path / f"whole{suffix}", inputs="uint8")
    path = tmp_path / f"int8{suffix}"
    small = export(backbone, path, inputs="uint8", precision="int8", calibration=list(images))
    assert small.bytes < 0.6 * whole.bytes
    assert 1e-4 < small.difference.relative < 0.2
    with pytest.raises(ValueError, match="must hold images"):
        quantize(build_onnx(backbone), [])


def test_a_detector_reports_the_objects_that_both_find(detector, tmp_path):
    exported = export(
        detector, tmp_path / "d.onnx", inputs="uint8", score_threshold=0.002, max_detections=20
    )
    found, same = exported.difference.objects
    assert found == same > 10
    assert "alike" in str(exported.difference)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: {**found, "boxes": found["boxes"] * np.nan},
        lambda found: {**found, "boxes": found["boxes"] + 50},
        lambda found: {**found, "num_detections": found["num_detections"] * 2},
        lambda found: {**found, "classes": found["classes"] + 1},
    ],
    ids=["no numbers", "boxes", "more objects", "classes"],
)
@pytest.mark.parametrize("score_threshold", [0.002, 0.99])
def test_a_detector_that_finds_other_objects_is_not_kept(
    detector, tmp_path, monkeypatch, spoil, score_threshold
):
    from cspdarknet.export import exporter as exporting

    right = exporting.ONNX_FORMATS["onnx"]
    monkeypatch.setitem(exporting.ONNX_FORMATS, "onnx", lambda *args: spoil(right(*args)))
    with pytest.raises(ValueError, match="objects alike"):
        export(detector, tmp_path / "d.onnx", score_threshold=score_threshold, image_size=96)
    assert not list(tmp_path.iterdir())


def test_a_file_that_finds_objects_where_the_model_finds_none_is_not_kept(
    detector, tmp_path, monkeypatch
):
    from cspdarknet.export import exporter as exporting

    right = exporting.ONNX_FORMATS["onnx"]

    def too_many(*args):
        found = right(*args)
        return {**found, "num_detections": found["num_detections"] + (found["classes"] < 0).all()}

    monkeypatch.setitem(exporting.ONNX_FORMATS, "onnx", too_many)
    with pytest.raises(ValueError, match="objects where there are none"):
        export(detector, tmp_path / "d.onnx", score_threshold=0.99, image_size=96)


def test_a_detector_that_finds_nothing_in_noise_is_compared_at_any_score(detector, tmp_path):
    exported = export(detector, tmp_path / "d.onnx", score_threshold=0.99, image_size=96)
    found, same = exported.difference.objects
    assert found == same > 10


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_model_in_half_precision_is_computed_in_float32(tmp_path, policy, suffix):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype=policy)
    exported = export(randomize(backbone), tmp_path / f"half{suffix}")
    assert exported.difference.relative < TOLERANCE


def test_half_precision_is_for_weights_alone(backbone):
    """What the letterbox counts would be rounded from 2048 on."""
    from cspdarknet.export.onnx.float16 import halve

    detector = YOLOXDetector(CSPDarkNetBackbone(**SMALL, include_rescaling=True), 2)
    graph = halve(build_onnx(detector, letterbox=True, inputs="uint8", image_size=1280)).graph
    halved = {item.name for item in graph.initializer if item.data_type == 10}
    assert halved
    assert all(".kernel" in name or ".bias" in name for name in halved)


def test_no_overlap_at_all(detector, tmp_path):
    """0 is another thing to OpenVINO."""
    for suffix in ("onnx", "xml"):
        path = tmp_path / f"d.{suffix}"
        exported = export(detector, path, iou_threshold=0.0, score_threshold=0.002, image_size=96)
        found, same = exported.difference.objects
        assert found == same > 5


def test_lora_is_exported(tmp_path):
    x = keras.Input((8, 8, 4))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, name="conv")(x))
    model = keras.Model(x, keras.layers.Dense(5, name="dense")(y))
    for name in ("conv", "dense"):
        model.get_layer(name).enable_lora(2)
    assert export(randomize(model), tmp_path / "m.onnx").difference.relative < TOLERANCE


def test_a_fixed_size_is_told(tmp_path):
    fixed = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_shape=(64, 64, 3))
    assert export(fixed, tmp_path / "f.onnx").description.image_size == 64
    size = np.int64(48)
    free = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    assert export(free, tmp_path / "f.onnx", image_size=size).description.image_size == 48
    assert export(free, tmp_path / "f.onnx").description.image_size is None


def _lists(x):
    return [keras.layers.Conv2D(2, 1)(x) for _ in range(2)]


def _training(x):
    return keras.layers.BatchNormalization()(x, training=True)


@pytest.mark.parametrize(
    ("outputs", "message"), [(_lists, "a list of them"), (_training, "training=True")]
)
def test_models_of_other_kinds_are_refused(tmp_path, outputs, message):
    x = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=message):
        export(keras.Model(x, outputs(x)), tmp_path / "m.onnx")


def test_what_keras_quantized_is_refused(tmp_path):
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(x)))
    model.quantize("int8")
    with pytest.raises(ValueError, match="quantized by Keras"):
        export(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("size", [0, -5, 64.5, "64", True])
def test_sizes_that_are_none_are_refused(backbone, tmp_path, size):
    with pytest.raises(ValueError, match="`image_size` must be an integer"):
        export(backbone, tmp_path / "m.onnx", image_size=size)


def test_a_name_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="from_preset"):
        export("csp_darknet_tiny", tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("path", "how", "message"),
    [
        ("model.txt", {}, "The formats are"),
        ("model.onnx", {"format": "litert"}, "with these suffixes"),
        ("model.onnx", {"precision": "int4"}, "`precision`"),
        ("model.onnx", {"precision": "int8"}, "`calibration`"),
        ("model.onnx", {"calibration": "photos"}, "`calibration`"),
        ("model.tflite", {"precision": "float16"}, "for ONNX and OpenVINO"),
    ],
    ids=str,
)
def test_wrong_requests_are_refused(classifier, tmp_path, path, how, message):
    with pytest.raises(ValueError, match=message):
        export(classifier, tmp_path / path, **how)
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_kept(classifier, tmp_path, monkeypatch):
    from cspdarknet.export import exporter as exporting

    (tmp_path / "model.onnx").write_text("an older file")
    right = exporting.write_onnx

    def wrong(*args):
        proto = right(*args)
        kernel = next(item for item in proto.graph.initializer if "kernel" in item.name)
        kernel.raw_data = np.ones(len(kernel.raw_data) // 4, "float32").tobytes()
        return proto

    monkeypatch.setattr(exporting, "write_onnx", wrong)
    with pytest.raises(ValueError, match="off by"):
        export(classifier, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "an older file"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "package"),
    [("model.tflite", "tensorflow"), ("model", "tensorflow"), ("model.pt2", "torch")],
)
def test_formats_that_keras_or_pytorch_write(classifier, tmp_path, name, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    exported = export(classifier, tmp_path / name, inputs="uint8")
    assert exported.difference.relative < TOLERANCE
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["detector.tflite", "detector.pt2"])
def test_a_detector_s_head_in_other_formats(detector, tmp_path, name):
    package = "torch" if name.endswith("pt2") else "tensorflow"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    exported = export(detector, tmp_path / name, outputs="raw", image_size=96)
    assert exported.difference.relative < TOLERANCE


# What is there already.


def test_a_folder_of_something_else_is_not_replaced(classifier, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    for path in ("photos", "link", "photos/..", "."):
        with pytest.raises(ValueError, match="choose another path"):
            export(classifier, path)
    assert (tmp_path / "photos" / "a.txt").read_text() == "mine"


def test_weights_of_something_else_are_not_replaced(classifier, tmp_path):
    (tmp_path / "model.bin").write_text("mine")
    with pytest.raises(ValueError, match="choose another path"):
        export(classifier, tmp_path / "model.xml")
    assert (tmp_path / "model.bin").read_text() == "mine"


def test_a_second_export_replaces_the_first(classifier, tmp_path):
    for suffix in ("xml", "onnx"):
        first, second = (export(classifier, tmp_path / f"m[1].{suffix}") for _ in range(2))
        assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m[1].bin", "m[1].onnx", "m[1].xml"]


def test_a_second_saved_model_replaces_the_first(classifier, tmp_path):
    pytest.importorskip("tensorflow")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_text("an older one")
    (tmp_path / "model" / "old").write_text("of the older one")
    export(classifier, tmp_path / "model")
    assert "old" not in {path.name for path in (tmp_path / "model").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# The command.


def test_the_command_writes_and_checks_a_file(tmp_path):
    out = tmp_path / "garments.onnx"
    done = CliRunner().invoke(app, ["export", "csp_darknet_tiny_clothing", str(out)])
    assert done.exit_code == 0, done.output
    row = re.search(r"onnx\s+│\s+float32\s+│\s+([\d.]+) MB\s+│\s+([\d.e-]+)", done.output)
    assert 9 < float(row[1]) < 10
    assert float(row[2]) < TOLERANCE
    session = ort.InferenceSession(out, providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()
    assert images.type == "tensor(uint8)"


def test_the_command_takes_levels_and_a_calibration_folder(tmp_path):
    for i, photo in enumerate(photos(96, 96, count=4)):
        Image.fromarray(photo).save(tmp_path / f"{i}.png")
    backbone = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))
    backbone.save_to_preset(tmp_path / "preset")
    command = ["export", str(tmp_path / "preset"), str(tmp_path / "p.onnx"), "--levels", "P3,P5"]
    command += ["--precision", "int8", "--calibration", str(tmp_path)]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "int8" in done.output
    session = ort.InferenceSession(tmp_path / "p.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["P3", "P5"]


def test_the_command_takes_all_levels(tmp_path):
    CSPDarkNetBackbone(**TINY_NET, include_rescaling=True).save_to_preset(tmp_path / "preset")
    command = ["export", str(tmp_path / "preset"), str(tmp_path / "p.onnx"), "--levels", "all"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    session = ort.InferenceSession(tmp_path / "p.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["P2", "P3"]
