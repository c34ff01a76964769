"""The table of `docs/elsewhere.md`: what each runtime computes from each exported file.

`PYTHONPATH=tests python -m elsewhere.table` measures the cells of the installed runtimes and writes
them; the other cells, and the versions that they were measured with, are kept.
"""

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cspdarknet.export import export
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.verification import Reference
from elsewhere.models import EXPORTS, SIDE, images, model
from elsewhere.reasons import reason_of
from elsewhere.runtimes import RUNTIMES

PAGE = Path(__file__).parents[2] / "docs" / "elsewhere.md"
PRECISIONS = ("float32", "float16", "int8")
TOLERANCES = {"float32": 1e-5, "float16": 2e-2, "int8": 0.2}
CONVERTED = "converted"
BEGIN, END = "% measured cells", "% end of the measured cells"


@dataclass(frozen=True)
class Cell:
    """One file in one runtime."""

    row: str
    precision: str
    runtime: str

    def __str__(self) -> str:
        return f"{self.row}, {self.precision}, {self.runtime}"


CELLS = [Cell(row, p, runtime) for row in EXPORTS for p in PRECISIONS for runtime in RUNTIMES]


def measure(cell: Cell, folder: Path) -> str:
    """Export a file, run it, and return the cell's text: the error, or the reason why not."""
    try:
        return _measure(cell, folder)
    except Exception as error:  # whatever the runtime raises
        print(f"{cell}: {type(error).__name__}: {str(error)[:400]}", file=sys.stderr)
        return reason_of(cell.row, cell.precision, cell.runtime)


def _measure(cell: Cell, folder: Path) -> str:
    runtime = RUNTIMES[cell.runtime]
    batch = images(cell.row, runtime.batch_size).astype(runtime.inputs)
    arguments = {"inputs": runtime.inputs, **EXPORTS[cell.row]}
    if runtime.is_fixed and "letterbox" not in cell.row:
        arguments["image_size"] = SIDE
    result = export(
        model(cell.row),
        folder / f"{cell.precision}{runtime.suffix}",
        precision=cell.precision,
        calibration=list(images(cell.row, 4)) if cell.precision == "int8" else None,
        sample_images=batch,
        **arguments,
    )
    graph, _ = inference_graph(model(cell.row), **arguments)
    outputs = runtime.run(result.path, batch, sorted(graph.output))
    if outputs is None:
        return CONVERTED
    comparison = Reference(graph, batch, cell.precision).compare(outputs)
    is_same = comparison.max_relative_error <= TOLERANCES[cell.precision]
    if not is_same or not (comparison.detections_match or cell.precision == "int8"):
        raise ValueError(f"error {comparison}")
    return f"{comparison.max_relative_error:.0e}"


def agrees(cell: Cell, written: str, measured: str) -> bool:
    """Whether a cell of the page says what was measured; errors vary with the processor."""
    if not (_is_number(written) and _is_number(measured)):
        return written == measured
    return float(measured) <= max(10 * float(written), TOLERANCES["float32"])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d(\.\d+)?e[-+]\d+", text) is not None


def read_page() -> tuple[dict[Cell, str], dict[str, str]]:
    """Return the cells of the page, and the versions of the runtimes."""
    lines = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip().splitlines()
    rows = [[text.strip() for text in line.strip("|").split("|")] for line in lines]
    _, _, *body, versions = rows
    cells = {
        Cell(row, precision, runtime): text
        for row, precision, *texts in body
        for runtime, text in zip(RUNTIMES, texts, strict=True)
    }
    return cells, dict(zip(RUNTIMES, versions[2:], strict=True))


def write_page(cells: dict[Cell, str], versions: dict[str, str]) -> None:
    """Write the cells into the page."""
    titles = ["model", "precision", *(runtime.title for runtime in RUNTIMES.values())]
    rows = [titles, ["---"] * len(titles)]
    for row in EXPORTS:
        for precision in PRECISIONS:
            texts = [cells.get(Cell(row, precision, name), "") for name in RUNTIMES]
            rows.append([row, precision, *texts])
    rows.append(["version", "", *(versions.get(name, "") for name in RUNTIMES)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    before, after = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = after.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def main(names: list[str]) -> None:
    """Measure the runtimes of these names, all by default, and write the page."""
    for name in names or RUNTIMES:
        if missing := RUNTIMES[name].missing:
            print(f"{name}: kept, since {', '.join(missing)} is not installed")
            continue
        for cell in [cell for cell in CELLS if cell.runtime == name]:
            with tempfile.TemporaryDirectory() as folder:
                measured = measure(cell, Path(folder))
            print(f"{cell}: {measured}", flush=True)
            cells, versions = read_page()
            write_page(cells | {cell: measured}, versions | {name: RUNTIMES[name].version})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1:])
