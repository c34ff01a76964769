"""What an import costs and chooses, in fresh processes."""

import keras
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import run_python

BACKENDS = {"jax", "torch", "tensorflow"}


def test_import_loads_nothing_that_is_not_needed():
    """Keras itself, its backend and h5py aside; what Keras imports anyway does not count."""
    code = """
import sys, keras
before = set(sys.modules)
import cspdarknet
print(" ".join(sorted({name.split(".")[0] for name in set(sys.modules) - before})))
"""
    added = set(run_python(code).stdout.split())
    assert "cspdarknet" in added
    slow = {"PIL", "kagglehub", "huggingface_hub", "rich", "typer", "sklearn", "safetensors"}
    assert not added & (slow | BACKENDS)


@pytest.mark.one_backend
def test_import_loads_neither_keras_nor_a_backend():
    code = """
import sys
import cspdarknet
from cspdarknet.export import Predictor
print(*sys.modules)
"""
    assert not set(run_python(code).stdout.split()) & {*BACKENDS, "keras", "h5py", "onnx"}


@pytest.mark.one_backend
@pytest.mark.parametrize("first", ["import cspdarknet, keras", "import keras, cspdarknet"])
def test_saved_models_are_read_after_the_import_alone(first, tmp_path):
    """Keras must know the classes, though nothing has used them yet."""
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    detector = YOLOXDetector(backbone, 2, image_size=64)
    models = (backbone, ImageClassifier(backbone, 3), detector, detector.inference_model())
    for i, model in enumerate(models):
        model.save(tmp_path / f"{i}.keras")
    code = f"""
import sys
{first}
assert "cspdarknet.models" not in sys.modules
for i in range(4):
    print(type(keras.saving.load_model(sys.argv[1] + f"/{{i}}.keras")).__name__)
"""
    done = run_python(code, tmp_path)
    assert done.stdout.split() == [
        *("CSPDarkNetBackbone", "ImageClassifier", "YOLOXDetector", "Functional")
    ]


@pytest.mark.one_backend
def test_another_thread_may_be_importing_keras():
    code = """
import sys, threading, time
thread = threading.Thread(target=lambda: __import__("keras"))
thread.start()
while "keras" not in sys.modules:
    time.sleep(0.001)
assert thread.is_alive()
import cspdarknet
cspdarknet.models.CSPDarkNetBackbone
thread.join()
"""
    run_python(code)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "name", ["checkpoints", "layers", "models", "deploy", "features", "detect"]
)
def test_any_part_may_be_imported_first(name):
    run_python(f"import cspdarknet.{name}")


@pytest.mark.one_backend
def test_keras_on_openvino_predicts():
    pytest.importorskip("openvino")
    code = """
import cspdarknet as keras_cv
import numpy as np
model = keras_cv.models.CSPDarkNetBackbone([4, 6], [1, 1], True)
print(model.predict(np.ones((1, 32, 48, 3)), verbose=0).shape)
"""
    done = run_python(code, backend="openvino")
    assert done.stdout.strip() == "(1, 4, 6, 6)"


def test_import_loads_one_backend():
    code = "import sys, cspdarknet.models; print(*sys.modules)"
    loaded = set(run_python(code).stdout.split()) & BACKENDS
    assert keras.backend.backend() in loaded
    if keras.backend.backend() == "jax":  # the others use JAX's or TensorFlow's tree utilities
        assert loaded == {"jax"}


HIDE = """
import importlib.util, os, sys
hidden = {hidden!r}
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)
{setup}
import cspdarknet, keras
print(keras.backend.backend())
"""


def backend_of(hidden, setup, tmp_path):
    code = HIDE.format(
        hidden=hidden, setup=f"os.environ['KERAS_HOME'] = {str(tmp_path)!r}\n{setup}"
    )
    return run_python(code, check=False)


def test_an_installed_backend_is_chosen(tmp_path):
    present = keras.backend.backend()
    done = backend_of(BACKENDS - {present}, "os.environ.pop('KERAS_BACKEND')", tmp_path)
    assert done.stdout.split()[-1] == present, done.stderr


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ("os.environ.pop('KERAS_BACKEND')", "pip install 'cspdarknet[jax]'"),
        ("os.environ['KERAS_BACKEND'] = 'torch'", "pip install 'cspdarknet[torch]'"),
    ],
)
def test_a_missing_backend_is_one_sentence(setup, message, tmp_path):
    done = backend_of(BACKENDS, setup, tmp_path)
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]


def test_keras_json_is_respected(tmp_path):
    present = keras.backend.backend()
    (tmp_path / "keras.json").write_text(f'{{"backend": "{present}"}}')
    done = backend_of(set(), "os.environ.pop('KERAS_BACKEND')", tmp_path)
    assert done.stdout.split()[-1] == present


def test_a_backend_that_is_already_running_is_kept():
    code = "import keras, cspdarknet; print(keras.backend.backend())"
    assert run_python(code).stdout.split()[-1] == keras.backend.backend()
