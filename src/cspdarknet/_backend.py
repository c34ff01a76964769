"""Make sure that Keras starts on a backend that is installed, before Keras is imported.

Keras falls back to TensorFlow when nobody chose a backend, and then fails with a
``ModuleNotFoundError`` where TensorFlow is absent. This package does not need TensorFlow.
"""

import importlib.util
import json
import os
from pathlib import Path

# Backends that this package is tested on, in the order in which one is chosen for the user.
PREFERENCE = ("jax", "torch", "tensorflow")
MODULES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow", "openvino": "openvino"}


def _installed(backend: str) -> bool:
    module = MODULES.get(backend)
    return module is None or importlib.util.find_spec(module) is not None


def _configured() -> str:
    """The backend that Keras' own configuration file names (TensorFlow without one)."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        config = json.loads((home / "keras.json").read_text())
        return str(config.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def ensure_backend() -> None:
    """Choose an installed backend, if the user leaves that open, before Keras is imported.

    An explicit ``KERAS_BACKEND`` is respected. Without one, the backend of ``keras.json`` is kept
    when it is installed; otherwise the first installed one of JAX, PyTorch and TensorFlow is used.

    Raises:
        ImportError: if the chosen backend, or any backend at all, is missing.
    """
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        if chosen not in (*MODULES, "numpy"):
            raise ImportError(
                f"KERAS_BACKEND={chosen} is no backend of Keras: set it to one of "
                f"{', '.join(PREFERENCE)}."
            )
        if not _installed(chosen):
            package = f"'cspdarknet[{chosen}]'" if chosen in PREFERENCE else MODULES[chosen]
            raise ImportError(
                f"KERAS_BACKEND={chosen}, but {MODULES[chosen]} is not installed: "
                f"run `pip install {package}`."
            )
        return
    if _installed(_configured()):
        return
    for backend in PREFERENCE:
        if _installed(backend):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ImportError(
        "cspdarknet needs a Keras backend and found none: run `pip install 'cspdarknet[jax]'` "
        "(or `[torch]`, `[tensorflow]`)."
    )
