"""The forms of results by name."""

import sys
from pathlib import Path

import pytest

from cspdarknet.inference.result_formats import (
    RESULT_FORMATS,
    check_result_formats,
    write_results,
)
from detection_results import NAMES, RESULTS

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("name", RESULT_FORMATS)
def test_each_form_writes_its_files(tmp_path, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    written = write_results(tmp_path / "new", [name, name], RESULTS[:1], NAMES)
    assert [path.name for path in written] == list(RESULT_FORMATS[name].outputs)
    assert sorted(written) == sorted((tmp_path / "new").iterdir())


def test_unfit_forms_are_refused():
    with pytest.raises(ValueError, match=r"`format` must be one of 'json', .*Received: .*'xml'"):
        check_result_formats(["xml"])
    with pytest.raises(ValueError, match=r"is for images\. Received: the video a\.mp4"):
        check_result_formats(["labelstudio"], videos=[Path("a.mp4")])
    twins = [Path("x/a.jpg"), Path("x/a.png")]
    for name in ("yolo", "voc"):
        with pytest.raises(ValueError, match=r"Received: x/a\.jpg and x/a\.png: rename one"):
            check_result_formats(["csv", name], twins)
    assert check_result_formats(["csv", "json", "csv"], twins) == ("csv", "json")
    assert check_result_formats(["yolo"], [Path("x/a.jpg"), Path("a.jpg")]) == ("yolo",)


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"cspdarknet\[parquet\]"):
        check_result_formats(["parquet"])
