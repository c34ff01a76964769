"""`Predictor`: the same results from every runtime, in order, from sources of any kind."""

import os
import pickle
import threading

import numpy as np
import pytest
from PIL import Image

from cspdarknet.detections import DetectionOptions, Detections
from cspdarknet.export import export
from cspdarknet.images import ImageError, center_crop, open_image, read_image
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import needs_channels_first, randomize, relative_error, run_python, to_numpy

pytestmark = pytest.mark.one_backend
NAMES = ("red", "green", "blue")


# The same results.


def test_features(backbone, readable, runtime):
    predictor = Predictor(backbone, runtime=runtime, levels=["P3", "P4"])
    assert predictor.class_names == ()
    model = backbone.feature_pyramid(["P3", "P4"])
    for path, features in zip(readable, predictor(readable), strict=True):
        expected = model(read_image(path)[None].astype("float32"))
        assert set(features) == {"P3", "P4"}
        for level, value in expected.items():
            assert features[level].dtype == np.float32
            assert relative_error(features[level], to_numpy(value)[0]) <= 1e-4


def test_a_backbone_itself_and_squares(backbone, readable, runtime):
    predictor = Predictor(backbone, runtime=runtime, image_size=32, batch_size=4)
    assert [maps["features"].shape for maps in predictor(readable)] == [(2, 2, 16)] * 6
    shrunk = Predictor(backbone, runtime=runtime, longer_side=32)
    assert shrunk(readable[3])["features"].shape == (1, 2, 16)
    assert shrunk(read_image(readable[3]))["features"].shape == (1, 2, 16)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("activation", ["softmax", None])
def test_probabilities(classifier, readable, runtime, batch_size, activation):
    model = ImageClassifier.from_config({**classifier.get_config(), "activation": activation})
    model.set_weights(classifier.get_weights())
    predictor = Predictor(model, runtime=runtime, batch_size=batch_size)
    assert predictor.class_names == predictor.info.class_names == NAMES
    crops = np.stack([center_crop(open_image(path), 32) for path in readable])
    expected = classifier.predict(crops.astype("float32"), verbose=0)
    np.testing.assert_allclose(np.array(predictor(readable)), expected, atol=1e-5)


def expected_detections(detector, paths, options=None):
    """The detections of `predict`, whose boxes are converted by hand."""
    images = [read_image(path) for path in paths]
    outputs = detector.predict(images, options=options)
    center, half = outputs["boxes"][..., :2], outputs["boxes"][..., 2:] / 2
    outputs["boxes"] = np.concatenate([center - half, center + half], axis=-1)
    return [
        Detections.from_outputs({k: v[i] for k, v in outputs.items()}, image.shape[:2])
        for i, image in enumerate(images)
    ]


def assert_same_detections(results, expected):
    assert sum(map(len, expected)) > 4
    for detections, other in zip(results, expected, strict=True):
        assert isinstance(detections, Detections)
        assert detections.image_size == other.image_size
        assert detections.class_id.tolist() == other.class_id.tolist()
        np.testing.assert_allclose(detections.xyxy, other.xyxy, atol=0.05, rtol=1e-4)
        np.testing.assert_allclose(detections.confidence, other.confidence, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        None,
        DetectionOptions({"class 1": 0.3}, max_detections=2, image_size=96),
    ],
)
def test_detections(detector, readable, runtime, options):
    predictor = Predictor(detector, runtime=runtime, batch_size=4, options=options)
    assert predictor.info.score_threshold == (0.2 if options is None else (0.2, 0.3))
    results = predictor(readable)
    assert_same_detections(results, expected_detections(detector, readable, options))
    assert results[0].class_names == predictor.class_names == ("class 0", "class 1")


@pytest.mark.parametrize(
    "options", [{}, {"letterbox": True}, {"letterbox": True, "inputs": "float32"}]
)
def test_exported_detectors(detector, readable, onnx_file, options):
    file = onnx_file(detector, **options)
    predictor = Predictor(str(file), runtime="onnxruntime")
    assert_same_detections(predictor(readable), expected_detections(detector, readable))
    assert predictor.class_names == ("class 0", "class 1")


