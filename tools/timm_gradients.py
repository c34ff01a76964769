"""Compute gradients of timm's networks with timm itself, as references for the tests.

    python tools/timm_gradients.py ../shared/golden/timm_random tests/golden/references

The networks are the shrunken ones of the folder, in training mode and float64. The loss is the sum
of the logits times cos(0), cos(1), ...; of the gradient g of each weight, two numbers are kept: its
norm, and the sum of g times cos(0), cos(1), ... in PyTorch's order of the numbers. Needs timm.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from timm.models.cspnet import CspModelCfg, CspNet, CspStagesCfg, CspStemCfg

NAMES = ("cs3darknet_focus_s", "cs3sedarknet_l", "cspdarknet53")


def network(configuration: dict[str, Any], num_classes: int) -> torch.nn.Module:
    """Return the network that a configuration of the manifest describes."""
    stem, stages = (
        {k: tuple(v) if isinstance(v, list) else v for k, v in configuration[part].items()}
        for part in ("stem", "stages")
    )
    stages["attn_kwargs"] = tuple(kwargs or {} for kwargs in stages["attn_kwargs"])
    parts = {key: configuration[key] for key in ("act_layer", "norm_layer", "aa_layer")}
    stem, stages = CspStemCfg(**stem), CspStagesCfg(**stages)
    return CspNet(CspModelCfg(stem=stem, stages=stages, **parts), num_classes=num_classes)


def summaries(model: torch.nn.Module, images: np.ndarray) -> dict[str, list[float]]:
    """Return the two numbers of the gradient of each weight, by its name."""
    logits = model(torch.from_numpy(images).double())
    factors = torch.cos(torch.arange(logits.numel(), dtype=torch.float64))
    (logits * factors.reshape(logits.shape)).sum().backward()
    found = {}
    for name, weight in model.named_parameters():
        gradient = weight.grad.numpy().ravel()
        found[name] = [np.linalg.norm(gradient), gradient @ np.cos(np.arange(gradient.size))]
    return found


def main() -> None:
    goldens, out = map(Path, sys.argv[1:])
    models = json.loads((goldens / "manifest.json").read_text())["models"]
    arrays: dict[str, Any] = {}
    for name in NAMES:
        model = network(models[name]["configuration"], models[name]["num_classes"])
        model.load_state_dict(load_file(goldens / f"{name}.safetensors"))
        io = np.load(goldens / f"{name}_io.npz")
        error = np.abs(
            model.eval()(torch.from_numpy(io["a_input"])).detach().numpy() - io["a_logits"]
        )
        assert error.max() < 1e-4, f"{name} is another network than that of the record"
        found = summaries(model.double().train(), io["b_input"])
        arrays[f"{name}_names"] = np.array(list(found))
        arrays[f"{name}_values"] = np.array(list(found.values()))
    np.savez_compressed(out / "timm_gradients.npz", **arrays)


if __name__ == "__main__":
    main()
