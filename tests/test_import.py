"""What an import costs and chooses, in fresh processes."""

import keras
import pytest

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


def test_import_loads_one_backend():
    code = "import sys, cspdarknet; print(*sys.modules)"
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
