"""`cspdarknet benchmark`: inference speed of a model on each installed runtime."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cspdarknet._image_size import sides
from cspdarknet.cli.options import ImageSizeOption, ModelArgument
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.inference.runtimes import is_installed
from cspdarknet.model_info import is_exported_file

if TYPE_CHECKING:
    from cspdarknet.inference.benchmark import SpeedComparison


def benchmark(
    model: ModelArgument,
    batch_size: Annotated[int, typer.Option(help="Batch size.", min=1)] = 1,
    image_size: ImageSizeOption = None,
    seconds: Annotated[
        float, typer.Option(help="Time for each runtime and precision, in seconds.")
    ] = 3.0,
    threads: Annotated[
        int | None,
        typer.Option(help="Number of threads of OpenVINO and ONNX Runtime. Default: all.", min=1),
    ] = None,
) -> None:
    """Measure the inference speed of a model on each runtime.

    Each installed runtime is measured in each precision. Images and calibration data are random
    noise: only the speed is measured. The runtimes take turns with a large matrix product in
    float32, whose FLOP/s are shown as the peak.
    """
    from cspdarknet.inference import benchmark_runtimes

    console = Console()
    if not is_exported_file(model) and is_installed("openvino") and not is_installed("nncf"):
        console.print("int8 on OpenVINO needs nncf: run `pip install 'cspdarknet\\[int8]'`.")
    with console.status("loading the model") as status:
        comparison = benchmark_runtimes(
            model,
            batch_size=batch_size,
            image_size=image_size,
            seconds=seconds,
            threads=threads,
            on_step=status.update,
        )
    (height, width), peak = sides(comparison.image_size), comparison.peak / 1e9
    title = f"{model}: {batch_size} x {height} x {width} pixels, peak {peak:.0f} GFLOP/s"
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    print_table(console, _table(comparison, batch_size))


def _table(comparison: "SpeedComparison", batch_size: int) -> Table:
    table = plain_table("runtime", "precision")
    for column in ("ms per batch", "images/s", "fraction of peak"):
        table.add_column(column, justify="right", no_wrap=True)
    for speed in comparison.speeds:
        fraction = comparison.fraction_of_peak(speed)
        table.add_row(
            *(speed.runtime, speed.precision, f"{1e3 * speed.seconds:.2f}"),
            f"{batch_size / speed.seconds:.1f}",
            "" if fraction is None else f"{fraction:.0%}",
        )
    return table
