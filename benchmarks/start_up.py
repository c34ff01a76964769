"""How long does a new process take until it has the features of a first image?

The time covers everything from the start of Python to the features of one image of 224 x 224:
import, building or loading, and the first call. The processes take turns, after a round that fills
the file cache and is not counted.

    python benchmarks/start_up.py
    python benchmarks/start_up.py --backends torch jax tensorflow --rounds 9
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.plots import plot_bars
from harness.results import Row, write_results
from harness.turns import Times, Turn, median_ratio, median_seconds, take_turns
from harness.workers import kerascv_python, limit_threads, startup_seconds
from peers.kerascv import architecture

KERASCV = "KerasCV on tensorflow"
# A helper module in a program would add its own import to the time.
KERAS_PROGRAM = """
import numpy as np
from {library}.models import CSPDarkNetBackbone
model = CSPDarkNetBackbone(
    stackwise_channels={stackwise_channels}, stackwise_depth={stackwise_depth},
    include_rescaling=True,
)
images = np.ones((1, 224, 224, 3), "float32")
assert np.asarray({call}).shape == (1, 7, 7, 384)
"""
PREDICTOR_PROGRAM = """
import numpy as np
from cspdarknet import Predictor
predictor = Predictor({path!r}, runtime={runtime!r})
images = np.ones((1, 224, 224, 3), "float32")
assert predictor.run(images)["features"].shape == (1, 7, 7, 384)
"""
CALLS = {
    "torch": "model(images).detach()",
    "jax": "model(images)",
    "tensorflow": "model(images)",
}


def turns(folder: Path, kerascv: Path, backends: Sequence[str], threads: int) -> dict[str, Turn]:
    """Return a turn of each contestant."""
    tiny, limits = architecture("tiny"), limit_threads(threads)
    contestants: dict[str, Turn] = {}

    def add(name: str, code: str, backend: str | None = None, python: Path | None = None) -> None:
        environment = limits if backend is None else {**limits, "KERAS_BACKEND": backend}
        run = partial(startup_seconds, code, environment, python or sys.executable)
        contestants[name] = lambda: [run()]

    for runtime, suffix in (("openvino", ".xml"), ("openvino", ".onnx"), ("onnxruntime", ".onnx")):
        code = PREDICTOR_PROGRAM.format(path=str(folder / f"tiny{suffix}"), runtime=runtime)
        add(f"ours, {runtime}, {suffix}", code)
    for backend in backends:
        code = KERAS_PROGRAM.format(library="cspdarknet", call=CALLS[backend], **tiny)
        add(f"ours, Keras on {backend}", code, backend)
    code = KERAS_PROGRAM.format(library="keras_cv", call=CALLS["tensorflow"], **tiny)
    add(KERASCV, code, "tensorflow", kerascv)
    return contestants


def table(times: Times) -> list[Row]:
    """Return a row for each contestant."""
    return [
        {
            "contestant": name,
            "seconds": round(median_seconds(rounds), 2),
            "minimum": round(min(map(min, rounds)), 2),
            "KerasCV's time / this": round(median_ratio(times[KERASCV], rounds), 2),
        }
        for name, rounds in times.items()
    ]


def write(rows: Sequence[Row], rounds: int, out: Path) -> None:
    """Write the results of the rounds so far."""
    text = (
        "Seconds from the start of Python to the features of one image, size tiny: medians of "
        f"{rounds} new processes each, in turns."
    )
    write_results(out, "start_up", text, rows)
    unit = "seconds to the first features"
    plot_bars(out / "start_up.png", rows, ["contestant"], ["seconds"], unit)


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=7, threads=True, kerascv=True)
    parser.add_argument("--backends", nargs="+", default=["torch"], choices=list(CALLS))
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of this process, which exports
    from cspdarknet import load_model
    from cspdarknet.export import export

    kerascv = kerascv_python(options.kerascv_venv)
    with tempfile.TemporaryDirectory() as temporary:
        backbone = load_model("csp_darknet_tiny")
        for suffix in (".xml", ".onnx"):
            export(backbone, Path(temporary) / f"tiny{suffix}", inputs="float32")
        contestants = turns(Path(temporary), kerascv, options.backends, options.threads)
        rounds = take_turns(contestants, options.rounds, warm_up=1)
        for i, times in enumerate(rounds, start=1):
            write(table(times), i, options.out)
            print(f"round {i} of {options.rounds}", flush=True)
    for row in table(times):
        print(row)


if __name__ == "__main__":
    main()
