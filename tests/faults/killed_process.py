"""Runs a function in this process, which ends itself at a chosen moment, without a warning.

`python killed_process.py MOMENT FUNCTION ARGUMENTS...`, where a moment is one of

    import:MODULE                 the module begins to be imported, by a statement
    call:MODULE:NAME:COUNT        a function, such as `Class.method`, is called for the nth time
    write:FILE:COUNT              some bytes of a file of this name are written, for the nth time
    move:FILE:COUNT               a file or folder is about to get this name, for the nth time
    never:                        it runs to its end

The kernel kills the process in the middle of a file: it may write a few bytes more, and no more.
"""

import functools
import importlib
import os
import resource
import signal
import sys
from pathlib import Path

MORE_BYTES = 10  # that may be written of a file


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_while_writing():
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MORE_BYTES, MORE_BYTES))


class _Moment:
    """A moment of a kind that Python's audit events show."""

    def __init__(self, kind, name, count=1):
        self.kind, self.name, self.left = kind, name, int(count)

    def __call__(self, event, arguments):
        if self.kind == "import" and event == "import":
            found = arguments[0] == self.name
        elif self.kind == "write" and event == "open":
            path, mode, _ = arguments
            found = isinstance(path, (str, os.PathLike)) and "w" in (mode or "")
            found = found and Path(path).name == self.name
        else:
            found = self.kind == "move" and event == "os.rename"
            found = found and Path(os.fsdecode(arguments[1])).name == self.name
        if found:
            self.left -= 1
            if self.left == 0:
                _die_while_writing() if self.kind == "write" else _die()


def _die_at_call(module, name, count):
    *owners, attribute = name.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    function, calls = getattr(owner, attribute), []

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls.append(None)
        if len(calls) == int(count):
            _die()
        return function(*args, **kwargs)

    setattr(owner, attribute, wrapper)


def train(task, folder, data, preset):
    """Train in `folder/run`, with the recipe in `folder/recipe.json`."""
    from rich.console import Console

    from cspdarknet.train import load_recipe, train_classifier, train_detector

    function = train_detector if task == "detection" else train_classifier
    recipe = load_recipe(Path(folder) / "recipe.json", task)
    function(data, Path(folder) / "run", preset, recipe, console=Console(quiet=True))


def main(moment, function, *arguments):
    kind, *details = moment.split(":")
    if kind == "call":
        _die_at_call(*details)
    elif kind != "never":
        sys.addaudithook(_Moment(kind, *details))
    globals()[function](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
