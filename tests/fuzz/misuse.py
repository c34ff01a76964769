"""A use of files that does what readers must not do, for the test of the harness."""

import os
import pickle
import socket
import subprocess
import sys
import time


def prepare(folder):
    """Return the misuse of a file."""
    actions = {
        "nothing": lambda _: None,
        "read": lambda path: path.read_bytes(),
        "raise": lambda _: 1 / 0,
        "crash": lambda _: os.abort(),
        "exit": lambda _: os._exit(3),
        "slow": lambda _: sum(range(30_000_000)),
        "hang": lambda _: time.sleep(60),
        "read elsewhere": lambda path: (path.parent.parent / "elsewhere").read_bytes(),
        "write": lambda path: path.write_bytes(b""),
        "remove": lambda path: path.unlink(),
        "program": lambda _: subprocess.run([sys.executable, "-c", ""], check=False),
        "shell": lambda _: os.system("true"),
        "network": lambda _: socket.create_connection(("127.0.0.1", 9), timeout=1).close(),
        "unpickle": lambda _: pickle.loads(b"cos\ngetcwd\n."),
        "memory": lambda _: bytearray(4_000_000_000),
    }

    def use(path, action):
        try:
            actions[action](path)
        except OSError:
            return "refused"
        return "loaded"

    return use
