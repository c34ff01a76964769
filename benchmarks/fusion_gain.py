"""What does the fused graph gain in the runtimes, beside a plain export of the same network?

The plain export has the Focus operation as slices, two 1x1 convolutions at the head of each stage
and parallel pools; "separate" is ours without the merging of those two convolutions. All of one
runtime run in one process, in turns; with one thread, times are the processor's.

    KERAS_BACKEND=torch python benchmarks/fusion_gain.py --sizes tiny l --batch 8 --threads 2
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
from harness.results import RESULTS, Row, write_csv, write_table
from peers.networks import as_plain, random_images
from peers.plain_backbone import export_plain, random_backbone

from cspdarknet.export import build_onnx
from cspdarknet.models import CSPDarkNetBackbone

Call = Callable[[], object]


def graphs(size: str, images: np.ndarray) -> dict[str, tuple[bytes, np.ndarray]]:
    """Return the variants of a network, with the images as each takes them."""
    model = CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}")
    merged, separate = (
        build_onnx(model, runtime, inputs="float32") for runtime in ("openvino", "onnxruntime")
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        export_plain(random_backbone(size, as_plain(images[:1])), as_plain(images[:1]), path)
        plain = path.read_bytes()
    return {
        "plain export": (plain, as_plain(images).numpy()),
        "fused, separate": (separate.SerializeToString(), images),
        "fused, merged": (merged.SerializeToString(), images),
    }


def with_onnxruntime(graph: bytes, images: np.ndarray, threads: int) -> Call:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads of one session would take the processor from the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda: session.run(None, {given.name: images})


def with_openvino(graph: bytes, images: np.ndarray, threads: int) -> Call:
    core = openvino.Core()
    model = core.read_model(graph, b"")
    model.reshape(list(images.shape))
    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([images], share_inputs=True)


RUNTIMES = {"ONNX Runtime": with_onnxruntime, "OpenVINO": with_openvino}


def measure(calls: dict[str, Call], rounds: int, threads: int) -> dict[str, list[float]]:
    """Return the times of each, taken in turns."""
    clock = time.process_time if threads == 1 else time.perf_counter
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "l"])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    images = random_images(options.batch, 224)
    rows: list[Row] = []
    for size in options.sizes:
        variants = graphs(size, images)
        for runtime, prepare in RUNTIMES.items():
            calls = {name: prepare(*given, options.threads) for name, given in variants.items()}
            times = measure(calls, options.rounds, options.threads)
            base = times["plain export"]
            for name, taken in times.items():
                ratio = statistics.median(a / b for a, b in zip(base, taken, strict=True))
                row = {"size": size, "batch": options.batch, "threads": options.threads}
                row |= {"runtime": runtime, "graph": name}
                row |= {"ms": round(1e3 * statistics.median(taken), 2), "gain": round(ratio, 3)}
                rows.append(row)
                print(row, flush=True)
            write_csv(options.out / "fusion_gain.csv", rows)
    text = "Gain: the plain export's time over this one's, the median of the rounds' ratios."
    write_table(options.out / "fusion_gain.md", text, rows)


if __name__ == "__main__":
    main()
