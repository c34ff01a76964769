"""The formats that Keras and PyTorch write, in a subprocess on the Keras backend that they need."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._extras import require
from cspdarknet._image_size import ImageSize
from cspdarknet.export.formats import FORMATS
from cspdarknet.export.fusion import fuse
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE


def fixed_image_size(format: str, model: keras.Model) -> ImageSize | None:
    """Return the image size for a format that cannot leave it open; `None` if it can.

    PyTorch's exporter takes hours with dynamic sizes. LiteRT must know the size of the feature maps
    that a detector upsamples.
    """
    own: ImageSize | None = getattr(model, "image_size", None)
    if format == "torch" and None in model.inputs[0].shape[1:]:
        return own or DEFAULT_IMAGE_SIZE
    return own if format == "litert" else None


def max_batch_size(format: str, graph: keras.Model) -> int | None:
    """Return the largest batch size that an exported graph takes; `None` for any.

    PyTorch's exporter fixes it where there is NMS, whose loop it unrolls.
    """
    return 1 if format == "torch" and "num_detections" in graph.output else None


def write(graph: keras.Model, path: Path, format: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Write an inference graph to a file, fused, and run the file.

    Args:
        graph: from `inference_graph`.
        path: the file or folder.
        format: `"litert"`, `"saved_model"` or `"torch"`.
        images: a batch of images as the graph takes them.

    Returns:
        The outputs of the file for the images, by name.

    Raises:
        ImportError: if the Keras backend is missing.
        ValueError: if the exporter fails.
    """
    backend = FORMATS[format].backend
    assert backend is not None
    require(backend, backend, f"Writing the format {format}")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # on the disk of the file
        source, inputs, results = (Path(folder) / n for n in ("graph.keras", "in.npy", "out.npz"))
        fuse(graph).save(source)
        np.save(inputs, images)
        job = subprocess.run(
            [sys.executable, "-m", __name__, format, source, path, inputs, results],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        if job.returncode:
            reason = job.stderr.strip().splitlines()[-1:] or [f"exit status {job.returncode}"]
            raise ValueError(f"The exporter of the format {format} failed: {reason[0]}")
        with np.load(results) as outputs:
            return dict(outputs)


# Code that runs in the subprocess.


def _write_torch(model: keras.Model, path: str, images: np.ndarray) -> dict[str, Any]:
    import torch

    class Images(torch.nn.Module):  # type: ignore[misc, name-defined]
        """Gives the program one named input: `call` of a Keras model takes any arguments."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> Any:
            return self.model(images)

    sample = torch.from_numpy(images)
    dynamic = {i: torch.export.Dim.AUTO for i, n in enumerate(model.inputs[0].shape) if n is None}
    with torch.no_grad():
        program = torch.export.export(
            Images().eval(), (sample,), dynamic_shapes=(dynamic,), strict=False
        )
        torch.export.save(program, path)
        outputs: dict[str, Any] = torch.export.load(path).module()(sample)
    return outputs


def _write_saved_model(model: keras.Model, path: str, images: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    model.export(path, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(path)
    outputs: dict[str, Any] = loaded.serve(images)
    return outputs


def _write_litert(model: keras.Model, path: str, images: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    model.export(path, format="litert", verbose=False)
    run = tf.lite.Interpreter(path).get_signature_runner()
    outputs: dict[str, Any] = run(images=images)
    return outputs


WRITERS = {"torch": _write_torch, "saved_model": _write_saved_model, "litert": _write_litert}


def _main(format: str, source: str, path: str, inputs: str, results: str) -> None:
    import cspdarknet.models  # noqa: F401  (registers the layers of the detector)

    model = keras.saving.load_model(source, compile=False)
    outputs = WRITERS[format](model, path, np.load(inputs))
    np.savez(results, **{name: np.asarray(value) for name, value in outputs.items()})  # type: ignore[arg-type]


if __name__ == "__main__":
    _main(*sys.argv[1:])
