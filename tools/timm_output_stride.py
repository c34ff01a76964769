"""Compute outputs of timm's networks of output stride 8 and 16, as references for the tests.

    python tools/timm_output_stride.py tests/golden/references

The networks are small, and their weights follow from their names: those of
`tests/golden/test_output_stride.py`. Needs timm; run it from the root of the repository.
"""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.models.cspnet import CspModelCfg, CspNet, CspStagesCfg, CspStemCfg

sys.path.insert(0, "tests")
TEST = runpy.run_path("tests/golden/test_output_stride.py")

_STEM = {"kernel_size": 3, "pool": ""}
_DARK = {"stage_type": "dark", "block_ratio": 1.0, "bottle_ratio": 0.5}
_ATTENTION = {"attn_layer": "se", "attn_kwargs": ({"rd_ratio": 0.25},) * 4}
CS3_OPTIONS = {"stage_type": "cs3", "block_type": "edge", "block_ratio": 0.5, "bottle_ratio": 1.5}
OPTIONS: dict[str, dict[str, Any]] = {
    "cs3se_edgenet": {**CS3_OPTIONS, **_ATTENTION},
    "cspdarknet53": {
        "down_growth": True,
        "expand_ratio": (2.0, *(1.0,) * 4),
        "bottle_ratio": (0.5, *(1.0,) * 4),
        "block_ratio": (1.0, *(0.5,) * 4),
    },
    "darknet53": _DARK,
    "darknetaa53": {**_DARK, "avg_down": True},
}


def network(topology: str, output_stride: int) -> torch.nn.Module:
    """Return the network of timm that the test of this topology builds."""
    is_cs3 = topology.startswith("cs3")
    sizes = TEST["CS3" if is_cs3 else "DARKNET"]
    channels, depth = (tuple(sizes[f"stackwise_{part}"]) for part in ("channels", "depth"))
    options = {"block_type": "dark", "stride": 2, **OPTIONS[topology]}
    stem = {"out_chs": (4, 8) if is_cs3 else 8, "stride": 2 if is_cs3 else 1, **_STEM}
    config = CspModelCfg(
        stem=CspStemCfg(**stem),
        stages=CspStagesCfg(out_chs=channels, depth=depth, **options),
        act_layer="silu" if is_cs3 else "leaky_relu",
    )
    model = CspNet(config, num_classes=0, output_stride=output_stride)
    for key, value in model.state_dict().items():
        if value.ndim:
            value.copy_(torch.from_numpy(TEST["weight"](key, tuple(value.shape))))
    return model.eval()


def main() -> None:
    arrays = {}
    for topology in OPTIONS:
        for output_stride in (8, 16):
            with torch.no_grad():
                model = network(topology, output_stride)
                outputs = model.forward_features(torch.from_numpy(TEST["IMAGES"]))
            arrays[f"{topology}_{output_stride}"] = outputs.numpy()
    np.savez_compressed(Path(sys.argv[1]) / "timm_output_stride.npz", **arrays)


if __name__ == "__main__":
    main()
