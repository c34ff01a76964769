"""Fetch files from Kaggle Models, Hugging Face or a URL, into the cache that each of them has."""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspdarknet._extras import require
from cspdarknet.checkpoints.errors import CheckpointError

KAGGLE, HUGGING_FACE, URL = "kaggle://", "hf://", "https://"
CACHE = Path("models") / "cspdarknet"  # below Keras' home, ~/.keras by default
TIMEOUT = 20.0  # seconds without an answer, after which a host counts as unreachable


class UnreachableError(ConnectionError, ValueError):
    """A file that could not be fetched: a `ConnectionError`, and a `ValueError` of the preset."""


def fetch(uri: str, file: str = "", sha256: str | None = None) -> Path:
    """Return the local copy of a file, fetching it if it is not in the cache.

    Args:
        uri: `kaggle://...` or `hf://...` with the name of a `file` in it, or `https://...`.
        file: name of the file at the hub.
        sha256: what the file must hash to. Of a URL without a known hash, the hash of the first
            download is kept beside the file and must hold from then on.

    Raises:
        ValueError: if the handle is malformed.
        UnreachableError: if the host cannot be reached or does not have the file.
        CheckpointError: if the file is not the one that the hash belongs to.
    """
    with _timeout():
        if uri.startswith(KAGGLE):
            return _from_kaggle(uri, file)
        if uri.startswith(HUGGING_FACE):
            return _from_hugging_face(uri, file)
        return _from_url(uri, sha256)


@contextmanager
def _timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_kaggle(handle: str, file: str) -> Path:
    import kagglehub

    try:
        return Path(kagglehub.model_download(handle.removeprefix(KAGGLE), path=file))
    except ValueError as error:
        raise ValueError(f"{handle!r} is no Kaggle handle: {error}") from error
    except Exception as error:
        raise _unreachable(f"{file} of {handle!r}", "Kaggle", error) from error


def _from_hugging_face(handle: str, file: str) -> Path:
    hub = require("huggingface_hub", "hf", f"Loading {handle!r}")
    repository = handle.removeprefix(HUGGING_FACE).strip("/")
    try:
        return Path(hub.hf_hub_download(repository, file))
    except hub.errors.HFValidationError as error:
        raise ValueError(f"{handle!r} is no Hugging Face repository: {error}") from error
    except Exception as error:
        raise _unreachable(f"{file} of {handle!r}", "Hugging Face", error) from error


def _from_url(url: str, sha256: str | None) -> Path:
    import keras

    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    name = "-".join(url.removeprefix(URL).split("/")[-3:])
    folder = home / CACHE
    note = folder / f"{name}.sha256"
    known = sha256 or (note.read_text().strip() if note.exists() else None)
    path = folder / name
    if not path.exists():
        part = f"{name}.part"  # a name of its own, so that an interrupted download is never used
        (folder / part).unlink(missing_ok=True)
        try:
            fetched = keras.utils.get_file(
                part, origin=url, cache_dir=str(home), cache_subdir=str(CACHE)
            )
        except Exception as error:
            raise _unreachable(repr(url), url.split("/")[2], error) from error
        _check_hash(Path(fetched), known, url)
        Path(fetched).replace(path)
    found = _check_hash(path, known, url)
    if known is None:
        note.write_text(f"{found}\n")
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(path: Path, known: str | None, url: str) -> str:
    found = sha256_of(path)
    if known is not None and found != known:
        path.unlink()
        raise CheckpointError(
            f"The file from {url} has the SHA-256 {found}, expected {known}: it is damaged or was "
            "replaced, and has been removed. Run again to fetch it anew."
        )
    return found


def _unreachable(what: str, host: str, error: Exception) -> UnreachableError:
    cause = str(error).strip().splitlines() or [type(error).__name__]
    return UnreachableError(
        f"{what} could not be fetched from {host} ({type(error).__name__}: {cause[0][:200]})"
    )
