"""How much memory does inference take, and how large are the files?

The largest memory that a fresh process has had (Linux) after some calls with a batch of images;
what Python and the library take alone stands beside it.

    python benchmarks/memory.py
    python benchmarks/memory.py --sizes tiny l --batch 1
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.results import RESULTS, Row, new_figure, save_figure, write_csv, write_table
from harness.workers import ROOT, kerascv_python, limit_threads

CALLS = 3
PEAK = """
from pathlib import Path
status = Path("/proc/self/status").read_text()
print("MB", int(status.partition("VmHWM:")[2].split()[0]) / 1e3)
"""
PREDICTOR = """
import numpy as np
from cspdarknet.inference import Predictor
import {runtime}
if {calls}:
    predictor = Predictor({path!r}, runtime={runtime!r}, threads={threads})
for _ in range({calls}):
    predictor.run(np.ones(({batch}, {pixels}, {pixels}, 3), "float32"))
"""
KERASCV = """
import numpy as np
import tensorflow as tf
from keras_cv.models import CSPDarkNetBackbone
if {calls}:
    model = CSPDarkNetBackbone(
        stackwise_channels={channels}, stackwise_depth={depth}, include_rescaling=True
    )
    call = {call}
for _ in range({calls}):
    np.asarray(call(tf.ones(({batch}, {pixels}, {pixels}, 3))))
"""
KERASCV_CALLS = {
    "KerasCV, model(x)": "lambda x: model(x, training=False)",
    "KerasCV, predict": "lambda x: model.predict(x, verbose=0)",
    "KerasCV, tf.function": "tf.function(lambda x: model(x, training=False))",
    "KerasCV, jit_compile": "tf.function(lambda x: model(x, training=False), jit_compile=True)",
}
FILES = {
    "float32": (".xml", ".onnx"),
    "float16": (".xml", ".onnx"),
    "int8": (".xml", ".onnx"),
}


def peak_megabytes(python: Path, code: str, environment: Mapping[str, str]) -> float:
    """Return the largest memory of a fresh process."""
    done = subprocess.run(
        [python, "-c", code + PEAK],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-1])


def write_files(folder: Path, size: str) -> list[Row]:
    """Export a size in every form and return how large the files are."""
    import numpy as np

    from cspdarknet.export import export
    from cspdarknet.models import CSPDarkNetBackbone

    model = CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}")
    calibration = list(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), "uint8"))
    rows = []
    for precision, suffixes in FILES.items():
        row: Row = {"size": size, "precision": precision}
        for suffix in suffixes:
            path = folder / f"{size}_{precision}{suffix}"
            images = calibration if precision == "int8" else None
            result = export(model, path, precision=precision, calibration=images, inputs="float32")
            row[f"{suffix}, MB"] = round(result.num_bytes / 1e6, 1)
        rows.append(row)
    return rows


def contestants(
    folder: Path, size: str, options: argparse.Namespace
) -> dict[str, tuple[Path, str, dict[str, str]]]:
    """Return interpreter, code without the number of calls, and environment of each."""
    from cspdarknet.presets.sizes import SIZES

    shape = {"batch": options.batch, "pixels": options.pixels, "calls": "{calls}"}
    found: dict[str, tuple[Path, str, dict[str, str]]] = {}
    for precision in ("float32", "float16", "int8"):
        for runtime, suffix in (("openvino", ".xml"), ("onnxruntime", ".onnx")):
            path = str(folder / f"{size}_{precision}{suffix}")
            code = PREDICTOR.format(path=path, runtime=runtime, threads=options.threads, **shape)
            found[f"ours, {runtime}, {precision}"] = (Path(sys.executable), code, {})
    peer = kerascv_python(options.peer_venv)
    architecture = {
        "channels": list(SIZES[size].stackwise_channels),
        "depth": list(SIZES[size].stackwise_depth),
    }
    for name, call in KERASCV_CALLS.items():
        code = KERASCV.format(call=call, **architecture, **shape)
        found[name] = (peer, code, {"KERAS_BACKEND": "tensorflow"})
    return found


def write(rows: list[Row], files: list[Row], options: argparse.Namespace) -> None:
    out = options.out
    write_csv(out / "memory.csv", rows)
    text = (
        f"Largest memory of a fresh process, {CALLS} calls with {options.batch} images of "
        f"{options.pixels}² on {options.threads} threads, and of one that only imports the same."
    )
    write_table(out / "memory.md", text, rows)
    write_csv(out / "file_sizes.csv", files)
    write_table(out / "file_sizes.md", "Sizes of exported files.", files)
    figure, axes = new_figure(size=(7, 1 + 0.25 * len(rows)))
    names = [f"{row['size']}: {row['contestant']}" for row in rows]
    bars = axes[0, 0].barh(names, [row["MB"] for row in rows], label="inference")
    axes[0, 0].bar_label(bars, padding=3)
    axes[0, 0].barh(names, [row["import alone, MB"] for row in rows], label="import alone")
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel("MB at the most")
    figure.legend(loc="outside upper center", ncols=2)
    save_figure(figure, out / "memory.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["l"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer-venv", type=Path, default=ROOT / ".venv-kerascv")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of the process that exports
    rows: list[Row] = []
    files: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        for size in options.sizes:
            files += write_files(Path(temporary), size)
            for name, case in contestants(Path(temporary), size, options).items():
                python, code, environment = case
                environment |= limit_threads(options.threads)
                most, alone = (
                    round(peak_megabytes(python, code.replace("{calls}", str(calls)), environment))
                    for calls in (CALLS, 0)
                )
                rows.append(
                    {"size": size, "contestant": name, "MB": most, "import alone, MB": alone}
                )
                print(rows[-1], flush=True)
                write(rows, files, options)


if __name__ == "__main__":
    main()
