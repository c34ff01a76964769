"""How fast is a network of timm's line here, compared with timm itself?

Ours is exported to ONNX and runs in `Predictor`; timm's own network, with the same weights, in
plain PyTorch (channels last) and with `torch.compile`, its batch normalizations folded. Each is a
process of its own, and they take turns. The script stops if their features differ.

    python benchmarks/timm_speed.py
    python benchmarks/timm_speed.py --models cs3darknet_l cs3se_edgenet_x --batch-sizes 1 8

timm gets a virtual environment of its own, made on first use.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import noise, to_plain
from harness.results import Row, write_results
from harness.turns import median_ratio, median_seconds, timing_note
from harness.workers import (
    ROOT,
    Work,
    limit_threads,
    run_script,
    running_workers,
    start_worker,
    time_workers,
    timm_python,
)

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
KINDS = ("onnxruntime", "openvino", "timm", "timm, torch.compile")
# PyTorch with channels last, whose convolutions round more, is 9e-4 from float64; ours is 7e-7.
TOLERANCE = 3e-3


def main() -> None:
    parser = benchmark_parser(
        __doc__, image_sizes=[224], batch_sizes=[1], rounds=9, seconds=1.0, threads=True
    )
    parser.add_argument("--models", nargs="+", default=["cs3darknet_l"])
    parser.add_argument("--timm-venv", type=Path, default=ROOT / ".venv-timm")
    args = parser.parse_args()
    rows = []
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            prepare(model, Path(folder))
            for size in args.image_sizes:
                for batch_size in args.batch_sizes:
                    case = {"model": model, "image_size": size, "batch_size": batch_size}
                    rows += measured(case, folder, args)
    text = (
        "# timm's networks here and in timm\n\nForward passes to the last feature map, the same "
        "weights, float32. A ratio is timm's time over ours; above 1, ours is faster. "
        f"{timing_note(args.rounds, args.threads)}"
    )
    write_results(args.out, "timm_speed", text, rows)


def prepare(name: str, folder: Path) -> None:
    """Write a backbone with random weights as ONNX and in timm's form."""
    from cspdarknet import conversion, export, load_model

    model = load_model(name)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("moving_mean", "beta"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
        elif variable.name in ("moving_variance", "gamma"):
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))
    export.export(model, folder / "ours.onnx")
    conversion.save(model, folder / "timm.pth")


def measured(case: dict[str, Any], folder: str, args: Any) -> list[Row]:
    """Return the row of each of our runtimes, with the ratios of timm's times to it."""
    workers: dict[str, Any]
    with running_workers() as workers:
        for kind in KINDS:
            python = timm_python(args.timm_venv) if kind.startswith("timm") else sys.executable
            environment = {"KERAS_BACKEND": "torch", **limit_threads(args.threads)}
            work_case = {**case, "kind": kind, "folder": folder, "threads": args.threads}
            workers[kind] = start_worker(__file__, environment, python, case=work_case)
        features = {kind: np.array(worker.facts["sample"]) for kind, worker in workers.items()}
        for kind in KINDS[1:]:
            difference = np.abs(features[kind] - features[KINDS[0]]).max()
            if not difference <= TOLERANCE * np.abs(features[KINDS[0]]).max():
                sys.exit(f"The features of {kind} differ by {difference:.2g}.")
        *_, times = time_workers(workers, args.rounds, args.seconds)
    rows = []
    for kind in KINDS[:2]:
        row: Row = {**case, "runtime": kind, "ms": round(1000 * median_seconds(times[kind]), 1)}
        for other in KINDS[2:]:
            row[f"× {other}"] = round(median_ratio(times[other], times[kind]), 2)
        rows.append(row)
        print(row, flush=True)
    return rows


def work(case: dict[str, Any]) -> Work:
    """Run a contestant."""
    images = noise(case["batch_size"], case["image_size"])
    run = timm(case, images) if case["kind"].startswith("timm") else ours(case, images)
    features = np.asarray(run())
    return run, {"sample": features.ravel()[:: max(1, features.size // 100)].tolist()}


def ours(case: dict[str, Any], images: np.ndarray) -> Any:
    """Our `Predictor` on the exported file."""
    from cspdarknet import Predictor

    file = Path(case["folder"]) / "ours.onnx"
    predictor = Predictor(file, runtime=case["kind"], threads=case["threads"])
    return lambda: np.moveaxis(predictor.run(images)["features"], -1, 1)


def timm(case: dict[str, Any], images: np.ndarray) -> Any:
    """Timm's network, whose normalization of the pixels is not timed."""
    compiled = case["kind"] != "timm"
    if compiled:  # folds the batch normalizations and packs the weights
        os.environ["TORCHINDUCTOR_FREEZING"] = "1"
    import timm as library
    import torch

    torch.set_num_threads(case["threads"])
    model = library.create_model(case["model"], num_classes=0, global_pool="")
    model.load_state_dict(torch.load(Path(case["folder"]) / "timm.pth"))
    model = model.eval().to(memory_format=torch.channels_last)
    normalized = to_plain(((images / 255 - MEAN) / STD).astype("float32"))
    inputs = torch.from_numpy(normalized).contiguous(memory_format=torch.channels_last)
    call = torch.compile(model) if compiled else model

    def run() -> Any:
        with torch.inference_mode():
            return call(inputs).numpy()

    return run


if __name__ == "__main__":
    run_script(main, work)
