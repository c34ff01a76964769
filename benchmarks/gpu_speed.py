"""How fast are forward passes and training steps on a GPU, in bfloat16?

Our model on PyTorch (eager and `torch.compile`) and on JAX (`jit`), and the same network in plain
PyTorch. Each is a process of its own that takes turns with the others, and with one that multiplies
large matrices, for the peak of the machine. Images and results stay on the GPU.

    python benchmarks/gpu_speed.py
    python benchmarks/gpu_speed.py --model-sizes l --batch-sizes 256 --work train

The installed PyTorch and JAX must be builds for the GPU. JAX is left out if it is not.
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.arguments import benchmark_parser
from harness.plots import COLORS, new_figure, save_figure
from harness.results import Row, merge, read_csv, write_results
from harness.turns import Run, median_ratio, median_seconds
from harness.workers import Work, run_script, running_workers, start_worker, time_workers

CASE = ("model_size", "batch_size", "image_size", "work")
NUM_CLASSES = 10
BASE = "plain PyTorch"


def image_shape(case: Row) -> tuple[int, ...]:
    """Return the shape of a batch, channels last."""
    return case["batch_size"], case["image_size"], case["image_size"], 3


def ours_torch(case: Row, compiled: bool) -> Work:
    """Our model on PyTorch, where it is a `torch.nn.Module`."""
    import keras
    import torch

    model = ours(case)
    images = torch.rand(image_shape(case), device=case["device"])
    call = torch.compile(model, dynamic=False) if compiled else model
    if case["work"] == "forward":
        return torch_forward(lambda: call(images, training=False), case["device"]), {}
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    with keras.device(case["device"]):
        return torch_step(lambda: call(images, training=True), optimizer, case), {}


def plain_torch(case: Row, compiled: bool) -> Work:
    """The same network in plain PyTorch, channels last in memory."""
    import torch
    from peers.plain_backbone import PlainBackbone, PlainClassifier
    from torch.utils.flop_counter import FlopCounterMode

    device, train = case["device"], case["work"] == "train"
    images = torch.rand(image_shape(case), device=device).permute(0, 3, 1, 2)
    backbone = PlainBackbone(case["model_size"])
    network: torch.nn.Module = PlainClassifier(backbone, NUM_CLASSES) if train else backbone
    network.to(device, memory_format=torch.channels_last).train(train)

    def run_of(call: Any) -> Run:
        if not train:
            return torch_forward(lambda: call(images), device, autocast=True)
        optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
        return torch_step(lambda: call(images), optimizer, case, autocast=True)

    with FlopCounterMode(display=False) as counter:
        run_of(network)()
    run = run_of(torch.compile(network, dynamic=False) if compiled else network)
    return run, {"gflop": counter.get_total_flops() / 1e9}


def torch_forward(call: Run, device: str, autocast: bool = False) -> Run:
    """Return a forward pass that waits for the GPU."""
    import torch

    def run() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, autocast):
            call()
        finish(device)

    return run


def torch_step(call: Any, optimizer: Any, case: Row, autocast: bool = False) -> Run:
    """Return a training step that waits for the GPU."""
    import torch

    device = case["device"]
    labels = torch.arange(case["batch_size"], device=device) % NUM_CLASSES

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, autocast):
            logits = call()
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        finish(device)

    return run


def finish(device: str) -> None:
    """Wait for the GPU."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def ours_jax(case: Row) -> Work:
    """Our model as a jitted function of its weights."""
    import jax
    import jax.numpy as jnp

    model = ours(case)
    images = jax.random.uniform(jax.random.key(0), image_shape(case))
    weights = [v.value for v in model.trainable_variables]
    states = [v.value for v in model.non_trainable_variables]
    if case["work"] == "forward":
        forward = jax.jit(lambda w, s, x: model.stateless_call(w, s, x, training=False)[0])
        return lambda: forward(weights, states, images).block_until_ready(), {}
    labels = jnp.arange(case["batch_size"]) % NUM_CLASSES

    def loss(weights: Any, states: Any) -> tuple[Any, Any]:
        logits, states = model.stateless_call(weights, states, images, training=True)
        log_probabilities = jax.nn.log_softmax(logits.astype("float32"))
        return -log_probabilities[jnp.arange(case["batch_size"]), labels].mean(), states

    def step(weights: Any, states: Any, momenta: Any) -> tuple[Any, Any, Any]:
        (_, states), gradients = jax.value_and_grad(loss, has_aux=True)(weights, states)
        momenta = [0.9 * m + gradient for m, gradient in zip(momenta, gradients, strict=True)]
        weights = [w - 1e-3 * m for w, m in zip(weights, momenta, strict=True)]
        return weights, states, momenta

    jitted = jax.jit(step)
    training_state = [weights, states, [jnp.zeros_like(w) for w in weights]]

    def run() -> None:
        training_state[:] = jax.block_until_ready(jitted(*training_state))

    return run, {}


def ours(case: Row) -> Any:
    """Build our backbone, with a classification head for training; variables are float32."""
    import keras

    from cspdarknet import load_model

    with keras.device("gpu" if case["device"] == "cuda" else "cpu"):
        backbone = load_model(f"csp_darknet_{case['model_size']}", dtype="mixed_bfloat16")
        if case["work"] == "forward":
            return backbone
        pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
        logits = keras.layers.Dense(NUM_CLASSES, dtype="float32")(pooled)
        return keras.Model(backbone.inputs, logits)


