"""How long does a fresh process take to the first feature?

Each is the whole way from the start of Python to the features of one image of 224 x 224: import,
build or load, and the first call. The processes take turns, after a round that fills the file
cache and does not count.

    python benchmarks/start_up.py
    python benchmarks/start_up.py --backends torch jax tensorflow --rounds 9
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from harness.results import RESULTS, Row, new_figure, save_figure, write_csv, write_table
from harness.workers import ROOT, kerascv_python, limit_threads

READY = b"ready\n"
IMAGE = "images = np.ones((1, 224, 224, 3), 'float32')"
KERAS = """
import numpy as np
from {library}.models import CSPDarkNetBackbone
model = CSPDarkNetBackbone(
    stackwise_channels=[48, 96, 192, 384], stackwise_depth=[1, 3, 3, 1], include_rescaling=True
)
{image}
assert np.asarray({call}).shape == (1, 7, 7, 384)
print("ready", flush=True)
"""
PREDICTOR = """
import numpy as np
from cspdarknet.inference import Predictor
predictor = Predictor({path!r}, runtime={runtime!r})
{image}
assert predictor.run(images)["features"].shape == (1, 7, 7, 384)
print("ready", flush=True)
"""
CALLS = {
    "torch": "model(images).detach()",
    "jax": "model(images)",
    "tensorflow": "model(images)",
}


def seconds(python: Path, code: str, environment: Mapping[str, str]) -> float:
    """Time a fresh process until it says that it's ready."""
    start = time.perf_counter()
    with subprocess.Popen(
        [python, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        answer = process.stdout.readline()
        taken = time.perf_counter() - start
        if answer != READY:
            raise SystemExit(process.stderr.read().decode())
    return taken


def programs(
    folder: Path, peer: Path, backends: list[str]
) -> dict[str, tuple[Path, str, dict[str, str]]]:
    """Return interpreter, code and environment of each contestant."""
    own = Path(sys.executable)
    found: dict[str, tuple[Path, str, dict[str, str]]] = {}
    for runtime, suffix in (("openvino", ".xml"), ("openvino", ".onnx"), ("onnxruntime", ".onnx")):
        path = str(folder / f"tiny{suffix}")
        code = PREDICTOR.format(path=path, runtime=runtime, image=IMAGE)
        found[f"ours, {runtime}, {suffix}"] = (own, code, {})
    for backend in backends:
        code = KERAS.format(library="cspdarknet", image=IMAGE, call=CALLS[backend])
        found[f"ours, Keras on {backend}"] = (own, code, {"KERAS_BACKEND": backend})
    code = KERAS.format(library="keras_cv", image=IMAGE, call=CALLS["tensorflow"])
    found["KerasCV on tensorflow"] = (peer, code, {"KERAS_BACKEND": "tensorflow"})
    return found


def rows_of(times: Mapping[str, list[float]]) -> list[Row]:
    """Return a row for each contestant: KerasCV's time over its own, as a median of the rounds."""
    *_, base = times.values()
    return [
        {
            "contestant": name,
            "seconds": round(statistics.median(taken), 2),
            "least": round(min(taken), 2),
            "KerasCV's time / this": round(
                statistics.median(b / a for a, b in zip(taken, base, strict=False)), 2
            ),
        }
        for name, taken in times.items()
    ]


def write(rows: list[Row], rounds: int, out: Path) -> None:
    write_csv(out / "start_up.csv", rows)
    text = (
        f"Seconds from the start of Python to the features of one image, size tiny: medians of "
        f"{rounds} fresh processes each, in turns."
    )
    write_table(out / "start_up.md", text, rows)
    figure, axes = new_figure(size=(7, 1 + 0.35 * len(rows)))
    bars = axes[0, 0].barh([r["contestant"] for r in rows], [r["seconds"] for r in rows])
    axes[0, 0].bar_label(bars, padding=3)
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel("seconds to the first feature")
    save_figure(figure, out / "start_up.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", default=["torch"], choices=list(CALLS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer-venv", type=Path, default=ROOT / ".venv-kerascv")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of the process that exports
    from cspdarknet.export import export
    from cspdarknet.models import CSPDarkNetBackbone

    with tempfile.TemporaryDirectory() as temporary:
        model = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        for suffix in (".xml", ".onnx"):
            export(model, Path(temporary) / f"tiny{suffix}", inputs="float32")
        contestants = programs(Path(temporary), kerascv_python(options.peer_venv), options.backends)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for i in range(options.rounds + 1):
            for name, (python, code, environment) in contestants.items():
                taken = seconds(python, code, {**limit_threads(options.threads), **environment})
                if i:
                    times[name].append(taken)
            if i:
                write(rows_of(times), i, options.out)
                print(f"round {i} of {options.rounds}", flush=True)
    for row in rows_of(times):
        print(row)


if __name__ == "__main__":
    main()
