"""Import an optional dependency, or say in one sentence how to install it."""

import importlib
from types import ModuleType


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, which the extra ``extra`` of this package installs.

    Raises:
        ImportError: if the module is missing; the message holds the pip command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{purpose} needs {module}: run `pip install 'cspdarknet[{extra}]'`."
        ) from error
