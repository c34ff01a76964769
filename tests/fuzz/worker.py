"""The worker process of the fuzzer: uses one file after another, and says how each use ended.

`python worker.py MODULE FOLDER` imports `fuzz.MODULE` and calls its `prepare(FOLDER)`, which
returns the function that uses a file. Then each line of the input is a case,
`{"path": ..., "options": {...}}`, answered by a line `{"outcome": ..., "detail": ..., "seconds":
..., "megabytes": ...}`.

The function returns the outcome in one word, such as "loaded" or "refused", if it is a good one.
Whatever it raises is a failure, and so is an outcome during which the file made the process open a
file elsewhere, write one, start a program, or use the network.
"""

import importlib
import json
import os
import resource
import signal
import sys
import sysconfig
import time
import traceback
from pathlib import Path

MEMORY = 2_000_000_000  # bytes that the process may take beyond those that it starts with
FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.putenv", "subprocess.Popen", "pty.spawn", "pickle.find_class"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "webbrowser.open"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ROOT = Path(__file__).resolve().parents[2]
# Where modules are imported from, and what the system says of itself.
READABLE = (
    *{os.path.realpath(path) for path in sysconfig.get_paths().values()},
    *(os.path.realpath(path) for path in (sys.base_prefix, ROOT / "src", ROOT / "tests")),
    *("/proc", "/sys", "/dev", "/etc/localtime"),
)


class Watch:
    """An audit hook that lists what a case does and should not."""

    def __init__(self):
        self.folder = None
        self.found = []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.folder is None:
            return
        if event in FORBIDDEN:
            self.found.append(f"{event} {arguments}"[:200])
        elif event == "open":
            self._opened(*arguments)

    def _opened(self, path, mode, flags):
        if isinstance(path, int) or path is None:
            return
        place = os.path.realpath(os.fsdecode(path))
        if flags & WRITING and place != os.devnull:
            self.found.append(f"wrote {place}")
        elif not place.startswith((self.folder, *READABLE)):
            self.found.append(f"read {place}")


def limit_memory():
    """Bound the memory of this process, where the system can."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def peak_megabytes():
    """Return the largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1_000_000


def run_case(use, watch, case):
    """Use a file, and return the answer."""
    path = Path(case["path"])
    watch.found, watch.folder = [], os.path.realpath(path.parent)
    start = time.process_time()
    try:
        outcome, detail = use(path, **case["options"]), ""
    except Exception as error:
        outcome, detail = type(error).__name__, traceback.format_exc()[-3000:]
    watch.folder = None
    if watch.found:
        outcome, detail = "unsafe", "; ".join(watch.found[:5])
    seconds = time.process_time() - start
    return {
        "outcome": outcome,
        "detail": detail,
        "seconds": seconds,
        "megabytes": peak_megabytes(),
    }


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, folder = sys.argv[1:]
    use = importlib.import_module(f"fuzz.{module}").prepare(Path(folder))
    limit_memory()
    watch = Watch()
    print(json.dumps({"outcome": "ready", "megabytes": peak_megabytes()}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run_case(use, watch, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
