"""How large are exported files?

python benchmarks/file_sizes.py
python benchmarks/file_sizes.py --model-sizes tiny l
"""

import os
import tempfile
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.results import Row, write_results

PRECISIONS = ("float32", "float16", "int8")
SUFFIXES = (".xml", ".onnx")


def export_files(folder: Path, model_size: str) -> list[Row]:
    """Export a backbone in each precision and format, and return the sizes of the files.

    The files are named like `l_float32.onnx`.
    """
    import numpy as np

    from cspdarknet import load_model
    from cspdarknet.export import export

    backbone = load_model(f"csp_darknet_{model_size}")
    images = list(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), "uint8"))
    rows = []
    for precision in PRECISIONS:
        row: Row = {"model_size": model_size, "precision": precision}
        for suffix in SUFFIXES:
            result = export(
                backbone,
                folder / f"{model_size}_{precision}{suffix}",
                precision=precision,
                calibration=images if precision == "int8" else None,
                inputs="float32",
            )
            row[f"{suffix}, MB"] = round(result.num_bytes / 1e6, 1)
        rows.append(row)
    return rows


def main() -> None:
    options = benchmark_parser(__doc__, model_sizes=["l"]).parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    rows: list[Row] = []
    for model_size in options.model_sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += export_files(Path(folder), model_size)
        for row in rows[-len(PRECISIONS) :]:
            print(row, flush=True)
        write_results(options.out, "file_sizes", "Sizes of exported files.", rows)


if __name__ == "__main__":
    main()
