"""How much faster is a runtime on the fused graph than on a plain export of the same network?

The plain export has Focus by slices, two 1x1 convolutions at the start of each stage, and parallel
pooling. "separate" is our graph without merging those two convolutions, "merged" is our graph with
it. All graphs of a runtime take turns in one process.

    KERAS_BACKEND=torch python benchmarks/fusion_gain.py
    KERAS_BACKEND=torch python benchmarks/fusion_gain.py --batch-size 8 --threads 2
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from harness.arguments import benchmark_parser
from harness.images import noise, to_plain
from harness.results import Row, write_results
from harness.turns import median_ratio, median_seconds, time_functions
from peers.plain_backbone import PlainBackbone
from peers.plain_pytorch import export_onnx, with_random_weights
from peers.runtimes import Function, onnxruntime_function, openvino_function

from cspdarknet import load_model
from cspdarknet.export import build_onnx

IMAGE_SIZE = 224


def build_graphs(model_size: str, images: np.ndarray) -> dict[str, tuple[bytes, np.ndarray]]:
    """Return the ONNX graphs of a model size, each with the images as it takes them."""
    model = load_model(f"csp_darknet_{model_size}")
    merged, separate = (
        build_onnx(model, runtime, inputs="float32") for runtime in ("openvino", "onnxruntime")
    )
    example = torch.from_numpy(to_plain(images[:1]))
    plain = with_random_weights(lambda: PlainBackbone(model_size), example)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        export_onnx(plain, example, path, dynamic=True)
        exported = path.read_bytes()
    return {
        "plain export": (exported, to_plain(images)),
        "fused, separate": (separate.SerializeToString(), images),
        "fused, merged": (merged.SerializeToString(), images),
    }


def start(runtime: str, graph: bytes, images: np.ndarray, threads: int) -> Function:
    """Return a graph as a function that a runtime runs."""
    if runtime == "OpenVINO":
        return openvino_function(graph, images.shape, threads)
    return onnxruntime_function(graph, threads, allow_spinning=False)


def main() -> None:
    parser = benchmark_parser(__doc__, model_sizes=["tiny", "l"], rounds=25)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="1 measures the processor time")
    options = parser.parse_args()
    images = noise(options.batch_size, IMAGE_SIZE)
    text = "gain: time of the plain export / time of this graph, the median over the rounds."
    rows: list[Row] = []
    for model_size in options.model_sizes:
        graphs = build_graphs(model_size, images)
        for runtime in ("ONNX Runtime", "OpenVINO"):
            runs = {}
            for name, (graph, inputs) in graphs.items():
                run = start(runtime, graph, inputs, options.threads)
                runs[name] = lambda run=run, inputs=inputs: run(inputs)
            times = time_functions(runs, options.rounds, options.threads)
            for name, rounds in times.items():
                row = {
                    "model_size": model_size,
                    "batch_size": options.batch_size,
                    "threads": options.threads,
                    "runtime": runtime,
                    "graph": name,
                    "ms": round(1e3 * median_seconds(rounds), 2),
                    "gain": round(median_ratio(times["plain export"], rounds), 3),
                }
                rows.append(row)
                print(row, flush=True)
            write_results(options.out, "fusion_gain", text, rows)


if __name__ == "__main__":
    main()
