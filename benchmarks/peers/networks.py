"""One network with random weights in the files that the contestants read."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import torch
from harness.images import noise, to_plain

from cspdarknet import load_model
from cspdarknet.checkpoints import load_weights
from cspdarknet.checkpoints.readers.keras3 import kerascv_layout
from cspdarknet.checkpoints.targets import collect
from cspdarknet.export import export
from cspdarknet.export.onnx.flops import count_flops
from peers.plain_backbone import PlainBackbone
from peers.plain_pytorch import export_onnx, with_random_weights

CHECKED_SIZE = 224  # pixels of the side of the image on which all contestants must agree


def prepare(folder: Path, model_size: str, int8: bool) -> None:
    """Write the files of a model size that do not exist yet."""
    if not (folder / "ours.xml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _prepare_float32(folder, model_size)
    if int8 and not (folder / "ours_int8.xml").exists():
        backbone = load_model(f"csp_darknet_{model_size}")
        backbone.load_weights(folder / "ours.weights.h5")
        images = list(noise(4, CHECKED_SIZE).astype("uint8"))
        for suffix in (".onnx", ".xml"):
            path = folder / f"ours_int8{suffix}"
            export(backbone, path, precision="int8", calibration=images, inputs="float32")


def _prepare_float32(folder: Path, model_size: str) -> None:
    """Write the files in float32, and the features that each network must give for one image.

    PyTorch and KerasCV pad differently, so that there are two: "symmetric" and "same".
    """
    examples, images = torch.from_numpy(to_plain(noise(2, CHECKED_SIZE))), noise(1, CHECKED_SIZE)
    plain = with_random_weights(lambda: PlainBackbone(model_size), examples)
    export_onnx(plain, torch.from_numpy(to_plain(images)), folder / "plain.onnx", dynamic=True)
    torch.save(plain.state_dict(), folder / "plain.pth")
    symmetric = load_model(f"csp_darknet_{model_size}", padding="symmetric")
    same = load_model(f"csp_darknet_{model_size}")
    load_weights(symmetric, folder / "plain.pth")
    same.set_weights(symmetric.get_weights())
    features: dict[str, Any] = {
        "symmetric": symmetric.predict_on_batch(images),
        "same": same.predict_on_batch(images),
    }
    np.savez(folder / "expected.npz", images=images, **features)
    same.save_weights(folder / "ours.weights.h5")
    with h5py.File(folder / "kerascv.weights.h5", "w") as file:
        for name, array in collect(kerascv_layout(same)).items():
            file[name] = array
    for suffix in (".onnx", ".xml"):
        export(same, folder / f"ours{suffix}", inputs="float32")


def count_gflop(folder: Path, batch_size: int, image_size: int) -> float:
    """Return the billions of additions and multiplications of a forward pass."""
    shape = (batch_size, 3, image_size, image_size)
    return count_flops(onnx.load(folder / "plain.onnx"), shape) / 1e9
