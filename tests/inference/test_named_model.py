"""Models by name or path: the cached graph gives what the built model gives, and nothing stale."""

import hashlib
import json
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.detections import DetectionOptions
from cspdarknet.export import build_onnx
from cspdarknet.inference import Predictor, graph_cache
from cspdarknet.inference.named_model import NamedModel
from cspdarknet.models import CSPDarkNetBackbone, load, load_model
from support import needs_channels_first, randomize, run_python

SETTINGS = {
    "detector": [
        {},
        {"options": DetectionOptions(score_threshold=0.4, max_detections=3), "image_size": 96},
        {"options": DetectionOptions(score_threshold=[0.3, 0.1])},
    ],
    "classifier": [{}],
    "backbone": [{}, {"levels": ["P2", "P3"]}],
}


@pytest.fixture
def runtime():
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    return "openvino"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of an empty cache; the files of the package may be edited meanwhile."""
    monkeypatch.setenv(graph_cache.FOLDER_VARIABLE, str(tmp_path / "graphs"))
    monkeypatch.setattr(graph_cache, "_code_version", lambda: "0.0.0")
    return tmp_path / "graphs"


@pytest.fixture
def preset(detector, tmp_path):
    """The preset folder of a small detector."""
    detector.save_to_preset(tmp_path / "detector")
    return tmp_path / "detector"


@pytest.fixture
def cannot_build(monkeypatch):
    """Makes the construction of a model an error, from then on."""

    def refuse(self):
        raise AssertionError("the model is built")

    return lambda: monkeypatch.setattr(NamedModel, "_keras_model", property(refuse))


@pytest.mark.one_backend
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_cached_graph_gives_what_the_built_model_gives(
    name, runtime, request, cannot_build, tmp_path
):
    pytest.importorskip(runtime)
    pytest.importorskip("onnx")
    model = request.getfixturevalue(name)
    model.save_to_preset(tmp_path / name)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), "uint8")
    predictors = []
    for settings in SETTINGS[name]:
        built = Predictor(load_model(tmp_path / name), runtime=runtime, **settings)
        first = Predictor(tmp_path / name, runtime=runtime, **settings)
        predictors.append((settings, built, first))
    cannot_build()
    for settings, *made in predictors:
        cached = Predictor(str(tmp_path / name), runtime=runtime, **settings)
        shape = [side or 96 for side in cached._image_shape]
        batch = images[:, : shape[0], : shape[1]]
        for other in made:
            assert cached.info == other.info
            assert cached.output_names == other.output_names
            for key, value in other.run(batch).items():
                np.testing.assert_array_equal(cached.run(batch)[key], value)
    with pytest.raises(AssertionError, match="is built"):
        Predictor(tmp_path / name, runtime=runtime, image_size=160)


@pytest.mark.one_backend
def test_a_damaged_graph_is_made_again(preset, folder, runtime, readable):
    expected = Predictor(preset, runtime=runtime)(readable[0])
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    again = Predictor(preset, runtime=runtime)(readable[0])
    np.testing.assert_array_equal(again.xyxy, expected.xyxy)
    assert file.read_bytes() == content


@pytest.mark.one_backend
def test_other_weights_or_another_config_are_another_model(preset, detector, runtime):
    before = Predictor(preset, runtime=runtime)
    config = json.loads((preset / "config.json").read_text())
    config["config"]["class_names"] = ["cat", "dog"]
    (preset / "config.json").write_text(json.dumps(config))
    renamed = Predictor(preset, runtime=runtime)
    assert renamed.class_names == ("cat", "dog")
    images = np.full((1, 64, 64, 3), 99, "uint8")
    np.testing.assert_array_equal(renamed.run(images)["boxes"], before.run(images)["boxes"])
    other = load_model(preset)
    randomize(other, seed=9).save_to_preset(preset)
    other_boxes = Predictor(preset, runtime=runtime).run(images)["boxes"]
    assert not np.array_equal(other_boxes, before.run(images)["boxes"])
    np.testing.assert_array_equal(
        other_boxes, Predictor(other, runtime=runtime).run(images)["boxes"]
    )


@pytest.mark.one_backend
def test_random_weights_are_not_kept(preset, folder, runtime):
    (preset / "model.weights.h5").unlink()
    images = np.full((1, 64, 64, 3), 99, "uint8")
    raw = [Predictor(preset, runtime=runtime, levels=["P2"]).run(images)["P2"] for _ in range(2)]
    assert not np.array_equal(*raw)
    assert not folder.exists()


@pytest.mark.one_backend
def test_a_model_that_loads_with_a_warning_warns_each_time(preset, folder, runtime, monkeypatch):
    build = load.build_model

    def build_model(*arguments):
        warnings.warn("odd weights", UserWarning, stacklevel=1)
        return build(*arguments)

    monkeypatch.setattr(load, "build_model", build_model)
    for _ in range(2):
        with pytest.warns(UserWarning, match="odd weights"):
            Predictor(preset, runtime=runtime)
    assert not folder.exists()


@pytest.mark.one_backend
def test_a_file_that_changes_meanwhile_is_not_kept(preset, folder, runtime, monkeypatch):
    hashes = iter(["before", "after"])
    monkeypatch.setattr("cspdarknet.inference.named_model.sha256_of", lambda _: next(hashes))
    Predictor(preset, runtime=runtime)
    assert not folder.exists()


@pytest.mark.one_backend
def test_threads_start_at_once_on_an_empty_cache(preset, runtime, readable):
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: Predictor(preset, runtime=runtime), range(3)))
    expected, *others = [predictor(readable[0]) for predictor in made]
    for other in others:
        np.testing.assert_array_equal(other.xyxy, expected.xyxy)


@needs_channels_first
def test_the_data_format_of_keras_is_part_of_the_model(tmp_path, runtime):
    pytest.importorskip("safetensors")
    weights = tmp_path / "model.safetensors"
    conversion.save(randomize(CSPDarkNetBackbone([4, 6], [1, 1], True)), weights)
    assert Predictor(weights, runtime=runtime).info.data_format == "channels_last"
    keras.config.set_image_data_format("channels_first")
    expected = load_model(weights).data_format
    assert Predictor(weights, runtime=runtime).info.data_format == expected


@pytest.mark.one_backend
def test_a_new_process_neither_imports_keras_nor_forks(preset, runtime, readable):
    """OpenVINO reports its import from a forked process, which JAX warns of."""
    Predictor(preset, runtime=runtime)
    code = """