def matrix_product(case: Row) -> Work:
    """The peak: a product of large matrices in bfloat16."""
    import torch

    side = 8192 if case["device"] == "cuda" else 512
    a, b = torch.rand(2, side, side, device=case["device"], dtype=torch.bfloat16)

    def run() -> None:
        a @ b
        finish(case["device"])

    return run, {"gflop": 2e-9 * side**3}


# The Keras backend and the work of each contestant.
CONTESTANTS: dict[str, tuple[str, Callable[[Row], Work]]] = {
    "ours, PyTorch": ("torch", lambda case: ours_torch(case, compiled=False)),
    "ours, torch.compile": ("torch", lambda case: ours_torch(case, compiled=True)),
    "ours, JAX": ("jax", ours_jax),
    BASE: ("torch", lambda case: plain_torch(case, compiled=False)),
    f"{BASE}, torch.compile": ("torch", lambda case: plain_torch(case, compiled=True)),
    "peak": ("torch", matrix_product),
}


def work(name: str, case: Row) -> Work:
    """Run a contestant."""
    return CONTESTANTS[name][1](case)


def available_contestants(device: str) -> list[str]:
    """Return the contestants whose library can use the device.

    Raises:
        SystemExit: If PyTorch cannot use a GPU.
    """
    if device == "cpu":
        return list(CONTESTANTS)
    checks = {
        "torch": "import torch; assert torch.cuda.is_available()",
        "jax": "import jax; assert jax.default_backend() == 'gpu'",
    }
    available = {
        backend
        for backend, code in checks.items()
        if subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    }
    if "torch" not in available:
        sys.exit("This benchmark needs a GPU that PyTorch can use. Received: none.")
    return [name for name, (backend, _) in CONTESTANTS.items() if backend in available]


def measure(case: Row, names: Sequence[str], options: argparse.Namespace) -> list[Row]:
    """Return a row for each contestant."""
    with running_workers() as workers:
        for name in names:
            environment = {
                "KERAS_BACKEND": CONTESTANTS[name][0],
                "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the others need memory of the GPU too
            }
            workers[name] = start_worker(
                __file__, environment, name=name, case={**case, "device": options.device}
            )
        *_, times = time_workers(workers, options.rounds, options.seconds)
        gflop, peak_gflop = (workers[name].facts["gflop"] for name in (BASE, "peak"))
    peak = peak_gflop / median_seconds(times["peak"])
    rows = []
    for name in names:
        if name == "peak":
            continue
        seconds = median_seconds(times[name])
        fraction = gflop / peak_gflop * median_ratio(times["peak"], times[name])
        rows.append(
            {
                **case,
                "contestant": name,
                "ms": round(1e3 * seconds, 3),
                "images/s": round(case["batch_size"] / seconds, 1),
                "TFLOP/s": round(gflop / seconds / 1e3, 2),
                "peak TFLOP/s": round(peak / 1e3, 1),
                "fraction of peak": round(fraction, 3),
                f"× {BASE}": round(median_ratio(times[BASE], times[name]), 2),
            }
        )
    return rows


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw images per second over the batch size, a panel for each model size and work."""
    panels = list(dict.fromkeys((row["model_size"], row["work"]) for row in rows))
    figure, axes = new_figure(1, len(panels), size=(1 + 3.4 * len(panels), 4))
    names = [name for name in CONTESTANTS if name != "peak"]
    for axis, panel in zip(axes[0], panels, strict=True):
        inside = [row for row in rows if (row["model_size"], row["work"]) == panel]
        for name, color in zip(names, COLORS, strict=False):
            line = [row for row in inside if row["contestant"] == name]
            x = [row["batch_size"] for row in line]
            axis.plot(x, [row["images/s"] for row in line], "o-", color=color, label=name)
        axis.set_title(", ".join(panel))
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel("batch size")
    axes[0, 0].set_ylabel("images/s")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    save_figure(figure, path)


def main() -> None:
    parser = benchmark_parser(
        __doc__,
        model_sizes=["tiny", "l"],
        image_sizes=[224],
        batch_sizes=[1, 64, 256],
        rounds=5,
        seconds=1.0,
    )
    parser.add_argument("--work", nargs="+", default=["forward", "train"])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = available_contestants(options.device)
    rows = read_csv(options.out / "gpu_speed.csv")
    text = (
        "In bfloat16, in turns, each contestant in a process of its own. A training step includes "
        "the optimizer (SGD with momentum). FLOPs are counted on plain PyTorch; the peak is that "
        "of a large matrix product."
    )
    for values in itertools.product(
        options.model_sizes, options.batch_sizes, options.image_sizes, options.work
    ):
        measured = measure(dict(zip(CASE, values, strict=True)), names, options)
        for row in measured:
            print(row, flush=True)
        rows = merge(rows, measured, CASE)
        write_results(options.out, "gpu_speed", text, rows)
        plot(rows, options.out / "gpu_speed.png")


if __name__ == "__main__":
    run_script(main, work)
