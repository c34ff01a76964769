"""Files for results: what is replaced, and the standard output."""

import os
import threading
from pathlib import Path

import pytest
from rich.console import Console

from cspdarknet._files import write_text
from cspdarknet.cli.results import ResultsFile, check_results_files, write_results

pytestmark = pytest.mark.one_backend

STARTS = ("file,class",)


def check(*paths):
    files = (ResultsFile(f"--{i}", path, STARTS) for i, path in enumerate(paths))
    check_results_files(*files)


@pytest.mark.parametrize("content", ["", "file,class\n", "file,class\na.jpg,cat\n"])
def test_earlier_results_and_empty_files_are_replaced(tmp_path, content, capsys):
    path = tmp_path / "a.csv"
    path.write_text(content)
    check(path)
    write = lambda path: write_text(path, "file,class\n")  # noqa: E731
    write_results(Console(), "Results", [(path, write), (tmp_path / "b.csv", write), (None, write)])
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"Results written to {path}, in place of an earlier result."
    assert second == f"Results written to {tmp_path / 'b.csv'}."


@pytest.mark.parametrize("content", ["file", "fileclass,", '{"images": []}', "\ufeff"])
def test_other_files_are_kept(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match="not the result of an earlier run: choose another file"):
        check(tmp_path / "a.csv")


def test_two_results_never_go_to_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for a, b in (("a.csv", "./a.csv"), ("-", "-"), ("a.csv", tmp_path / "a.csv")):
        with pytest.raises(ValueError, match="`--0` and `--2` must name two files"):
            check(Path(a), None, Path(b))
    check(Path("-"), Path("a.csv"), None)


def test_text_goes_to_the_standard_output_as_utf8(capfdbinary):
    write_text(Path("-"), "血.jpg\udcff")
    assert capfdbinary.readouterr().out == "血.jpg".encode() + b"\xff"


def test_links_and_pipes_are_written_to_and_not_replaced(tmp_path):
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_text()))
    reader.start()
    for name in ("link.csv", "pipe"):
        check(tmp_path / name) if name == "pipe" else None
        write_text(tmp_path / name, "new")
    reader.join()
    assert (tmp_path / "target.csv").read_text() == received[0] == "new"
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
