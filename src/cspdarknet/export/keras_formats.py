"""Formats that Keras writes itself, on a backend of their own: in a process of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._extras import require
from cspdarknet.export.fusion import fuse

# The Keras backend that each needs.
BACKENDS = {"litert": "tensorflow", "saved_model": "tensorflow", "torch": "torch"}
DEFAULT_SIZE = 224


def fixed_size(kind: str, model: keras.Model) -> int | None:
    """Return the side of the images where a format cannot leave it open."""
    own: int | None = getattr(model, "image_size", None)
    if kind == "torch":  # its exporter would think about free sizes for hours
        return own or DEFAULT_SIZE
    # LiteRT must know the sizes of maps that are enlarged, as a detector's are.
    return own if kind == "litert" else None


def sample_count(kind: str, task: str) -> int | None:
    """How many images to check a file with: PyTorch fixes the batch of a detector's loop to it."""
    return 1 if kind == "torch" and task == "boxes" else None


def write(graph: keras.Model, path: Path, kind: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Write a fused graph in a format, and return what the file computes for images.

    Raises:
        ImportError: if the backend is missing.
        ValueError: if the exporter fails.
    """
    backend = BACKENDS[kind]
    require(backend, backend, f"Writing the format {kind}")
    with tempfile.TemporaryDirectory() as folder:
        source, given, results = (Path(folder) / n for n in ("graph.keras", "in.npy", "out.npz"))
        fuse(graph).save(source)
        np.save(given, images)
        job = subprocess.run(
            [sys.executable, "-m", __name__, kind, source, path, given, results],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        if job.returncode:
            reason = job.stderr.strip().splitlines()[-1:] or [f"exit status {job.returncode}"]
            raise ValueError(f"The {kind} exporter failed: {reason[0]}")
        with np.load(results) as found:
            return dict(found)


# What the process does.


def _write_torch(model: keras.Model, path: str, images: np.ndarray) -> dict[str, Any]:
    import torch

    class Images(torch.nn.Module):  # type: ignore[misc, name-defined]
        """Keras' models take any arguments; the program is to have one named input."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> Any:
            return self.model(images)

    sample = torch.from_numpy(images)
    free = {i: torch.export.Dim.AUTO for i, n in enumerate(model.inputs[0].shape) if n is None}
    with torch.no_grad():
        program = torch.export.export(
            Images().eval(), (sample,), dynamic_shapes=(free,), strict=False
        )
        torch.export.save(program, path)
        found: dict[str, Any] = torch.export.load(path).module()(sample)
    return found


def _write_saved_model(model: keras.Model, path: str, images: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    model.export(path, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(path)
    found: dict[str, Any] = loaded.serve(images)
    return found


def _write_litert(model: keras.Model, path: str, images: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    model.export(path, format="litert", verbose=False)
    run = tf.lite.Interpreter(path).get_signature_runner()
    found: dict[str, Any] = run(images=images)
    return found


WRITERS = {"torch": _write_torch, "saved_model": _write_saved_model, "litert": _write_litert}


def _main(kind: str, source: str, path: str, given: str, results: str) -> None:
    import cspdarknet.models  # noqa: F401  (registers the detector's layers)

    model = keras.saving.load_model(source, compile=False)
    found = WRITERS[kind](model, path, np.load(given))
    np.savez(results, **{name: np.asarray(value) for name, value in found.items()})  # type: ignore[arg-type]


if __name__ == "__main__":
    _main(*sys.argv[1:])
