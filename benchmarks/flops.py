"""How many FLOPs does each model size take?

Additions and multiplications of the exported graphs, for one image.

    python benchmarks/flops.py
    python benchmarks/flops.py --model-sizes tiny --image-sizes 224 640
"""

import os

from harness.arguments import MODEL_SIZES, benchmark_parser
from harness.results import Row, write_results


def main() -> None:
    options = benchmark_parser(
        __doc__, model_sizes=MODEL_SIZES, image_sizes=[224, 640]
    ).parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from cspdarknet import load_model
    from cspdarknet.export import build_onnx
    from cspdarknet.export.onnx.flops import count_flops

    rows: list[Row] = []
    for model_size in options.model_sizes:
        graph = build_onnx(load_model(f"csp_darknet_{model_size}"))
        counts = {
            f"GFLOP at {size}²": round(count_flops(graph, (1, size, size, 3)) / 1e9, 2)
            for size in options.image_sizes
        }
        rows.append({"model_size": model_size, **counts})
        print(rows[-1], flush=True)
    text = "Additions and multiplications of convolutions and matrix products, for one image."
    write_results(options.out, "flops", text, rows)


if __name__ == "__main__":
    main()
