"""How fast is the backbone on a GPU? Forward passes and training steps in bfloat16.

Our model on PyTorch (eager and `torch.compile`) and on JAX (jit), and the same network in plain
PyTorch. Each is a process of its own that takes turns with the others, and with one that multiplies
large matrices, for the machine's peak. Images and results stay on the GPU.

    python benchmarks/gpu_speed.py
    python benchmarks/gpu_speed.py --sizes l --batches 256 --work train

The PyTorch and JAX installed must be builds for the GPU; one that is missing is left out.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.results import (
    COLORS,
    RESULTS,
    Row,
    merge,
    new_figure,
    read_csv,
    save_figure,
    write_csv,
    write_table,
)
from harness.workers import Worker, ending, median_ratio, medians, serve, take_turns

WORK = ("size", "batch", "pixels", "work")
SIZES = ("tiny", "s", "m", "l", "xl")
CLASSES = 10
BASE = "plain PyTorch"
Run = Callable[[], Any]


# The contestants.


def ours_torch(case: Row, compiled: bool) -> tuple[Run, dict[str, Any]]:
    """Our model as the `torch.nn.Module` that it is on this backend."""
    import keras
    import torch

    model = ours(case)
    images = torch.rand(case["batch"], case["pixels"], case["pixels"], 3, device=case["device"])
    call = torch.compile(model) if compiled else model
    if case["work"] == "forward":
        return torch_forward(lambda: call(images, training=False), case["device"]), {}
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    with keras.device(case["device"]):
        return torch_step(lambda: call(images, training=True), optimizer, case), {}


def plain_torch(case: Row, compiled: bool) -> tuple[Run, dict[str, Any]]:
    """The same network in plain PyTorch, channels last in memory."""
    import torch
    from peers.plain_backbone import PlainBackbone
    from torch.utils.flop_counter import FlopCounterMode

    layers: list[Any] = [PlainBackbone(case["size"])]
    images = torch.rand(case["batch"], 3, case["pixels"], case["pixels"], device=case["device"])
    images = images.contiguous(memory_format=torch.channels_last)
    if case["work"] == "train":
        width = layers[0](torch.rand(2, 3, 64, 64)).shape[1]
        layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        layers += [torch.nn.Linear(width, CLASSES)]
    model = torch.nn.Sequential(*layers).to(case["device"], memory_format=torch.channels_last)
    model.train(case["work"] == "train")
    call = torch.compile(model) if compiled else model
    counter = FlopCounterMode(display=False)
    if case["work"] == "forward":
        with counter:
            torch_forward(lambda: model(images), case["device"], autocast=True)()
        run = torch_forward(lambda: call(images), case["device"], autocast=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
        with counter:
            torch_step(lambda: model(images), optimizer, case, autocast=True)()
        run = torch_step(lambda: call(images), optimizer, case, autocast=True)
    return run, {"gflop": counter.get_total_flops() / 1e9}


def torch_forward(call: Run, device: str, autocast: bool = False) -> Run:
    import torch

    def run() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, autocast):
            call()
        finish(device)

    return run


def torch_step(call: Run, optimizer: Any, case: Row, autocast: bool = False) -> Run:
    import torch

    device = case["device"]
    labels = torch.arange(case["batch"], device=device) % CLASSES

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


def ours_jax(case: Row) -> tuple[Run, dict[str, Any]]:
    """Our model as a jitted function of its weights."""
    import jax
    import jax.numpy as jnp

    model = ours(case)
    shape = (case["batch"], case["pixels"], case["pixels"], 3)
    images = jax.random.uniform(jax.random.key(0), shape)
    weights = [v.value for v in model.trainable_variables]
    states = [v.value for v in model.non_trainable_variables]
    if case["work"] == "forward":
        forward = jax.jit(lambda w, s, x: model.stateless_call(w, s, x, training=False)[0])
        return lambda: forward(weights, states, images).block_until_ready(), {}
    labels = jnp.arange(case["batch"]) % CLASSES

    def loss_of(weights: Any, states: Any) -> tuple[Any, Any]:
        logits, states = model.stateless_call(weights, states, images, training=True)
        chances = jax.nn.log_softmax(logits.astype("float32"))
        return -chances[jnp.arange(case["batch"]), labels].mean(), states

    def step(weights: Any, states: Any, momenta: Any) -> tuple[Any, Any, Any]:
        (_, states), slopes = jax.value_and_grad(loss_of, has_aux=True)(weights, states)
        momenta = [0.9 * m + slope for m, slope in zip(momenta, slopes, strict=True)]
        weights = [w - 1e-3 * m for w, m in zip(weights, momenta, strict=True)]
        return weights, states, momenta

    jitted = jax.jit(step)
    now = [weights, states, [jnp.zeros_like(w) for w in weights]]

    def run() -> None:
        now[:] = jax.block_until_ready(jitted(*now))

    return run, {}


def ours(case: Row) -> Any:
    """Return our backbone, with a classifier's head for training; variables in float32."""
    import keras

    from cspdarknet.models import CSPDarkNetBackbone

    with keras.device("gpu" if case["device"] == "cuda" else "cpu"):
        backbone = CSPDarkNetBackbone.from_preset(
            f"csp_darknet_{case['size']}", dtype="mixed_bfloat16"
        )
        if case["work"] == "forward":
            return backbone
        pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
        return keras.Model(backbone.inputs, keras.layers.Dense(CLASSES, dtype="float32")(pooled))


