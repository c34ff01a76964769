"""`Predictor`: the same results from every runtime, in order, from sources of any kind."""

import csv
import os
import pickle
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.detections import Detections
from cspdarknet.evaluate import classify
from cspdarknet.export import build_onnx, export
from cspdarknet.images import ImageError, read_image
from cspdarknet.inference import Predictor
from cspdarknet.inference.keras_runtime import KerasRuntime
from cspdarknet.inference.model_source import default_runtime
from cspdarknet.inference.photos import detect_in_arrays
from cspdarknet.model_info import ModelInfo, read_model_info
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import needs_channels_first, randomize, relative_error, run_python, to_numpy

pytestmark = pytest.mark.one_backend
RUNTIMES = ("openvino", "onnxruntime", "keras")
NAMES = ("red", "green", "blue")


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    if request.param != "keras":
        pytest.importorskip(request.param)
        pytest.importorskip("onnx")
    return request.param


@pytest.fixture(scope="module")
def backbone():
    return randomize(CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True))


@pytest.fixture(scope="module")
def classifier(backbone):
    return randomize(ImageClassifier(backbone, 3, class_names=NAMES, image_size=32))


@pytest.fixture(scope="module")
def detector(backbone):
    settings = {"score_threshold": 0.2, "max_detections": 7}
    return randomize(YOLOXDetector(backbone, 2, image_size=64, **settings), seed=2)


@pytest.fixture
def photos(tmp_path):
    """Seven files of several sizes, the fourth of which is damaged."""
    rng = np.random.default_rng(0)
    paths = []
    for i, size in enumerate([(40, 60), (40, 60), (50, 50), (1, 1), (30, 90), (64, 64), (48, 80)]):
        paths.append(tmp_path / f"{i}.png")
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), "uint8"))
        coarse.resize(size[::-1], Image.Resampling.BILINEAR).save(paths[-1])
    paths[3].write_bytes(b"no photo")
    return paths


def good(photos):
    return [path for path in photos if path.name != "3.png"]


# The same results.


def test_threads_that_start_together_do_not_wait_forever(backbone, tmp_path):
    """OpenVINO imports a part of NumPy for its first array: there the second one must not come."""
    pytest.importorskip("openvino")
    export(backbone, tmp_path / "backbone.onnx")
    code = """
import builtins, sys, time
import numpy, openvino
from cspdarknet.export import Predictor

def slow_import(name, *args, plain=builtins.__import__, **how):
    if name.endswith("core.multiarray"):
        print("slow")
        time.sleep(0.5)
    return plain(name, *args, **how)

builtins.__import__ = slow_import
predictor = Predictor(sys.argv[1], threads=2, mode="throughput", batch_size=1, image_size=32)
photos = [numpy.zeros((32, 32, 3), "uint8")] * 4
print(len(predictor(photos)))
"""
    assert run_python(code, tmp_path / "backbone.onnx").stdout.split() == ["slow", "4"]


def test_features(backbone, photos, runtime):
    predictor = Predictor(backbone, runtime=runtime, levels=["P3", "P4"])
    model = backbone.feature_pyramid(["P3", "P4"])
    for path, found in zip(good(photos), predictor(good(photos)), strict=True):
        expected = model(read_image(path)[None].astype("float32"))
        assert set(found) == {"P3", "P4"}
        for level, value in expected.items():
            assert found[level].dtype == np.float32
            assert relative_error(found[level], to_numpy(value)[0]) <= 1e-4


def test_a_backbone_itself_and_squares(backbone, photos, runtime):
    predictor = Predictor(backbone, runtime=runtime, image_size=32, batch_size=4)
    assert [found["features"].shape for found in predictor(good(photos))] == [(2, 2, 16)] * 6
    shrunk = Predictor(backbone, runtime=runtime, longer_side=32)
    assert shrunk(photos[4])["features"].shape == (1, 2, 16)
    assert shrunk(read_image(photos[4]))["features"].shape == (1, 2, 16)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("activation", ["softmax", None])
