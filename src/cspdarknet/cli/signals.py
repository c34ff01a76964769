"""Signals that end a command: by one line and the usual exit status, with no file half written."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from rich.console import Console
from typer.core import TyperGroup

from cspdarknet.cli.progress import interruptible

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
STATUS = 128  # exit statuses of programs that a signal has ended are this number and the signal's


class Commands(TyperGroup):
    """The commands, each of which Ctrl-C ends without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with interruptible(Console(stderr=True)):
            return super().invoke(ctx)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the program inside this context at a signal as at Ctrl-C, so that it tidies up.

    Signals that are ignored, as SIGHUP is under `nohup`, remain so.

    Raises:
        SystemExit: with the status of the signal.
    """
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if not received or number == signal.SIGINT:
            received.append(number)
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    before = {n: h for n in numbers if (h := signal.getsignal(n)) in defaults}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    except BaseException:
        if received:
            sys.exit(STATUS + received[0])
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[list[int]]:
    """Call a function at the first signal, in place of ending the program; the next one ends it.

    Args:
        stop: makes the work inside this context end soon, with all files complete.

    Returns:
        A context with the list of the signals received so far.
    """
    received: list[int] = []

    def first(number: int, _: FrameType | None) -> None:
        received.append(number)
        restore()
        stop()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {n: h for n in numbers if (h := signal.getsignal(n)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, first)
    try:
        yield received
    finally:
        restore()
