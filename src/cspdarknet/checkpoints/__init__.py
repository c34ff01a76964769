"""Readers and writers of weight files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspdarknet.checkpoints.errors import CheckpointError
    from cspdarknet.checkpoints.loading import load_weights

__all__ = ["CheckpointError", "load_weights"]

_MODULES = {
    "CheckpointError": "errors",
    "load_weights": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