import sys
forks = []
sys.addaudithook(lambda event, _: forks.append(event) if event == "os.fork" else None)
from cspdarknet.cli import app
from cspdarknet.inference import graph_cache
graph_cache._code_version = lambda: "0.0.0"
app(["detect", sys.argv[1], sys.argv[2]], standalone_mode=False)
print("loaded", *sys.modules)
print("forks", forks)
"""
    output = run_python(code, preset, readable[0]).stdout
    loaded = set(output.partition("loaded")[2].split())
    assert runtime in loaded
    assert not loaded & {"keras", "torch", "jax", "tensorflow", "onnx", "openvino_telemetry"}
    assert output.endswith("forks []\n")


def test_every_backend_exports_the_same_graph(preset):
    """The commands build models on NumPy, whose import takes the least time."""
    pytest.importorskip("onnx")
    pytest.importorskip("jax", reason="Keras's NumPy backend imports it")
    code = """
import hashlib, sys
import numpy as np
from cspdarknet.export import build_onnx
from cspdarknet.models import load_model
np.seterr(all="ignore")
print(hashlib.sha256(build_onnx(load_model(sys.argv[1])).SerializeToString()).hexdigest())
"""
    graph = build_onnx(load_model(preset)).SerializeToString()
    done = run_python(code, preset, backend="numpy")
    assert done.stdout.split()[-1] == hashlib.sha256(graph).hexdigest()
