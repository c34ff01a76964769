"""Worker processes of one machine: what they are told, and what happens when one of them ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cspdarknet.train.distributed import launch

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals"),
]

# Ends as its own argument says (the first is that of the first worker), when all have started.
WORKER = """
import os, signal, sys, time
from pathlib import Path
index = int(os.environ["RANK"])
kind, _, detail = sys.argv[1 + index].partition(":")
if kind == "terminated":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(detail)))
Path(f"{index}.new").write_text(str(os.getpid()))
Path(f"{index}.new").rename(f"{index}.pid")
while not all(Path(f"{i}.pid").exists() for i in range(int(os.environ["WORLD_SIZE"]))):
    time.sleep(0.01)
if kind == "signal":
    os.kill(os.getpid(), getattr(signal, detail))
elif kind in ("wait", "terminated"):
    while True:
        signal.pause()
elif kind == "environment":
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
    Path(f"{index}.txt").write_text(" ".join(os.environ[name] for name in names))
elif kind == "exit":
    status, _, text = detail.partition(":")
    print(text, file=sys.stderr)
    sys.exit(int(status))
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The function that runs workers, each of which ends as an argument says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "POLL", 0.01)

    def run(*ends):
        # Those that wait are killed after it; all others end by themselves.
        monkeypatch.setattr(launch, "GRACE", 0.1 if "wait" in ends else 100)
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", WORKER, *ends])
        launch.run_workers(len(ends))

    return run


def is_running(index):
    try:
        os.kill(int(Path(f"{index}.pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_run_the_same_command(run, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run("environment", "environment")
    texts = [(tmp_path / f"{index}.txt").read_text() for index in range(2)]
    assert texts == ["0 0 2 127.0.0.1 3", "1 1 2 127.0.0.1 3"]


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        (("wait", "signal:SIGKILL"), "process 2 of 2 was ended by SIGKILL, as by `kill -9`"),
        (("signal:SIGTERM", "wait"), "process 1 of 2 was ended by SIGTERM. The others"),
        (("wait", "exit:143"), "process 2 of 2 was ended by SIGTERM. The others"),
        (("wait", "exit:1:Error: no such disk"), "process 2 of 2 has failed: no such disk"),
        ((f"exit:{launch.LOST}", "signal:SIGSEGV"), "process 2 of 2 was ended by SIGSEGV"),
        ((f"exit:{launch.LOST}", "wait"), "process 1 of 2 has lost the connection"),
    ],
)
def test_a_worker_that_ends_too_early_ends_the_others(run, ends, error):
    with pytest.raises(ChildProcessError, match=error):
        run(*ends)
    assert not is_running(0)
    assert not is_running(1)


@pytest.mark.parametrize("other", [f"exit:{launch.LOST}", "exit:1:the same", "wait"])
def test_the_first_worker_tells_its_error_itself(run, other):
    with pytest.raises(SystemExit) as exit_:
        run("exit:3:a line on the terminal", other)
    assert exit_.value.code == 3
    assert not is_running(1)


def test_a_traceback_of_a_worker_is_shown(run, capfd):
    with pytest.raises(ChildProcessError, match="process 2 of 2 has failed: the last line"):
        run("wait", "exit:1:the first line\nthe last line")
    assert "the first line" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("first", "raised"), [("terminated:143", SystemExit), ("terminated:1", KeyboardInterrupt)]
)
def test_an_interruption_ends_the_workers(run, first, raised, monkeypatch, tmp_path):
    def interrupted(workers):
        while not all((tmp_path / f"{worker.index}.pid").exists() for worker in workers):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "_wait", interrupted)
    with pytest.raises(raised):
        run(first, "terminated:0")
    assert not is_running(0)
    assert not is_running(1)


def test_a_worker_ends_with_the_process_that_started_it():
    # The module alone, without the packages of a training.
    script = (
        "import runpy, signal, sys\n"
        "runpy.run_path(sys.argv[1])['end_with_launcher']()\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script, launch.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout.readline() == b"ready\n"
    worker.stdin.close()
    assert worker.wait(60) == launch.LOST
    worker.stdout.close()
