"""Public names of a package that are imported on first use (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from cspdarknet._kerascv import missing


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package.

    An exported model must run without Keras, and optional packages may be missing. A package with
    several public names therefore imports each of them on first use.

    Args:
        package: `__name__` of the package.
        modules: for each public name the module that defines it, relative to the package; a name
            that maps to itself is a module.

    Example:
        >>> get, names = lazy_names("cspdarknet", {"Detections": "detections", "images": "images"})
        >>> get("Detections").__name__, names()
        ('Detections', ['Detections', 'images'])
    """

    def get(name: str) -> Any:
        if name not in modules:
            missing(package, name)
        module = import_module(f"{package}.{modules[name]}")
        return module if modules[name] == name else getattr(module, name)

    return get, lambda: sorted(modules)
