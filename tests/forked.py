"""Processes that are forked from one which has imported the packages, and has run nothing."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

TIMEOUT = 120  # seconds
# One list for all tests: a process starts its server once, with the first list.
PRELOADED = ["cspdarknet.cli", "cspdarknet.train.distributed.torch", "grain", "torch_processes"]


def fork_context():
    """Return the `multiprocessing` context of these processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, __name__])
    return context


def run_forked(code, *arguments):
    """Run code as `support.run_python` does, without the seconds of its imports."""
    with tempfile.TemporaryDirectory() as folder:
        child = fork_context().Process(target=_run, args=(folder, code, *map(str, arguments)))
        child.start()
        child.join(TIMEOUT)
        child.kill()  # if it still runs
        child.join()
        out, err = ((Path(folder) / name).read_text() for name in ("stdout", "stderr"))
    return SimpleNamespace(returncode=child.exitcode, stdout=out, stderr=err)


def _run(folder, code, *arguments):
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY), number)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})
