"""Error of a weight file that cannot be loaded."""

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_CHARACTERS = 1_000


class CheckpointError(ValueError):
    """A weight file is damaged, unsafe, or of another architecture than the model."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))


def shortened(text: str, length: int = MAX_CHARACTERS) -> str:
    """Return a text, without its middle if it is longer than `length`.

    A file can name its weights, or its class, with megabytes of text.
    """
    if len(text) <= length:
        return text
    half = length // 2
    return f"{text[:half]} [...] {text[-half:]}"


_bounded = reprlib.Repr()
_bounded.maxstring = _bounded.maxother = 100


def shown(value: object) -> str:
    """Return the `repr` of a value of any size and depth in a few hundred characters at most."""
    return shortened(_bounded.repr(value), 300)


@contextmanager
def damage_reported(path: Path | str, expected: str = "readable weight file") -> Iterator[None]:
    """Raise a `CheckpointError` that names the file in place of any error of the block.

    What a damaged file makes zip, JSON, HDF5 and protobuf libraries raise is not documented. An
    `ImportError`, which tells what to install, is kept.

    Args:
        path: the file.
        expected: what the file should have been.
    """
    try:
        yield
    except ImportError:
        raise
    except CheckpointError as error:
        if str(path) in str(error):
            raise
        raise CheckpointError(f"{path}: {error}") from error
    except MemoryError as error:
        raise CheckpointError(
            f"{path} needs more memory than this process can get: free some, or check the file."
        ) from error
    except Exception as error:
        reason = shortened(str(error), MAX_CHARACTERS // 2)
        raise CheckpointError(
            f"{path} is not a {expected}, or damaged: {type(error).__name__}: {reason}"
        ) from error
