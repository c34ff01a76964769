"""The table of `docs/elsewhere.md` says what each runtime computes."""

import pytest

from elsewhere.models import EXPORTS
from elsewhere.runtimes import RUNTIMES
from elsewhere.table import CELLS, PAGE, Cell, agrees, measure, read_page

pytestmark = pytest.mark.one_backend
# The cells that are run here; `make elsewhere` runs all. Tests of exports run .pt2 and .tflite.
QUICK = [Cell(row, "float32", name) for row in EXPORTS for name in ("onnxruntime", "opencv")]
SLOW = [
    *(Cell("detector, raw", "int8", name) for name in ("onnxruntime", "opencv", "openvino")),
    *(Cell("classifier", "float32", name) for name in ("openvino", "ncnn", "coreml")),
    Cell("detector, raw", "float32", "ncnn"),
    Cell("classifier", "float16", "onnxruntime"),
]


def _parameters():
    quick = [pytest.param(cell, id=str(cell)) for cell in QUICK]
    return quick + [pytest.param(cell, id=str(cell), marks=pytest.mark.slow) for cell in SLOW]


@pytest.mark.parametrize("cell", _parameters())
def test_the_cell_says_what_the_runtime_computes(cell, tmp_path):
    if missing := RUNTIMES[cell.runtime].missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    measured = measure(cell, tmp_path)
    written = read_page()[0][cell]
    assert agrees(cell, written, measured), f"{PAGE.name} says {written}, measured: {measured}"


def test_the_table_is_complete():
    cells, versions = read_page()
    assert set(cells) == set(CELLS)
    assert all(versions.values())
    text = PAGE.read_text(encoding="utf-8")
    for cell, written in cells.items():
        assert written not in ("", "?"), f"no reason for {cell}: {written!r}"
        assert len(written) > 1 or f"\n- **{written}**" in text


def test_other_results_than_those_written_are_noticed():
    cell = Cell("classifier", "float32", "onnxruntime")
    assert agrees(cell, "1e-06", "9e-06")
    assert not agrees(cell, "1e-06", "2e-05")
    assert not agrees(cell, "a", "1e-06")
    assert not agrees(cell, "1e-06", "a")
    assert agrees(cell, "a", "a")
