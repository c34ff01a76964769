"""Import of optional dependencies."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import ModuleType

# They report each import over the network, from a forked process. A fork may deadlock a process
# with threads, as one with JAX is, and where there is no network its end waits for seconds.
REPORTING = ("openvino", "nncf")
REPORTER = "openvino_telemetry"
_LOCK = Lock()


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module that an extra of this package installs.

    Args:
        module: name of the module.
        extra: name of the extra.
        purpose: what needs the module, as the subject of the message.

    Raises:
        ImportError: if the module is missing; the message contains the pip command.
    """
    try:
        if module in REPORTING and module not in sys.modules:
            with _LOCK, _hidden(REPORTER):
                return importlib.import_module(module)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{purpose} needs {module}: run `pip install 'cspdarknet[{extra}]'`."
        ) from error


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Make a module look as if it were not installed, to those that are imported meanwhile."""
    missing = object()
    before: object = sys.modules.get(module, missing)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is missing:
            sys.modules.pop(module, None)
        else:
            sys.modules[module] = before  # type: ignore[assignment]
