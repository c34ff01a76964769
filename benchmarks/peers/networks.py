"""The same network of random weights in every form that a contestant reads."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import torch

from cspdarknet import export as deploy
from cspdarknet.checkpoints import load_weights
from cspdarknet.checkpoints.readers.keras3 import kerascv_layout
from cspdarknet.checkpoints.targets import collect
from cspdarknet.export.onnx.flops import count_flops
from cspdarknet.models import CSPDarkNetBackbone
from peers.plain_backbone import export_plain, random_backbone

CHECKED = 224  # pixels of a side of the image that all must agree on


def prepare(folder: Path, size: str, int8: bool) -> None:
    """Write the files of a size that are not there yet."""
    if not (folder / "ours.xml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _prepare_float(folder, size)
    if int8 and not (folder / "ours_int8.xml").exists():
        model = CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}")
        model.load_weights(folder / "ours.weights.h5")
        calibration = list(random_images(4, CHECKED).astype("uint8"))
        for suffix in (".onnx", ".xml"):
            path = folder / f"ours_int8{suffix}"
            deploy.export(model, path, precision="int8", calibration=calibration, inputs="float32")


def _prepare_float(folder: Path, size: str) -> None:
    """Write the files in float32, and the features that each must give for one image.

    PyTorch and KerasCV pad differently, so there are two right answers: "symmetric" and "same".
    """
    plain = random_backbone(size, as_plain(random_images(2, CHECKED)))
    images = random_images(1, CHECKED)
    export_plain(plain, as_plain(images), folder / "plain.onnx")
    torch.save(plain.state_dict(), folder / "plain.pth")
    preset = f"csp_darknet_{size}"
    symmetric = CSPDarkNetBackbone.from_preset(preset, padding="symmetric")
    same = CSPDarkNetBackbone.from_preset(preset)
    load_weights(symmetric, folder / "plain.pth")
    same.set_weights(symmetric.get_weights())
    answers: dict[str, Any] = {
        "symmetric": symmetric.predict_on_batch(images),
        "same": same.predict_on_batch(images),
    }
    np.savez(folder / "expected.npz", images=images, **answers)
    same.save_weights(folder / "ours.weights.h5")
    with h5py.File(folder / "kerascv.weights.h5", "w") as file:
        for name, array in collect(kerascv_layout(same)).items():
            file[name] = array
    for suffix in (".onnx", ".xml"):
        deploy.export(same, folder / f"ours{suffix}", inputs="float32")


def count_gflop(folder: Path, batch: int, pixels: int) -> float:
    """Return the billions of additions and multiplications of a pass through the network."""
    return count_flops(onnx.load(folder / "plain.onnx"), (batch, 3, pixels, pixels)) / 1e9


def random_images(batch: int, pixels: int, seed: int = 0) -> np.ndarray:
    """Return noise of 0..255, channels last."""
    shape = (batch, pixels, pixels, 3)
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def as_plain(images: np.ndarray) -> torch.Tensor:
    """Return images as the plain network wants them: BGR, channels first."""
    return torch.from_numpy(np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2)))