def test_throughput_gives_the_same(classifier, readable, runtime):
    results = [
        np.array(Predictor(classifier, runtime=runtime, mode=mode, threads=2)(readable * 9))
        for mode in ("latency", "throughput")
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


@needs_channels_first
def test_channels_first(readable, runtime):
    models = [
        CSPDarkNetBackbone([8, 12], [1, 1], True, data_format=data_format)
        for data_format in ("channels_last", "channels_first")
    ]
    models[1].set_weights(randomize(models[0]).get_weights())
    last, first = (Predictor(m, runtime=runtime)(readable[0])["features"] for m in models)
    np.testing.assert_allclose(last, first, atol=1e-4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
def test_pillow_images_are_read_like_files(classifier, readable, mode):
    image = Image.open(readable[0]).convert(mode)
    file = readable[0].with_suffix(".tif")
    image.save(file)
    predictor = Predictor(classifier, runtime="keras")
    expected = predictor(file)
    np.testing.assert_array_equal(predictor(image), expected)
    np.testing.assert_array_equal(predictor([image])[0], expected)


def test_presets_by_name():
    predictor = Predictor("csp_darknet_tiny_clothing", runtime="keras")
    assert len(predictor.class_names) == 10


def test_levels_of_a_preset():
    predictor = Predictor("csp_darknet_tiny_clothing", runtime="keras", levels=["P4"])
    assert predictor.output_names == ["P4"]


# Preprocessed arrays.


def test_arrays(classifier, runtime):
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 33, 3), "uint8")
    predictor = Predictor(classifier, runtime=runtime)
    outputs = predictor.run(images)["probabilities"]
    expected = classifier.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    floats = predictor.run(images.astype("float32"))
    np.testing.assert_array_equal(floats["probabilities"], outputs)
    with pytest.raises(ValueError, match=r"\(batch, height, width, 3\)"):
        predictor.run(images[0])


def test_arrays_of_another_shape_are_refused(classifier, onnx_file):
    predictor = Predictor(onnx_file(classifier, image_size=32), runtime="onnxruntime")
    for images, received in [
        ([np.zeros((32, 32, 3))], "a list"),
        (np.zeros((0, 32, 32, 3)), r"the shape \(0, 32, 32, 3\)"),
        (np.zeros((1, 40, 32, 3)), r"the shape \(1, 40, 32, 3\)"),
    ]:
        with pytest.raises(ValueError, match=rf"\(batch, 32, 32, 3\). Received: {received}"):
            predictor.run(images)


def test_images_of_other_channels_than_the_model_are_refused():
    gray = CSPDarkNetBackbone([8, 12], [1, 1], False, input_shape=(None, None, 1))
    predictor = Predictor(gray, runtime="keras")
    assert predictor(np.zeros((32, 32, 1), "uint8"))["features"].shape[2] == 12
    with pytest.raises(ImageError, match=r"the 1 channels of the model\. Received: 3 channels"):
        predictor(np.zeros((32, 32, 3), "uint8"))


def test_another_process_needs_a_predictor_of_its_own(classifier, monkeypatch):
    predictor = Predictor(classifier, runtime="keras")
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(predictor)
    monkeypatch.setattr(os, "getpid", lambda: -1)  # like in a child of `os.fork`
    with pytest.raises(RuntimeError, match="make one in each process"):
        predictor(np.zeros((32, 32, 3), "uint8"))


# Streams.


def test_order_and_unreadable_files(classifier, files, runtime):
    array = read_image(files[0])
    items = [*files, array.astype(int), array[:, :, 0], array / 1.0, str(files[0]), "none.png"]
    results = list(Predictor(classifier, runtime=runtime, batch_size=3).stream(items * 3))
    assert all(a is b for (a, _), b in zip(results, items * 3, strict=True))
    bad = [i for i, (_, result) in enumerate(results[:12]) if isinstance(result, ImageError)]
    assert bad == [3, 8, 11]
    assert "3.png" in str(results[3][1])
    for i in (7, 9, 10):
        np.testing.assert_allclose(results[i][1], results[0][1], atol=1e-6)
    with pytest.raises(ImageError, match=r"3\.png"):
        Predictor(classifier, runtime=runtime)(files)
    with pytest.raises(ImageError, match=r"3\.png"):
        Predictor(classifier, runtime=runtime)(files[3])


def test_a_batch_has_images_of_one_size(backbone, files, monkeypatch):
    predictor = Predictor(backbone, runtime="keras", batch_size=4)
    shapes, run = [], predictor.run
    monkeypatch.setattr(predictor, "run", lambda x: shapes.append(x.shape[:3]) or run(x))
    assert len(list(predictor.stream(files))) == 7
    assert shapes == [(2, 40, 60), (1, 50, 50), (1, 30, 90), (1, 64, 64), (1, 48, 80)]


def test_pixels_come_with_the_results(classifier, detector, files, opened):
    """A detector's are those of the whole image, a classifier's those of its center crop."""
    for model, expected in (
        (detector, lambda path: read_image(path)),
        (classifier, lambda path: center_crop(open_image(path, shorter_side=64), 32)),
    ):
        predictor = Predictor(model, runtime="keras", batch_size=4)
        opened.clear()
        results = list(predictor.stream(files, with_pixels=True))
        assert sorted(opened) == files  # each once, in the order of the threads
        for path, result, pixels in results:
            if isinstance(result, ImageError):
                assert path.name == "3.png"
                assert pixels is None
            else:
                np.testing.assert_array_equal(pixels, expected(path))


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
def test_prefetching_is_bounded(classifier, readable, runtime, mode, batch_size):
    source = Endless(str(readable[0]))
    before = threading.active_count()
    predictor = Predictor(
        classifier, runtime=runtime, mode=mode, batch_size=batch_size, threads=2, workers=2
    )
    in_runtime = threading.active_count() - before
    stream = predictor.stream(source)
    for yielded in range(1, 60):
        next(stream)
        assert source.taken - yielded <= 4 * batch_size + 6
    stream.close()
    assert source.closed
    assert threading.active_count() <= before + in_runtime
    assert source.taken < 85