def matrix_product(case: Row) -> tuple[Run, dict[str, Any]]:
    """The peak: a large product in bfloat16."""
    import torch

    side = 8192 if case["device"] == "cuda" else 512
    a, b = torch.rand(2, side, side, device=case["device"], dtype=torch.bfloat16)

    def run() -> None:
        a @ b
        finish(case["device"])

    return run, {"gflop": 2e-9 * side**3}


# Name, Keras backend, and how it starts.
CONTESTANTS: dict[str, tuple[str, Callable[[Row], tuple[Run, dict[str, Any]]]]] = {
    "ours, PyTorch": ("torch", lambda case: ours_torch(case, compiled=False)),
    "ours, torch.compile": ("torch", lambda case: ours_torch(case, compiled=True)),
    "ours, JAX": ("jax", ours_jax),
    "plain PyTorch": ("torch", lambda case: plain_torch(case, compiled=False)),
    "plain PyTorch, torch.compile": ("torch", lambda case: plain_torch(case, compiled=True)),
    "peak": ("torch", matrix_product),
}


# The driver.


def check_device(device: str) -> list[str]:
    """Return the contestants whose library sees the device.

    Raises:
        SystemExit: if there is no GPU.
    """
    code = {
        "torch": "import torch; assert torch.cuda.is_available()",
        "jax": "import jax; assert jax.default_backend() == 'gpu'",
    }
    if device == "cpu":
        return list(CONTESTANTS)
    able = {
        backend
        for backend, test in code.items()
        if subprocess.run([sys.executable, "-c", test], capture_output=True).returncode == 0
    }
    if "torch" not in able:
        raise SystemExit("No GPU that PyTorch can use is here: this benchmark needs one.")
    return [name for name, (backend, _) in CONTESTANTS.items() if backend in able]


def measure(work: Row, names: Sequence[str], options: argparse.Namespace) -> list[Row]:
    """Return a row for each contestant."""
    with ending() as workers:
        for name in names:
            case = json.dumps({**work, "device": options.device})
            command = [sys.executable, __file__, "--worker", name, case]
            # The others' processes need some of the GPU's memory, too.
            environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
            workers[name] = Worker(command, {"KERAS_BACKEND": CONTESTANTS[name][0], **environment})
        *_, times = take_turns(workers, options.rounds, options.seconds)
        about = {name: worker.about for name, worker in workers.items()}
    gflop, peak_gflop = about[BASE]["gflop"], about["peak"]["gflop"]
    peak = peak_gflop / statistics.median(medians(times["peak"]))
    rows = []
    for name, turns in times.items():
        if name == "peak":
            continue
        seconds = statistics.median(medians(turns))
        share = gflop / peak_gflop * median_ratio(times["peak"], turns)
        rows.append(
            {
                **work,
                "contestant": name,
                "ms": round(1e3 * seconds, 3),
                "images/s": round(work["batch"] / seconds, 1),
                "TFLOP/s": round(gflop / seconds / 1e3, 2),
                "peak TFLOP/s": round(peak / 1e3, 1),
                "share of peak": round(share, 3),
                f"× {BASE}": round(median_ratio(times[BASE], turns), 2),
            }
        )
    return rows


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw images per second by batch, a panel for each size and work."""
    panels = list(dict.fromkeys((row["size"], row["work"]) for row in rows))
    figure, axes = new_figure(1, len(panels), size=(1 + 3.4 * len(panels), 4))
    names = [name for name in CONTESTANTS if name != "peak"]
    for axis, panel in zip(axes[0], panels, strict=True):
        inside = [row for row in rows if (row["size"], row["work"]) == panel]
        for name, color in zip(names, COLORS, strict=False):
            found = [row for row in inside if row["contestant"] == name]
            x = [row["batch"] for row in found]
            axis.plot(x, [row["images/s"] for row in found], "o-", color=color, label=name)
        axis.set_title(", ".join(panel))
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel("images in a batch")
    axes[0, 0].set_ylabel("images/s")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "l"], choices=SIZES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64, 256])
    parser.add_argument("--pixels", nargs="+", type=int, default=[224])
    parser.add_argument("--work", nargs="+", default=["forward", "train"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = check_device(options.device)
    rows = read_csv(options.out / "gpu_speed.csv")
    text = (
        "In bfloat16, in turns, each contestant in a process of its own. A training step includes "
        "the optimizer (SGD with momentum). FLOP are counted on plain PyTorch; the peak is that of "
        "a large matrix product."
    )
    for case in itertools.product(options.sizes, options.batches, options.pixels, options.work):
        found = measure(dict(zip(WORK, case, strict=True)), names, options)
        for row in found:
            print(row, flush=True)
        rows = merge(rows, found, WORK)
        write_csv(options.out / "gpu_speed.csv", rows)
        write_table(options.out / "gpu_speed.md", text, rows)
        plot(rows, options.out / "gpu_speed.png")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _, start = CONTESTANTS[sys.argv[2]]
        run, about = start(json.loads(sys.argv[3]))
        serve(run, **about)
    else:
        main()
