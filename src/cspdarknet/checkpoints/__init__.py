"""Read weight files of other origins into the models of this package, and write them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cspdarknet.checkpoints.errors import CheckpointError

if TYPE_CHECKING:
    from cspdarknet.checkpoints.convert import load, save
    from cspdarknet.checkpoints.loading import load_weights

__all__ = ["CheckpointError", "load", "load_weights", "save"]

_MODULES = {"load": "convert", "load_weights": "loading", "save": "convert"}


# Imported on use: models read checkpoints, and `load` makes models.
def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
