"""The fuzzer notices what it is there for."""

import re
import sys

import pytest

from fuzz.harness import Worker

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(sys.platform == "win32", reason="the worker waits for input with select"),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = Worker("misuse", tmp_path_factory.mktemp("w"))
    yield worker
    worker.stop()


@pytest.mark.parametrize(
    ("action", "outcome", "detail"),
    [
        ("nothing", "loaded", ""),
        ("raise", "ZeroDivisionError", "division by zero"),
        ("crash", "crash", "SIGABRT"),
        ("exit", "crash", "exit 3"),
        ("hang", "hang", "no answer"),
        ("slow", "slow", ""),
        ("read elsewhere", "unsafe", "read .*elsewhere"),
        ("write", "unsafe", "wrote .*file"),
        ("remove", "unsafe", "os.remove"),
        ("program", "unsafe", "subprocess.Popen"),
        ("shell", "unsafe", "os.system"),
        ("network", "unsafe", "socket"),
        ("unpickle", "unsafe", "pickle.find_class"),
        ("memory", "MemoryError", ""),
        ("read", "loaded", ""),
    ],
)
def test_outcomes(action, outcome, detail, worker, tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.harness.SECONDS", 0.01 if action == "slow" else 20)
    monkeypatch.setattr("fuzz.harness.WAIT_SECONDS", 2 if action == "hang" else 120)
    (tmp_path / "case").mkdir()
    (tmp_path / "elsewhere").write_text("text")
    (tmp_path / "case" / "file").write_text("text")
    result = worker.use(tmp_path / "case" / "file", action=action)
    assert result.outcome == outcome, result
    assert re.search(detail, result.detail)
