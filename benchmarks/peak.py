"""How fast can this machine multiply?

The rates of single large convolutions and matrix products, by OpenVINO and PyTorch, which both use
oneDNN. The peak is the highest of these rates. Other scripts let a worker of this one take turns
with what they measure, so that a fraction of the peak refers to the peak of the same minute.

    python benchmarks/peak.py
    python benchmarks/peak.py --threads 1 --precisions float32 int8
"""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.plots import plot_bars
from harness.results import Row, write_results
from harness.turns import Run, median_seconds, time_functions
from harness.workers import Work, Worker, limit_threads, run_script, start_worker

PRECISIONS = ("float32", "bfloat16", "int8")
# Batch size, channels, image size and kernel size: large enough that reading and writing cost
# little compared with the arithmetic, small enough for the caches of a processor.
CONVOLUTIONS = [(8, 128, 56, 3), (8, 256, 28, 3), (8, 512, 14, 3), (2, 256, 56, 3), (1, 512, 28, 3)]
SIDES = [1024, 2048]  # of square matrices


@dataclass(frozen=True)
class Operation:
    """A convolution or a matrix product.

    Attributes:
        name: Its library, kind and size.
        gflop: Its billions of additions and multiplications.
        run: A function that executes it once.
    """

    name: str
    gflop: float
    run: Run


def operations(precision: str, threads: int) -> list[Operation]:
    """Return the operations of a precision that the installed libraries offer."""
    offered: list[Operation] = []
    if importlib.util.find_spec("openvino"):
        offered += openvino_operations(precision, threads)
    if importlib.util.find_spec("torch") and precision != "int8":
        offered += torch_operations(precision, threads)
    if not offered:
        raise SystemExit(
            f"A library for {precision} must be installed: pip install openvino torch."
        )
    return offered


def available_precisions() -> list[str]:
    """Return the precisions that this processor has instructions for."""
    return [name for name in PRECISIONS if name != "bfloat16" or has_bfloat16()]


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 without converting it to float32."""
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

    def quantized(tensor: Any, low: float, levels: int) -> Any:
        """Round to 8 bits for int8: OpenVINO then computes with integers."""
        if precision != "int8":
            return tensor
        ends = np.float32(low), np.float32(1)
        return ops.fake_quantize(tensor, *ends, *ends, levels)

    def compiled(result: Any, source: Any, shape: tuple[int, ...]) -> Callable[[], object]:
        model = openvino.Model([ops.result(result)], [source])
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        request.set_input_tensor(openvino.Tensor(rng.random(shape, "float32")))
        return request.infer  # type: ignore[no-any-return]

    def operands(shape: tuple[int, ...], weights: tuple[int, ...]) -> tuple[Any, Any, Any]:
        source = ops.parameter(shape, np.float32)
        constant = ops.constant(2 * rng.random(weights, "float32") - 1)
        return source, quantized(source, 0, 256), quantized(constant, -1, 255)

    for batch, channels, size, kernel in CONVOLUTIONS:
        shape = (batch, channels, size, size)
        source, x, weights = operands(shape, (channels, channels, kernel, kernel))
        padding = [kernel // 2] * 2
        output = ops.convolution(x, weights, [1, 1], padding, padding, [1, 1])
        run = compiled(output, source, shape)
        yield Operation(*describe("OpenVINO", batch, channels, size, kernel), run)
    for side in SIDES:
        source, x, weights = operands((side, side), (side, side))
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

    for batch, channels, size, kernel in CONVOLUTIONS:
        conv = torch.nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        conv = conv.eval().to(dtype, memory_format=torch.channels_last)
        x = torch.rand(batch, channels, size, size, dtype=dtype)
        x = x.to(memory_format=torch.channels_last)
        name, gflop = describe("PyTorch", batch, channels, size, kernel)
        yield Operation(name, gflop, inference(partial(conv, x)))
    for side in SIDES:
        a, b = torch.rand(2, side, side, dtype=dtype)
        name = f"PyTorch, product of {side} x {side}"
        yield Operation(name, 2e-9 * side**3, inference(partial(torch.mm, a, b)))


def describe(library: str, batch: int, channels: int, size: int, kernel: int) -> tuple[str, float]:
    """Return the name of a convolution and its GFLOP."""
    name = f"{library}, conv {kernel} x {kernel} of {batch} x {size}² x {channels}"
    return name, 2e-9 * batch * (size * channels * kernel) ** 2


def rates(candidates: list[Operation], rounds: int) -> dict[str, float]:
    """Return the GFLOP/s of each operation: the median of rounds in turns."""
    times = time_functions({operation.name: operation.run for operation in candidates}, rounds)
    return {o.name: o.gflop / median_seconds(times[o.name]) for o in candidates}


def work(precision: str, threads: int) -> Work:
    """Run the operation with the highest rate."""
    candidates = operations(precision, threads)
    measured = rates(candidates, rounds=5)
    fastest = max(candidates, key=lambda operation: measured[operation.name])
    return fastest.run, {"gflop": fastest.gflop}


def start_peak_worker(precision: str, threads: int) -> Worker:
    """Start a worker that runs the fastest operation; its facts have the `"gflop"` of a call."""
    return start_worker(__file__, limit_threads(threads), precision=precision, threads=threads)


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=15, threads=True)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="all by default")
    options = parser.parse_args()
    text = f"Single operations on {options.threads} threads, medians of {options.rounds} turns."
    rows: list[Row] = []
    for precision in options.precisions or available_precisions():
        measured = rates(operations(precision, options.threads), options.rounds)
        rows += [
            {"precision": precision, "operation": name, "GFLOP/s": round(rate, 1)}
            for name, rate in sorted(measured.items(), key=lambda item: -item[1])
        ]
        print(f"{precision}: {max(measured.values()):.0f} GFLOP/s", flush=True)
        write_results(options.out, "peak", text, rows)
        names = ["operation", "precision"]
        plot_bars(options.out / "peak.png", rows, names, ["GFLOP/s"], "GFLOP/s")


if __name__ == "__main__":
    run_script(main, work)
