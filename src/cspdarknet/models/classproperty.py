"""A read-only property of a class."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class classproperty(Generic[T]):  # noqa: N801  (named as `property` is)
    """Compute an attribute from the class, such as `CSPDarkNetBackbone.presets`."""

    def __init__(self, getter: Callable[[Any], T]) -> None:
        self.getter = getter
        self.__doc__ = getter.__doc__

    def __get__(self, instance: Any, owner: type) -> T:
        return self.getter(owner)
