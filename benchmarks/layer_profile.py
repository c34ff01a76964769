"""Where does the time of a forward pass go? By kind of layer, as OpenVINO's counters tell.

    KERAS_BACKEND=torch python benchmarks/layer_profile.py --sizes tiny l --batch 8

Counting slows a run down: read the shares. An activation is part of the convolution before it.
"""

import argparse
import collections
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from harness.results import RESULTS, Row, write_csv, write_table

from cspdarknet.export import build_onnx
from cspdarknet.export.onnx.flops import count_flops
from cspdarknet.models import CSPDarkNetBackbone

ROUNDS = 9
# What OpenVINO calls the layers, in our words; others are summed up.
KINDS = {
    "Reorder": "layout",
    "Transpose": "layout",
    "Concatenation": "concatenation",
    "Concat": "concatenation",
    "Split": "split",
    "VariadicSplit": "split",
    "Pooling": "pools",
    "MaxPool": "pools",
    "Eltwise": "sums",
    "Subgraph": "sums",
    "Add": "sums",
    "Convert": "layout",
}


def profile(size: str, batch: int, pixels: int) -> list[Row]:
    """Return a row for each kind of layer, the slowest first."""
    backbone = CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}")
    graph = build_onnx(backbone, "openvino", inputs="float32", image_size=pixels)
    core = openvino.Core()
    model = core.read_model(graph.SerializeToString(), b"")
    model.reshape([batch, pixels, pixels, 3])
    settings = {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    images = np.random.default_rng(0).uniform(0, 255, (batch, pixels, pixels, 3))
    totals = []
    for _ in range(ROUNDS):
        request.infer([images.astype("float32")])
        totals.append(_by_kind(request, _kernels(graph)))
    median = {kind: float(np.median([t[kind] for t in totals])) for kind in totals[0]}
    whole = sum(median.values())
    gflop = count_flops(graph, (batch, pixels, pixels, 3)) / 1e9
    print(f"{size}: {1e3 * whole:.1f} ms counted, {gflop:.1f} GFLOP, {gflop / whole:.0f} GFLOP/s")
    return [
        {"size": size, "batch": batch, "layers": kind, "ms": round(1e3 * seconds, 2)}
        | {"share, %": round(100 * seconds / whole, 1)}
        for kind, seconds in sorted(median.items(), key=lambda item: -item[1])
        if seconds > 0.0005 * whole
    ]


def _kernels(graph: Any) -> dict[str, str]:
    """Return what kind of convolution each one is."""
    kinds = {}
    for node in graph.graph.node:
        if node.op_type == "Conv":
            given = {item.name: item for item in node.attribute}
            side, stride = given["kernel_shape"].ints[0], given["strides"].ints[0]
            depthwise = "depthwise " if given["group"].i > 1 else ""
            step = f", stride {stride}" if stride > 1 else ""
            kinds[node.name] = f"{depthwise}{side}×{side} convolutions{step}"
    return kinds


def _by_kind(request: Any, kernels: dict[str, str]) -> dict[str, float]:
    """Return the seconds of each kind of layer in the last run."""
    totals: dict[str, float] = collections.defaultdict(float)
    for layer in request.profiling_info:
        name = layer.node_name.split("/")[0]
        kind = kernels.get(name) or kernels.get(name.removesuffix("/WithoutBiases"))
        kind = kind or KINDS.get(layer.node_type, layer.node_type)
        totals[kind] += layer.real_time.total_seconds()
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "l"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[Row] = []
    for size in options.sizes:
        rows += profile(size, options.batch, options.pixels)
        for row in rows:
            print(row)
        write_csv(options.out / "layer_profile.csv", rows)
    text = "Where the time of a forward pass in float32 goes, by kind of layer."
    write_table(options.out / "layer_profile.md", text, rows)


if __name__ == "__main__":
    main()
