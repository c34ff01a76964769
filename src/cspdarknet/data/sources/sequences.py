"""Datasets of PyTorch, and other sequences of images and targets."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from cspdarknet.data.sources.samples import Samples, parse_target

CLASS_ATTRIBUTES = ("classes", "class_names", "categories")


def sequence_samples(sources: Mapping[str, Any]) -> Samples:
    """Return the images of datasets of `(image, target)`.

    A target is a class id or name; a dict of `boxes` (left, top, right, bottom) and `labels`, as
    in torchvision; or a list of COCO's annotations.

    Args:
        sources: a sequence for each split.
    """

    def items() -> Iterator[Any]:
        for split, source in sources.items():
            for i, item in enumerate(_items(source, split)):
                try:
                    image, target = _pair(item)
                    yield split, image, parse_target(target)
                except ValueError as error:
                    raise ValueError(f"Item {i} of the {split} split: {error}") from error

    first = next(iter(sources.values()))
    return Samples(items(), _class_names(first), f"sequence: {type(first).__name__} of pairs")


def _items(source: Any, split: str) -> Iterator[Any]:
    has_indices = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    if has_indices:
        for i in range(_loaded(partial(len, source), f"The {split} split")):
            yield _loaded(partial(source.__getitem__, i), f"Item {i} of the {split} split")
        return
    iterator = _loaded(partial(iter, source), f"The {split} split")
    end = object()
    while (item := _loaded(partial(next, iterator, end), f"The {split} split")) is not end:
        yield item


def _loaded(load: Callable[[], Any], what: str) -> Any:
    try:
        return load()
    except Exception as error:  # of the dataset's own code, with its traceback
        text = f"{what} cannot be loaded: {type(error).__name__}: {str(error)[:200]}"
        raise ValueError(text) from error


def _pair(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        received = f"{type(item).__name__}"
        if isinstance(item, (tuple, list)):
            received += f" of {len(item)} values"
        raise ValueError(f"it must be a pair (image, target). Received: {received}")
    return item[0], item[1]


def _class_names(source: Any) -> dict[int, str]:
    """Return the names of the classes that a dataset has, or one that it is a subset of."""
    for _ in range(10):
        categories = getattr(getattr(source, "coco", None), "cats", None)
        if isinstance(categories, Mapping):  # `CocoDetection` of torchvision
            return {int(key): str(value["name"]) for key, value in sorted(categories.items())}
        for attribute in CLASS_ATTRIBUTES:
            names: Iterable[Any] | None = getattr(source, attribute, None)
            if isinstance(names, (list, tuple)) and all(isinstance(n, str) for n in names):
                return dict(enumerate(names))
        source = getattr(source, "dataset", None)
    return {}
