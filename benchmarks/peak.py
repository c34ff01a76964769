"""How fast can this machine multiply? The best rate of single large operations through oneDNN.

Convolutions and matrix products, each alone, by OpenVINO and PyTorch, the ways to oneDNN that are
installed. The peak is the rate of the best of them. Other scripts let a process of this one take
turns with what they measure, so that a share of the peak is that of the same minute.

    python benchmarks/peak.py
    python benchmarks/peak.py --threads 1 --precisions float32 int8
"""

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness.results import RESULTS, Row, new_figure, save_figure, write_csv, write_table
from harness.workers import Worker, limit_threads, serve

PRECISIONS = ("float32", "bfloat16", "int8")
# Batch, channels, pixels of a side, and the side of the kernel. Large enough that reading and
# writing cost little beside the arithmetic, small enough for a processor's caches.
CONVOLUTIONS = [(8, 128, 56, 3), (8, 256, 28, 3), (8, 512, 14, 3), (2, 256, 56, 3), (1, 512, 28, 3)]
SIDES = [1024, 2048]  # of square matrices


@dataclass(frozen=True)
class Operation:
    """One convolution or matrix product.

    Attributes:
        name: what it is, and by which library.
        gflop: its billions of additions and multiplications.
        run: does it once.
    """

    name: str
    gflop: float
    run: Callable[[], object]


def operations(precision: str, threads: int) -> list[Operation]:
    """Return the operations of a precision that the installed libraries offer."""
    found: list[Operation] = []
    if importlib.util.find_spec("openvino"):
        found += openvino_operations(precision, threads)
    if importlib.util.find_spec("torch") and precision != "int8":
        found += torch_operations(precision, threads)
    if not found:
        raise SystemExit(f"No library for {precision} here: pip install openvino torch.")
    return found


def available_precisions() -> list[str]:
    """Return the precisions that this processor has instructions for."""
    return [name for name in PRECISIONS if name != "bfloat16" or has_bfloat16()]


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16, rather than widening it."""
    if importlib.util.find_spec("openvino"):
        import openvino

        return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    info = Path("/proc/cpuinfo")
    return info.exists() and "avx512_bf16" in info.read_text()


def openvino_operations(precision: str, threads: int) -> Iterator[Operation]:
    """Yield the operations as graphs of OpenVINO with one node."""
    import openvino
    from openvino import opset13 as ops

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    rng = np.random.default_rng(0)

    def narrow(tensor: Any, low: float, levels: int) -> Any:
        """Round to 8 bits if that is wanted: OpenVINO then computes in whole numbers."""
        if precision != "int8":
            return tensor
        ends = np.float32(low), np.float32(1)
        return ops.fake_quantize(tensor, *ends, *ends, levels)

    def compiled(result: Any, source: Any, shape: tuple[int, ...]) -> Callable[[], object]:
        model = openvino.Model([ops.result(result)], [source])
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        request.set_input_tensor(openvino.Tensor(rng.random(shape, "float32")))
        return request.infer  # type: ignore[no-any-return]

    def parts(shape: tuple[int, ...], weights: tuple[int, ...]) -> tuple[Any, Any, Any]:
        source = ops.parameter(shape, np.float32)
        constant = ops.constant(2 * rng.random(weights, "float32") - 1)
        return source, narrow(source, 0, 256), narrow(constant, -1, 255)

    for batch, channels, pixels, kernel in CONVOLUTIONS:
        shape = (batch, channels, pixels, pixels)
        source, x, weights = parts(shape, (channels, channels, kernel, kernel))
        edge = [kernel // 2] * 2
        run = compiled(ops.convolution(x, weights, [1, 1], edge, edge, [1, 1]), source, shape)
        yield Operation(*describe("OpenVINO", batch, channels, pixels, kernel), run)
    for side in SIDES:
        source, x, weights = parts((side, side), (side, side))
        run = compiled(ops.matmul(x, weights, False, True), source, (side, side))
        yield Operation(f"OpenVINO, product of {side} x {side}", 2e-9 * side**3, run)


def torch_operations(precision: str, threads: int) -> Iterator[Operation]:
    """Yield the operations as calls of PyTorch."""
    import torch

    torch.set_num_threads(threads)
    dtype = getattr(torch, precision)

    def inference(call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return call()

        return run

    for batch, channels, pixels, kernel in CONVOLUTIONS:
        conv = torch.nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        conv = conv.eval().to(dtype, memory_format=torch.channels_last)
        x = torch.rand(batch, channels, pixels, pixels, dtype=dtype)
        x = x.to(memory_format=torch.channels_last)
        name, gflop = describe("PyTorch", batch, channels, pixels, kernel)
        yield Operation(name, gflop, inference(partial(conv, x)))
    for side in SIDES:
        a, b = torch.rand(2, side, side, dtype=dtype)
        name = f"PyTorch, product of {side} x {side}"
        yield Operation(name, 2e-9 * side**3, inference(partial(torch.mm, a, b)))


def describe(
    library: str, batch: int, channels: int, pixels: int, kernel: int
) -> tuple[str, float]:
    """Return the name of a convolution and its GFLOP."""
    name = f"{library}, conv {kernel} x {kernel} of {batch} x {pixels}² x {channels}"
    return name, 2e-9 * batch * (pixels * channels * kernel) ** 2


def rates(candidates: list[Operation], rounds: int) -> dict[str, float]:
    """Return GFLOP/s of each: the median of rounds in turns."""
    times: dict[str, list[float]] = {operation.name: [] for operation in candidates}
    for i in range(rounds + 1):  # one to warm up
        for operation in candidates:
            start = time.perf_counter()
            operation.run()
            if i:
                times[operation.name].append(time.perf_counter() - start)
    return {o.name: o.gflop / statistics.median(times[o.name]) for o in candidates}


def fastest(precision: str, threads: int, rounds: int = 5) -> Operation:
    """Return the operation of the best rate."""
    candidates = operations(precision, threads)
    found = rates(candidates, rounds)
    return max(candidates, key=lambda operation: found[operation.name])


def peak_worker(precision: str, threads: int) -> Worker:
    """Return a process whose turns run the fastest operation; `about` has its "gflop"."""
    command = [sys.executable, __file__, "--worker", "--precisions", precision]
    return Worker([*command, "--threads", str(threads)], limit_threads(threads))


def plot(rows: list[Row], path: Path) -> None:
    figure, axes = new_figure(size=(7, 1 + 0.22 * len(rows)))
    labels = [f"{row['operation']} ({row['precision']})" for row in rows]
    axes[0, 0].barh(labels, [row["GFLOP/s"] for row in rows])
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel("GFLOP/s")
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", action="store_true", help="for the other scripts")
    options = parser.parse_args()
    precisions = options.precisions or available_precisions()
    if options.worker:
        best = fastest(precisions[0], options.threads)
        serve(best.run, gflop=best.gflop, name=best.name)
        return
    rows: list[Row] = []
    for precision in precisions:
        found = rates(operations(precision, options.threads), options.rounds)
        rows += [
            {"precision": precision, "operation": name, "GFLOP/s": round(rate, 1)}
            for name, rate in sorted(found.items(), key=lambda item: -item[1])
        ]
        print(f"{precision}: {max(found.values()):.0f} GFLOP/s", flush=True)
        write_csv(options.out / "peak.csv", rows)
        text = f"Single operations on {options.threads} threads, medians of {options.rounds} turns."
        write_table(options.out / "peak.md", text, rows)
        plot(rows, options.out / "peak.png")


if __name__ == "__main__":
    main()