def test_an_error_of_the_source_comes_after_the_results_before_it(classifier, readable, runtime):
    predictor = Predictor(classifier, runtime=runtime, batch_size=4)
    results = []
    with pytest.raises(OSError, match="the disk is gone"):
        results.extend(predictor.stream(Endless(readable[0], error_at=10)))
    assert len(results) == 10


@pytest.mark.parametrize("item", [None, np.zeros((8, 8)), [[[1, 2], [1]]], 5])
def test_other_objects_are_one_error(classifier, item):
    with pytest.raises(ImageError, match=r"be an array \(height, width, 3\)\. Received"):
        Predictor(classifier, runtime="keras")(item)


def test_other_objects_do_not_stop_a_stream(classifier, readable):
    items = [readable[0], [[1, 2], [1]], None, readable[1]]
    results = [result for _, result in Predictor(classifier, runtime="keras").stream(items)]
    assert [isinstance(result, ImageError) for result in results] == [False, True, True, False]


@pytest.mark.parametrize("image", ["a.png", np.zeros((8, 8, 3), "uint8")])
def test_a_stream_of_one_image_is_refused(classifier, image):
    with pytest.raises(ValueError, match="call the predictor on one image"):
        Predictor(classifier, runtime="keras").stream(image)


def test_a_stream_may_be_open_when_python_ends(classifier, onnx_file):
    code = """
import sys
import numpy
from cspdarknet.inference import Predictor

stream = Predictor(sys.argv[1], runtime="onnxruntime").stream([numpy.zeros((8, 8, 3))] * 9)
next(stream)
"""
    assert "ignored" not in run_python(code, onnx_file(classifier)).stderr


def test_no_images(classifier, runtime):
    assert Predictor(classifier, runtime=runtime)([]) == []


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "tvm"}, "'openvino', 'onnxruntime', 'keras', 'fastest'.*'tvm'"),
        ({"mode": "fast"}, "'latency', 'throughput'"),
        ({"precision": "float8"}, "'float32', 'bfloat16', 'int8'"),
        ({"precision": "bfloat16", "runtime": "keras"}, "is for openvino. Received.*'keras'"),
        ({"batch_size": 0}, "`batch_size` must be an integer, at least 1"),
        ({"workers": np.int64(0)}, "`workers` must be an integer, at least 1"),
        ({"image_size": 64.5}, "`image_size` must be an integer.* Received: image_size=64.5"),
        ({"threads": "64"}, "`threads` must be an integer.* Received: threads='64'"),
        ({"calibration": []}, "precision='int8', and only then"),
        ({"levels": ["P3"]}, "`levels` are for backbones"),
        ({"longer_side": 64}, "`longer_side` is for backbones"),
        ({"options": DetectionOptions(score_threshold=0.5)}, "for detectors"),
        ({"options": DetectionOptions(image_size=64), "image_size": 96}, "must be the same"),
    ],
)
def test_invalid_arguments(classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        Predictor(classifier, **{"runtime": "keras", **arguments})


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_backbone_for_images_of_one_size_gets_center_crops(backbone, files, tmp_path, suffix):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    export(backbone, tmp_path / f"a{suffix}", image_size=32)
    free = Predictor(backbone, runtime="keras", image_size=32)
    features = Predictor(tmp_path / f"a{suffix}")(files[0])["features"]
    assert relative_error(features, free(files[0])["features"]) <= 1e-4
    for sizes in ({"image_size": 64}, {"longer_side": 64}):
        with pytest.raises(ValueError, match=r"squares of `image_size` 32\. Received: .*=64"):
            Predictor(tmp_path / f"a{suffix}", **sizes)


def test_a_file_with_a_letterbox_has_one_size(detector, onnx_file):
    file = onnx_file(detector, letterbox=True)
    with pytest.raises(ValueError, match=r"squares of `image_size` 64\. Received: image_size=96"):
        Predictor(file, runtime="onnxruntime", image_size=96)


# Without Keras.

WITHOUT_KERAS = """
import csv
import sys
import numpy as np
from cspdarknet.inference import Predictor
for file in sys.argv[2:]:
    predictor = Predictor(file, runtime=sys.argv[1])
    results = predictor([np.zeros((40, 50, 3), "uint8")] * 3)
    print(predictor.info.task, len(results))
loaded = {"keras", "torch", "jax", "tensorflow", "onnx", "h5py"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_file_needs_no_keras(classifier, detector, onnx_file, runtime):
    pytest.importorskip(runtime)
    files = [
        onnx_file(model).rename(onnx_file(model).with_stem(model.name))
        for model in (classifier, detector)
    ]
    done = run_python(WITHOUT_KERAS, runtime, *files)
    assert done.stdout.split() == ["classification", "3", "detection", "3"]
