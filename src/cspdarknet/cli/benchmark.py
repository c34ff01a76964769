"""`cspdarknet benchmark`: how fast a model is here, on each runtime."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cspdarknet.inference.model_source import file_runtimes, graph_runtimes
from cspdarknet.inference.runtimes import PRECISIONS, is_installed
from cspdarknet.model_info import is_exported_file, read_model_info

if TYPE_CHECKING:
    from cspdarknet.inference.predictor import Predictor
    from cspdarknet.model_info import ModelInfo

ROUNDS = 5
PEAK_SIDE = 1536  # of the matrices whose product is taken for the machine's peak
CALIBRATION_IMAGES = 4


@dataclass
class Timed:
    """Something that is timed.

    Attributes:
        name: of the runtime.
        precision: that it computes in.
        run: does it once.
        times: seconds of each run.
    """

    name: str
    precision: str
    run: Callable[[], object]
    times: list[float] = field(default_factory=list)

    def turn(self, seconds: float) -> None:
        """Run for about so long."""
        end = time.perf_counter() + seconds
        while not self.times or time.perf_counter() < end:
            start = time.perf_counter()
            self.run()
            self.times.append(time.perf_counter() - start)

    @property
    def seconds(self) -> float:
        """The median time of a run."""
        return statistics.median(self.times)


def benchmark(
    model: Annotated[
        str, typer.Argument(help="A preset, a run folder, or an exported .onnx or .xml file.")
    ] = "csp_darknet_tiny",
    batch: Annotated[int, typer.Option(min=1, help="Images in a batch.")] = 1,
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the images in pixels; the model's own, or 224."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each runtime.")] = 3.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of OpenVINO and ONNX Runtime; all.")
    ] = None,
) -> None:
    """Time a model on each runtime that is installed, in each precision.

    The images are noise, and so is the calibration of int8: this is about speed alone. The
    runtimes take turns with a large matrix product in float32, whose rate is called the peak.
    """
    if not seconds > 0:
        raise ValueError(f"`--seconds` must be above 0. Received: {seconds}")
    console = Console()
    source, names = _source(model)
    if not is_exported_file(model) and is_installed("openvino") and not is_installed("nncf"):
        console.print("int8 on OpenVINO needs nncf: pip install 'cspdarknet\\[int8]'.")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
    ) as progress:
        task = progress.add_task("starting", total=len(names) + ROUNDS)
        contestants = []
        for name, precision in names:
            progress.update(task, description=f"starting {name}, {precision}")
            predictor = _start(source, name, precision, image_size, threads)
            size = image_size or predictor.description.image_size or 224
            contestants.append(Timed(name, precision, _batch(predictor, batch, size)))
            progress.advance(task)
        peak = Timed("peak", "float32", _matrix_product())
        for timed in (*contestants, peak):
            timed.turn(0)  # the first run is a slow one
            timed.times.clear()
        progress.update(task, description="timing")
        for _ in range(ROUNDS):
            for timed in (*contestants, peak):
                timed.turn(seconds / ROUNDS)
            progress.advance(task)
    rate = 2 * PEAK_SIDE**3 / min(peak.times)
    title = f"{model}: {batch} x {size} x {size} pixels, peak {rate / 1e9:.0f} GFLOP/s"
    flops = _flops(source, predictor.description, batch, size)
    console.print(_table(title, contestants, batch, rate, flops))


def _source(model: str) -> tuple[Any, list[tuple[str, str]]]:
    """Return what a `Predictor` takes, and the runtimes and precisions to start it in."""
    if not is_exported_file(model):
        from cspdarknet.models import load_model

        able = [(name, kind) for kind in PRECISIONS for name in graph_runtimes(kind)]
        return load_model(model), _without_bfloat16(able)
    names = file_runtimes(model)
    if not names:
        raise ImportError(
            "No runtime for this file is installed: run "
            "`pip install 'cspdarknet[openvino,onnxruntime]'`."
        )
    about = read_model_info(model)
    in_int8 = about is not None and about.precision == "int8"
    kinds = ["int8"] if in_int8 else ["float32", "bfloat16"]
    able = [(name, kind) for kind in kinds for name in names if name in PRECISIONS[kind]]
    return model, _without_bfloat16(able)


def _without_bfloat16(able: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave bfloat16 out where OpenVINO does not compute in it."""
    if not any(kind == "bfloat16" for _, kind in able):
        return able
    import openvino

    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return able
    return [(name, kind) for name, kind in able if kind != "bfloat16"]


def _start(
    source: Any, name: str, precision: str, image_size: int | None, threads: int | None
) -> "Predictor":
    from cspdarknet.inference.predictor import Predictor

    calibration = None
    if precision == "int8" and not is_exported_file(source):
        shape = (CALIBRATION_IMAGES, 224, 224, 3)
        calibration = list(np.random.default_rng(0).integers(0, 256, shape, "uint8"))
    return Predictor(
        source,
        runtime=name,
        precision=precision,
        image_size=image_size,
        threads=threads,
        calibration=calibration,
    )


def _batch(predictor: "Predictor", batch: int, size: int) -> Callable[[], object]:
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), "uint8")
    return lambda: predictor.run(images)


def _matrix_product() -> Callable[[], object]:
    a, b = np.random.default_rng(0).random((2, PEAK_SIDE, PEAK_SIDE), "float32")
    return lambda: a @ b


def _flops(source: Any, about: "ModelInfo", batch: int, size: int) -> int | None:
    """Return the arithmetic of a batch, if the onnx package is there and can count it."""
    if not is_installed("onnx") or str(source).endswith(".xml"):
        return None
    from cspdarknet.export.onnx.flops import count_flops

    first = about.data_format == "channels_first"
    shape = (batch, 3, size, size) if first else (batch, size, size, 3)
    try:
        return count_flops(_graph(source), shape)
    except ValueError:  # it depends on what is in the images
        return None


def _graph(source: Any) -> Any:
    """Return a file or a Keras model as an ONNX graph, a detector's up to what its head says."""
    if is_exported_file(source):
        import onnx

        return onnx.load(source)
    from cspdarknet.export import build_onnx
    from cspdarknet.inference import keras_runtime

    return build_onnx(source, **({"outputs": "raw"} if keras_runtime.is_detector(source) else {}))


def _table(
    title: str, contestants: list[Timed], batch: int, peak: float, flops: int | None
) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("runtime")
    table.add_column("precision")
    for column in ("ms per batch", "images/s", "share of peak"):
        table.add_column(column, justify="right")
    for timed in sorted(contestants, key=lambda timed: timed.seconds):
        share = "" if flops is None else f"{flops / timed.seconds / peak:.0%}"
        rate = f"{batch / timed.seconds:.1f}"
        table.add_row(timed.name, timed.precision, f"{1e3 * timed.seconds:.2f}", rate, share)
    return table
