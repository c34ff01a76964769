"""Conversion of weights between file formats, and verification of the result."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspdarknet.conversion.convert import load, save
    from cspdarknet.conversion.verify import verify

__all__ = ["load", "save", "verify"]

_MODULES = {
    "load": "convert",
    "save": "convert",
    "verify": "verify",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
