"""Where does the time of a forward pass go?

The time by kind of layer, from OpenVINO's performance counters. Counting slows a run down: compare
the percentages. An activation belongs to the convolution before it.

    KERAS_BACKEND=torch python benchmarks/layer_profile.py --model-sizes tiny l --batch-size 8
"""

import collections
from typing import Any

import numpy as np
import openvino
from harness.arguments import benchmark_parser
from harness.images import noise
from harness.results import Row, write_results

from cspdarknet import load_model
from cspdarknet.export import build_onnx
from cspdarknet.export.onnx.flops import count_flops

# OpenVINO's types of layers that are not convolutions, by kind.
KINDS = {
    "Reorder": "layout",
    "Transpose": "layout",
    "Concatenation": "concatenation",
    "Concat": "concatenation",
    "Split": "split",
    "VariadicSplit": "split",
    "Pooling": "pooling",
    "MaxPool": "pooling",
    "Eltwise": "sums",
    "Subgraph": "sums",
    "Add": "sums",
    "Convert": "layout",
}
MIN_FRACTION = 0.0005  # of the time, for a row of its own


def profile(model_size: str, batch_size: int, image_size: int, rounds: int) -> list[Row]:
    """Return a row for each kind of layer, the slowest first."""
    graph = build_onnx(
        load_model(f"csp_darknet_{model_size}"),
        "openvino",
        inputs="float32",
        image_size=image_size,
    )
    images = noise(batch_size, image_size)
    core = openvino.Core()
    model = core.read_model(graph.SerializeToString(), b"")
    model.reshape(list(images.shape))
    settings = {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    convolutions = convolution_kinds(graph)
    totals = []
    for _ in range(rounds):
        request.infer([images])
        totals.append(seconds_by_kind(request, convolutions))
    medians = {kind: float(np.median([t[kind] for t in totals])) for kind in totals[0]}
    total = sum(medians.values())
    gflop = count_flops(graph, images.shape) / 1e9
    print(
        f"{model_size}: {1e3 * total:.1f} ms counted, {gflop:.1f} GFLOP, "
        f"{gflop / total:.0f} GFLOP/s"
    )
    return [
        {
            "model_size": model_size,
            "batch_size": batch_size,
            "layers": kind,
            "ms": round(1e3 * seconds, 2),
            "percent": round(100 * seconds / total, 1),
        }
        for kind, seconds in sorted(medians.items(), key=lambda item: -item[1])
        if seconds > MIN_FRACTION * total
    ]


def convolution_kinds(graph: Any) -> dict[str, str]:
    """Return the kind of each convolution by the name of its node."""
    kinds = {}
    for node in graph.graph.node:
        if node.op_type == "Conv":
            attributes = {item.name: item for item in node.attribute}
            size, stride = attributes["kernel_shape"].ints[0], attributes["strides"].ints[0]
            depthwise = "depthwise " if attributes["group"].i > 1 else ""
            strided = f", stride {stride}" if stride > 1 else ""
            kinds[node.name] = f"{depthwise}{size}×{size} convolutions{strided}"
    return kinds


def seconds_by_kind(request: Any, convolutions: dict[str, str]) -> dict[str, float]:
    """Return the seconds of each kind of layer in the last run."""
    totals: dict[str, float] = collections.defaultdict(float)
    for layer in request.profiling_info:
        name = layer.node_name.split("/")[0]
        kind = convolutions.get(name) or convolutions.get(name.removesuffix("/WithoutBiases"))
        kind = kind or KINDS.get(layer.node_type, layer.node_type)
        totals[kind] += layer.real_time.total_seconds()
    return totals


def main() -> None:
    parser = benchmark_parser(__doc__, model_sizes=["tiny", "l"], rounds=9)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224, help="side in pixels")
    options = parser.parse_args()
    text = "The time of a forward pass in float32 by kind of layer."
    rows: list[Row] = []
    for model_size in options.model_sizes:
        rows += profile(model_size, options.batch_size, options.image_size, options.rounds)
        write_results(options.out, "layer_profile", text, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
