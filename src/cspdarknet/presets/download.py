"""Download of files from Kaggle Models, Hugging Face or a URL, each into its own cache."""

import contextlib
import glob
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet.checkpoints.errors import CheckpointError

KAGGLE, HUGGING_FACE, URL = "kaggle://", "hf://", "https://"
CACHE = Path("models") / "cspdarknet"  # below Keras's home, ~/.keras by default
PART_SECONDS = 86_400  # after which an unfinished download is taken for abandoned
TIMEOUT = 20.0  # seconds without an answer, after which a host counts as unreachable


class UnreachableError(ConnectionError, ValueError):
    """A file could not be downloaded: both a `ConnectionError` and a `ValueError`."""


def fetch(uri: str, file: str = "", sha256: str | None = None) -> Path:
    """Return the local copy of a file, downloading it if it is not in the cache.

    Args:
        uri: `kaggle://...`, `hf://...` or `https://...`.
        file: name of the file at the hub.
        sha256: expected SHA-256 of a file from a URL. Without it, the hash of the first download
            is kept beside the file and must hold from then on.

    Raises:
        ValueError: if the handle is malformed.
        UnreachableError: if the host cannot be reached or does not have the file.
        CheckpointError: if the file has another hash.
    """
    with _timeout():
        if uri.startswith(KAGGLE):
            return _from_kaggle(uri, file)
        if uri.startswith(HUGGING_FACE):
            return _from_hugging_face(uri, file)
        return _from_url(uri, sha256)


@contextmanager
def _timeout() -> Iterator[None]:
    """Give up a host that does not answer, inside the `with` block."""
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
        raise ValueError(f"{handle!r} is not a Kaggle handle: {error}") from error
    except Exception as error:
        raise _unreachable(f"{file} of {handle!r}", "Kaggle", error) from error


def _from_hugging_face(handle: str, file: str) -> Path:
    hub = require("huggingface_hub", "hf", f"Loading {handle!r}")
    repository = handle.removeprefix(HUGGING_FACE).strip("/")
    try:
        return Path(hub.hf_hub_download(repository, file))
    except hub.errors.HFValidationError as error:
        raise ValueError(f"{handle!r} is not a Hugging Face repository: {error}") from error
    except Exception as error:
        raise _unreachable(f"{file} of {handle!r}", "Hugging Face", error) from error


def _from_url(url: str, sha256: str | None) -> Path:
    import keras

    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    name = "-".join(url.removeprefix(URL).split("/")[-3:])
    folder = home / CACHE
    hash_file = folder / f"{name}.sha256"
    expected = sha256 or (hash_file.read_text().strip() if hash_file.exists() else None)
    path = folder / name
    if path.exists() and expected is not None:
        _check_hash(path, expected, url)
        return path
    _remove_old_parts(folder, name)
    # A name of its own: neither an interrupted download nor that of another process is used.
    part = f"{name}.{secrets.token_hex(8)}.part"
    try:
        downloaded = Path(
            keras.utils.get_file(part, origin=url, cache_dir=str(home), cache_subdir=str(CACHE))
        )
    except Exception as error:
        (folder / part).unlink(missing_ok=True)
        raise _unreachable(repr(url), url.split("/")[2], error) from error
    received = _check_hash(downloaded, expected, url)
    if expected is None:  # before the file is there, so that no other one is ever trusted
        write_whole(hash_file, lambda file: file.write_text(f"{received}\n"))
    downloaded.replace(path)
    return path


def _remove_old_parts(folder: Path, name: str) -> None:
    """Remove what killed downloads of a file left behind, but not those that may still run."""
    for part in folder.glob(f"{glob.escape(name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > PART_SECONDS:
                part.unlink()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(path: Path, expected: str | None, url: str) -> str:
    received = sha256_of(path)
    if expected is not None and received != expected:
        path.unlink()
        raise CheckpointError(
            f"The file from {url} must have the SHA-256 {expected}. Received: {received}. It is "
            "damaged or was replaced, and has been removed: run again to download it anew."
        )
    return received


def _unreachable(file: str, host: str, error: Exception) -> UnreachableError:
    cause = str(error).strip().splitlines() or [type(error).__name__]
    return UnreachableError(
        f"{file} could not be downloaded from {host} ({type(error).__name__}: {cause[0][:200]})"
    )