def test_classes(classifier, photos, runtime, batch_size, activation):
    model = ImageClassifier.from_config({**classifier.get_config(), "activation": activation})
    model.set_weights(classifier.get_weights())
    predictor = Predictor(model, runtime=runtime, batch_size=batch_size)
    assert predictor.description.class_names == NAMES
    found = np.array(predictor(good(photos)))
    np.testing.assert_allclose(found, classify(model, good(photos)).probabilities, atol=1e-5)


def assert_same_objects(found, expected):
    assert found.image_size == expected.image_size
    assert found.classes.tolist() == expected.classes.tolist()
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05, rtol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"max_detections": 2, "image_size": 96}])
def test_objects(detector, photos, runtime, settings):
    predictor = Predictor(detector, runtime=runtime, batch_size=4, **settings)
    expected = detect_in_arrays(detector, [read_image(p) for p in good(photos)], **settings)
    assert sum(map(len, expected)) > 4
    for found, wanted in zip(predictor(good(photos)), expected, strict=True):
        assert isinstance(found, Detections)
        assert_same_objects(found, wanted)


@pytest.mark.parametrize("how", [{"letterbox": True}, {}])
def test_exported_detectors(detector, photos, tmp_path, how):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "cells.onnx"
    file.write_bytes(build_onnx(detector, **how).SerializeToString())
    predictor = Predictor(str(file), runtime="onnxruntime")
    expected = detect_in_arrays(detector, [read_image(p) for p in good(photos)])
    for found, wanted in zip(predictor(good(photos)), expected, strict=True):
        assert_same_objects(found, wanted)


def test_throughput_gives_the_same(classifier, photos, runtime):
    results = [
        np.array(Predictor(classifier, runtime=runtime, mode=mode, threads=2)(good(photos) * 9))
        for mode in ("latency", "throughput")
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


@needs_channels_first
def test_channels_first(photos, runtime):
    models = [
        CSPDarkNetBackbone([8, 12], [1, 1], True, data_format=layout)
        for layout in ("channels_last", "channels_first")
    ]
    models[1].set_weights(randomize(models[0]).get_weights())
    last, first = (Predictor(m, runtime=runtime)(photos[0])["features"] for m in models)
    np.testing.assert_allclose(last, first, atol=1e-4)


def test_ready_arrays(classifier, runtime):
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 33, 3), "uint8")
    found = Predictor(classifier, runtime=runtime).run(images)["probabilities"]
    expected = classifier.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    floats = Predictor(classifier, runtime=runtime).run(images.astype("float32"))
    np.testing.assert_array_equal(floats["probabilities"], found)
    with pytest.raises(ValueError, match=r"\(batch, height, width, 3\)"):
        Predictor(classifier, runtime=runtime).run(images[0])


def test_ready_arrays_of_another_form_are_refused(classifier, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "a.onnx"
    file.write_bytes(build_onnx(classifier, image_size=32).SerializeToString())
    predictor = Predictor(file, runtime="onnxruntime")
    for images, received in [
        ([np.zeros((32, 32, 3))], "a list"),
        (np.zeros((0, 32, 32, 3)), r"the shape \(0, 32, 32, 3\)"),
        (np.zeros((1, 40, 32, 3)), r"the shape \(1, 40, 32, 3\)"),
    ]:
        with pytest.raises(ValueError, match=rf"\(batch, 32, 32, 3\). Received: {received}"):
            predictor.run(images)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
def test_pillow_images_are_read_as_files_are(classifier, photos, mode):
    image = Image.open(photos[0]).convert(mode)
    file = photos[0].with_suffix(".tif")
    image.save(file)
    predictor = Predictor(classifier, runtime="keras")
    expected = predictor(file)
    np.testing.assert_array_equal(predictor(image), expected)
    np.testing.assert_array_equal(predictor([image])[0], expected)


def test_a_panorama_is_decoded_with_enough_pixels(classifier, tmp_path):
    """Vertical lines stay apart: the square in the middle is 256 pixels of 2048."""
    lines = np.zeros((256, 2048, 3), "uint8")
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "wide.jpg", quality=100, subsampling=0)
    prepare = Predictor(classifier, runtime="keras", image_size=128)._pixels
    np.testing.assert_array_equal(
        prepare(tmp_path / "wide.jpg")[0], prepare(read_image(tmp_path / "wide.jpg"))[0]
    )


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_backbone_for_images_of_one_size_sees_squares(backbone, photos, tmp_path, suffix):
    pytest.importorskip("openvino")
    export(backbone, tmp_path / f"a{suffix}", image_size=32)
    open_one = Predictor(backbone, runtime="keras", image_size=32)
    found = Predictor(tmp_path / f"a{suffix}")(photos[0])["features"]
    assert relative_error(found, open_one(photos[0])["features"]) <= 1e-4
    for sizes in ({"image_size": 64}, {"longer_side": 64}):
        with pytest.raises(ValueError, match=r"squares of `image_size` 32\. Received: .*=64"):
            Predictor(tmp_path / f"a{suffix}", **sizes)


