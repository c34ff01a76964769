"""How much arithmetic is in each size? Additions and multiplications of the exported graphs.

python benchmarks/flops.py
python benchmarks/flops.py --sizes tiny --pixels 224 640
"""

import argparse
import os
from pathlib import Path

from harness.results import RESULTS, Row, write_csv, write_table

SIZES = ["tiny", "s", "m", "l", "xl"]


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from cspdarknet.export import build_onnx
    from cspdarknet.export.onnx.flops import count_flops
    from cspdarknet.models import CSPDarkNetBackbone

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES)
    parser.add_argument("--pixels", nargs="+", type=int, default=[224, 640])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[Row] = []
    for size in options.sizes:
        graph = build_onnx(CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}"))
        counts = {
            f"GFLOP at {pixels}²": round(count_flops(graph, (1, pixels, pixels, 3)) / 1e9, 2)
            for pixels in options.pixels
        }
        rows.append({"size": size, **counts})
        print(rows[-1], flush=True)
    text = "Additions and multiplications of convolutions and matrix products, for one image."
    write_csv(options.out / "flops.csv", rows)
    write_table(options.out / "flops.md", text, rows)


if __name__ == "__main__":
    main()
