"""The run folder of a training."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cspdarknet._unfinished import PART
from cspdarknet.data import Problem
from cspdarknet.train.run_folder import RunFolder

pytestmark = pytest.mark.one_backend

SETTINGS = {"data": "images", "task": "detection", "recipe": {"batch_size": 6, "phases": [1, 2]}}


def test_a_run_continues_with_the_same_settings(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(SETTINGS)
    assert json.loads((run.path / "run.json").read_text()) == SETTINGS
    # The dataset may have been moved, and versions updated.
    run.begin({**SETTINGS, "data": "elsewhere", "versions": {"keras": "9"}})
    assert json.loads((run.path / "run.json").read_text()) == SETTINGS


def test_other_settings_are_named(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(SETTINGS)
    other = {**SETTINGS, "recipe": {"batch_size": 7, "phases": (1, 2)}}
    with pytest.raises(ValueError, match=r"other settings: batch size 6 → 7\. .*`--model .*run`"):
        run.begin(other)
    with pytest.raises(ValueError, match=r"c default → c, d default → d, .*, and 2 more\. Set"):
        run.begin({**SETTINGS, **{name: name for name in "cdefghi"}})


def test_a_folder_with_other_files(tmp_path):
    (tmp_path / "my.txt").write_text("")
    with pytest.raises(ValueError, match=r"holds other files \(such as my\.txt\)"):
        RunFolder(tmp_path).begin(SETTINGS)
    assert not (tmp_path / "run.json").exists()


def test_one_process_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    run = RunFolder(tmp_path)
    with run.claimed(), pytest.raises(ValueError, match="Another process is training in"):
        RunFolder(tmp_path).claimed().__enter__()
    with RunFolder(tmp_path).claimed():
        pass


def test_too_little_space(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=30_000_000))
    run.check_space(1_000_000)
    with pytest.raises(ValueError, match="needs 40 MB of disk space, and 30 MB are free"):
        run.check_space(2_000_000)


def test_the_history_as_csv_and_json_lines(tmp_path):
    run = RunFolder(tmp_path)
    history = [{"epoch": 1, "val_map": None}, {"epoch": 2, "val_map": 0.5}]
    run.write_history(history)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert rows == [{"epoch": "1", "val_map": ""}, {"epoch": "2", "val_map": "0.5"}]
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history


def test_skipped_files_are_read_as_they_were_written(tmp_path):
    run = RunFolder(tmp_path)
    assert run.read_skipped() is None
    run.write_problems([])
    assert run.read_skipped() == []
    # Names with separators, and bytes that are not UTF-8.
    problems = [
        Problem("unreadable image", Path("/a,b\n.png"), 'cut "off"'),
        Problem("unreadable image", Path("/\udcff.png"), "empty"),
    ]
    run.write_problems(problems)
    assert run.read_skipped() == problems


def test_what_a_killed_process_left_is_removed(tmp_path):
    for name in (f"{PART}1/.lock", f"{PART}1/preset/a.h5", f"best/{PART}2/.lock", "best/a.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with RunFolder(tmp_path).claimed():
        pass
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        ".lock",
        "best",
        "best/a.json",
    ]
