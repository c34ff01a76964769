"""Import of optional dependencies."""

import importlib
from types import ModuleType


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
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{purpose} needs {module}: run `pip install 'cspdarknet[{extra}]'`."
        ) from error
