"""Import of optional packages."""

import sys

import pytest

from cspdarknet import _extras
from cspdarknet._extras import require

pytestmark = pytest.mark.one_backend


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(
        ImportError, match=r"A b needs no_such_c: run `pip install 'cspdarknet\[d\]"
    ):
        require("no_such_c", "d", "A b")


@pytest.mark.parametrize("is_loaded", [False, True])
def test_packages_that_report_their_use_find_no_reporter(tmp_path, monkeypatch, is_loaded):
    (tmp_path / "reporting.py").write_text(
        """
try:
    import reporter
except ImportError:
    reporter = None
"""
    )
    (tmp_path / "reporter.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_extras, "REPORTING", ("reporting",))
    monkeypatch.setattr(_extras, "REPORTER", "reporter")
    before = __import__("reporter") if is_loaded else None
    try:
        assert require("reporting", "a", "A").reporter is None
        assert sys.modules.get("reporter") is before
        assert __import__("reporter").__file__ == str(tmp_path / "reporter.py")
    finally:
        for name in ("reporting", "reporter"):
            sys.modules.pop(name, None)