def test_a_letterbox_inside_has_one_size(detector, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "a.onnx"
    file.write_bytes(build_onnx(detector, letterbox=True).SerializeToString())
    with pytest.raises(ValueError, match=r"squares of `image_size` 64\. Received: image_size=96"):
        Predictor(file, runtime="onnxruntime", image_size=96)


def test_models_of_other_images_are_refused():
    gray = CSPDarkNetBackbone([8, 12], [1, 1], False, input_shape=(None, None, 1))
    with pytest.raises(ValueError, match=r"of 3 channels\. Received: one of 1"):
        Predictor(gray, runtime="keras")


def test_half_precision_comes_as_float32(classifier, monkeypatch):
    import ml_dtypes

    runtime = KerasRuntime(classifier)
    half = {"probabilities": np.ones((1, 3), ml_dtypes.bfloat16), "classes": np.ones(1, "int32")}
    monkeypatch.setattr(runtime, "_call", lambda images: half)
    found = runtime.run(np.zeros((1, 32, 32, 3), "float32"))
    assert [value.dtype for value in found.values()] == ["float32", "int32"]


def test_another_process_needs_a_predictor_of_its_own(classifier, monkeypatch):
    predictor = Predictor(classifier, runtime="keras")
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(predictor)
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a child of `os.fork`
    with pytest.raises(RuntimeError, match="make one in each process"):
        predictor(np.zeros((32, 32, 3), "uint8"))


# Streams.


def test_order_and_bad_photos(classifier, photos, runtime):
    array = read_image(photos[0])
    items = [*photos, array.astype(int), array[:, :, 0], array / 1.0, str(photos[0]), "none.png"]
    results = list(Predictor(classifier, runtime=runtime, batch_size=3).stream(items * 3))
    assert all(a is b for (a, _), b in zip(results, items * 3, strict=True))
    bad = [i for i, (_, result) in enumerate(results[:12]) if isinstance(result, ImageError)]
    assert bad == [3, 8, 11]
    assert "3.png" in str(results[3][1])
    for i in (7, 9, 10):
        np.testing.assert_allclose(results[i][1], results[0][1], atol=1e-6)
    with pytest.raises(ImageError, match=r"3\.png"):
        Predictor(classifier, runtime=runtime)(photos)
    with pytest.raises(ImageError, match=r"3\.png"):
        Predictor(classifier, runtime=runtime)(photos[3])


class Endless:
    """An endless source that counts what is taken from it, and knows when it is closed."""

    def __init__(self, item, error_at=None):
        self.item, self.error_at = item, error_at
        self.taken, self.closed = 0, False

    def __iter__(self):
        try:
            while True:
                if self.taken == self.error_at:
                    raise OSError("the disk is gone")
                self.taken += 1
                yield self.item
        finally:
            self.closed = True


@pytest.mark.parametrize(("mode", "batch_size"), [("latency", 1), ("throughput", 4)])
def test_an_endless_source_is_not_run_away_with(classifier, photos, runtime, mode, batch_size):
    source = Endless(str(photos[0]))
    before = threading.active_count()
    predictor = Predictor(
        classifier, runtime=runtime, mode=mode, batch_size=batch_size, threads=2, workers=2
    )
    in_runtime = threading.active_count() - before
    stream = predictor.stream(source)
    for given in range(1, 120):
        next(stream)
        assert source.taken - given <= 4 * batch_size + 6
    stream.close()
    assert source.closed
    assert threading.active_count() <= before + in_runtime
    assert source.taken < 150


def test_an_error_of_the_source_comes_after_the_results_before_it(classifier, photos, runtime):
    predictor = Predictor(classifier, runtime=runtime, batch_size=4)
    results = []
    with pytest.raises(OSError, match="the disk is gone"):
        results.extend(predictor.stream(Endless(photos[0], error_at=10)))
    assert len(results) == 10


@pytest.mark.parametrize("item", [None, np.zeros((8, 8)), [[[1, 2], [1]]], b"photo", 5])
def test_what_is_no_photo_is_one_error(classifier, item):
    with pytest.raises(ImageError, match=r"is \(height, width, 3\). Received"):
        Predictor(classifier, runtime="keras")(item)


def test_what_is_no_photo_does_not_stop_a_stream(classifier, photos):
    items = [photos[0], [[1, 2], [1]], None, photos[1]]
    results = [result for _, result in Predictor(classifier, runtime="keras").stream(items)]
    assert [isinstance(result, ImageError) for result in results] == [False, True, True, False]


@pytest.mark.parametrize("photo", ["a.png", np.zeros((8, 8, 3), "uint8")])
def test_a_stream_of_one_photo_is_refused(classifier, photo):
    with pytest.raises(ValueError, match="call the predictor on one photo"):
        Predictor(classifier, runtime="keras").stream(photo)


def test_a_stream_may_be_open_when_python_ends(classifier, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "a.onnx"
    file.write_bytes(build_onnx(classifier).SerializeToString())
    code = """
import sys
import numpy
from cspdarknet.export import Predictor

stream = Predictor(sys.argv[1], runtime="onnxruntime").stream([numpy.zeros((8, 8, 3))] * 9)
next(stream)
"""
    assert "ignored" not in run_python(code, file).stderr


def test_nothing(classifier, runtime):
    assert Predictor(classifier, runtime=runtime)([]) == []


# Choices.


def test_the_fastest(classifier, photos):
    predictor = Predictor(classifier, runtime="fastest")
    assert predictor.runtime in RUNTIMES
    assert predictor(photos[0]).shape == (3,)


def test_the_fastest_is_started_once_on_photos_that_come_once(classifier, photos, monkeypatch):
    pytest.importorskip("onnxruntime")
    source = sys.modules["cspdarknet.inference.model_source"]
    calibrations, started = [], []

    def start(self, runtime):
        calibrations.append(list(self.calibration))
        started.append(runtime)
        return KerasRuntime(classifier)

    monkeypatch.setattr(source.KerasModel, "runtimes", ["onnxruntime", "openvino"])
    monkeypatch.setattr(source.KerasModel, "start", start)
    once = (path for path in good(photos))
    Predictor(classifier, runtime="fastest", precision="int8", calibration=once)
    assert started == ["onnxruntime", "openvino"]
    assert calibrations == [good(photos)] * 2


@pytest.mark.parametrize(("runtime", "tool"), [("onnxruntime",) * 2, ("openvino", "nncf")])
def test_int8(classifier, photos, runtime, tool):
    pytest.importorskip(tool)
    how = {"runtime": runtime, "precision": "int8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = Predictor(classifier, calibration=good(photos), **how)
    assert predictor.description.precision == "int8"
    np.testing.assert_allclose(
        predictor(photos[0]), Predictor(classifier, runtime="keras")(photos[0]), atol=0.1
    )
    with pytest.raises(ValueError, match="calibration"):
        Predictor(classifier, **how)


def test_bfloat16(classifier, photos):
    openvino = pytest.importorskip("openvino")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        found = Predictor(classifier, precision="bfloat16")(photos[0])
        np.testing.assert_allclose(found.sum(), 1, atol=0.01)
    else:
        with pytest.raises(ValueError, match="a processor that computes in bfloat16"):
            Predictor(classifier, precision="bfloat16")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "tvm"}, "'openvino', 'onnxruntime', 'keras', 'fastest'.*'tvm'"),
        ({"mode": "fast"}, "'latency', 'throughput'"),
        ({"precision": "float8"}, "'float32', 'bfloat16', 'int8'"),
        ({"precision": "bfloat16", "runtime": "keras"}, "is for openvino. Received.*'keras'"),
        ({"batch_size": 0}, "`batch_size` must be 1 or more"),
        ({"workers": np.int64(0)}, "`workers` must be 1 or more"),
        ({"image_size": 64.5}, "`image_size` must be a whole number. Received: image_size=64.5"),
        ({"threads": "64"}, "`threads` must be a whole number. Received: threads='64'"),
        ({"calibration": []}, "is for precision='int8'"),
        ({"levels": ["P3"]}, "are a backbone's"),
        ({"longer_side": 64}, "is for a backbone"),
        ({"score_threshold": 0.5}, "for a detector"),
    ],
)
def test_what_cannot_be_done_is_said(classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        Predictor(classifier, **{"runtime": "keras", **arguments})


def test_files_that_cannot_be_run(classifier, tmp_path):
    onnx = pytest.importorskip("onnx")
    file = tmp_path / "a.onnx"
    graph = build_onnx(classifier)
    file.write_bytes(graph.SerializeToString())
    for arguments, message in [
        ({"runtime": "keras"}, "takes Keras models"),
        ({"runtime": "onnxruntime", "precision": "int8"}, "export it in int8"),
        ({"score_threshold": 0.5}, "score_threshold: settled"),
    ]:
        with pytest.raises(ValueError, match=message):
            Predictor(file, **arguments)
    with pytest.raises(ValueError, match="no file"):
        Predictor(tmp_path / "b.onnx")
    onnx.helper.set_model_props(graph, {"cspdarknet": "{}"})
    file.write_bytes(graph.SerializeToString())
    with pytest.raises(ValueError, match="one that cspdarknet exported"):
        Predictor(file, runtime="onnxruntime")


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_damaged_files(classifier, tmp_path, suffix):
    pytest.importorskip("openvino")
    path = tmp_path / f"a{suffix}"
    export(classifier, path)
    assert read_model_info(path) == Predictor(path).description
    weights = path if suffix == ".onnx" else path.with_suffix(".bin")
    data = weights.read_bytes()
    for count in (len(data) // 2, len(data) - 3, 0):
        weights.write_bytes(data[:count])
        for name in ("openvino", "onnxruntime")[: 1 if suffix == ".xml" else 2]:
            with pytest.raises(ValueError, match=rf"a\{suffix} is damaged or incomplete \(.+\)"):
                Predictor(path, runtime=name)


def test_int8_for_onnxruntime_is_not_given_to_openvino(classifier, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    export(classifier, tmp_path / "a.onnx", inputs="uint8")
    assert default_runtime(tmp_path / "a.onnx") == "openvino"
    calibration = [np.zeros((32, 32, 3), "uint8")]
    export(classifier, tmp_path / "b.onnx", precision="int8", calibration=calibration)
    assert default_runtime(tmp_path / "b.onnx") == "onnxruntime"
    assert Predictor(tmp_path / "b.onnx", runtime="fastest").runtime == "onnxruntime"
    with pytest.raises(ValueError, match="use 'onnxruntime'"):
        Predictor(tmp_path / "b.onnx")


def test_descriptions_are_read_as_they_were_written():
    about = ModelInfo("classes", NAMES, 32, "uint8", False, "channels_last", "int8")
    assert ModelInfo.from_json(about.to_json(), "a file") == about
    with pytest.raises(ValueError, match="'masks' from a file"):
        ModelInfo.from_json(about.to_json().replace("classes", "masks", 1), "a file")


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_runtime_is_one_sentence(classifier, monkeypatch, name):
    pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'cspdarknet\[{name}\]'"):
        Predictor(classifier, runtime=name)


# Without Keras.

WITHOUT_KERAS = """
import csv
import sys
import numpy as np
from cspdarknet.export import Predictor
predictor = Predictor(sys.argv[1], runtime=sys.argv[2])
found = predictor([np.zeros((40, 50, 3), "uint8")] * 3)
print(predictor.description.task, len(found))
loaded = {"keras", "torch", "jax", "tensorflow", "onnx", "h5py"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_file_needs_no_keras(classifier, detector, tmp_path, runtime):
    pytest.importorskip(runtime)
    for model in (classifier, detector):
        file = tmp_path / f"{model.name}.onnx"
        file.write_bytes(build_onnx(model, inputs="uint8").SerializeToString())
        done = run_python(WITHOUT_KERAS, file, runtime)
        assert done.stdout.split()[1] == "3"


def test_presets_by_name():
    predictor = Predictor("csp_darknet_tiny_clothing", runtime="keras")
    assert len(predictor.description.class_names) == 10


# Commands.


def run_command(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160"})


@pytest.mark.parametrize("source", ["preset", "file"])
def test_predict_and_detect_give_the_same_on_every_runtime(
    classifier, detector, photos, tmp_path, source, runtime
):
    if source == "file" and runtime == "keras":
        pytest.skip("Keras runs no exported files")
    detector.class_names = ("red", "blue")
    for command, model in (("predict", classifier), ("detect", detector)):
        preset = tmp_path / "preset"
        model.save_to_preset(preset)
        expected = tmp_path / "expected.csv"
        option = "--out" if command == "predict" else "--csv"
        run_command(command, preset, *good(photos), "--runtime", "keras", option, expected)
        if source == "file":
            preset = tmp_path / "model.onnx"
            preset.write_bytes(build_onnx(model, inputs="uint8").SerializeToString())
        found = tmp_path / "found.csv"
        done = run_command(command, preset, *photos, "--runtime", runtime, option, found)
        assert done.exit_code == 1, done.exception
        assert "3.png: not an image" in done.output
        rows = [list(csv.DictReader(file.open())) for file in (found, expected)]
        assert len(rows[0]) == len(rows[1]) >= 6
        for row, wanted in zip(*rows, strict=True):
            for name, value in row.items():
                number = value.replace(".", "").replace("-", "").isdigit()
                close = pytest.approx(float(wanted[name]), abs=0.06) if number else wanted[name]
                assert (float(value) if number else value) == close


def test_features_of_an_exported_file(backbone, photos, tmp_path):
    pytest.importorskip("onnxruntime")
    model = backbone.feature_pyramid(["P2", "P4"])
    file = tmp_path / "pyramid.onnx"
    file.write_bytes(build_onnx(model, inputs="uint8").SerializeToString())
    command = ("features", *good(photos), "--preset", file, "--out", tmp_path / "out")
    done = run_command(*command, "--runtime", "onnxruntime")
    assert "6 of 6 photos" in done.output, done.exception
    expected = model(read_image(photos[4])[None].astype("float32"))
    with np.load(tmp_path / "out/4.png.npz") as found:
        assert relative_error(found["P2"], to_numpy(expected["P2"])[0]) <= 1e-4
        assert relative_error(found["vector"], to_numpy(expected["P4"]).mean((0, 1, 2))) <= 1e-4
    (tmp_path / "out/5.png.npz").unlink()
    assert "1 of 6 photos written" in run_command(*command, "--runtime", "onnxruntime").output
    assert "leave the options out" in str(run_command(*command, "--levels", "P2").exception)


def test_features_of_a_file_for_images_of_one_size(backbone, photos, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "a.onnx"
    file.write_bytes(
        build_onnx(backbone.feature_pyramid(["P2"]), image_size=32).SerializeToString()
    )
    done = run_command("features", photos[0], "--preset", file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    with np.load(tmp_path / "out/0.png.npz") as found:
        assert found["P2"].shape == (8, 8, 8)


def test_features_of_a_detector_are_refused_at_once(detector, photos, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "a.onnx"
    file.write_bytes(build_onnx(detector).SerializeToString())
    done = run_command("features", photos[0], "--preset", file, "--out", tmp_path / "out")
    assert "Features are a backbone's" in str(done.exception)


def test_a_command_refuses_files_of_other_models(backbone, photos, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "a.onnx"
    file.write_bytes(build_onnx(backbone).SerializeToString())
    for command in ("predict", "detect"):
        done = run_command(command, file, photos[0], "--runtime", "onnxruntime")
        assert "gives features, not" in str(done.exception)
