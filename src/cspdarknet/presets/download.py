"""Download of files from Kaggle Models, Hugging Face or a URL, each into its own cache."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspdarknet._files import write_whole
from cspdarknet._keras import keras_home
from cspdarknet._unfinished import temporary_folder
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.presets.errors import unreachable
from cspdarknet.presets.hugging_face import download_file

KAGGLE, HUGGING_FACE, URL = "kaggle://", "hf://", "https://"
CACHE = Path("models") / "cspdarknet"  # below Keras's home, ~/.keras by default
TIMEOUT = 20.0  # seconds without an answer, after which a host counts as unreachable


def fetch(uri: str, file: str = "", sha256: str | None = None) -> Path:
    """Return the local copy of a file, downloading it if it is not in the cache.

    Args:
        uri: `kaggle://...`, `hf://...`, with `@revision` behind it or not, or `https://...`.
        file: name of the file at the hub.
        sha256: expected SHA-256 of a file from a URL, or its first digits. Without it, the hash of
            the first download is kept beside the file and must hold from then on.

    Raises:
        ValueError: if the handle is malformed, or names nothing that can be read.
        UnreachableError: if the host cannot be reached or does not have the file.
        CheckpointError: if the file has another hash, or is too large.
    """
    with _timeout():
        if uri.startswith(KAGGLE):
            return _from_kaggle(uri, file)
        if uri.startswith(HUGGING_FACE):
            return download_file(uri, file)
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
        raise unreachable(f"{file} of {handle!r}", "Kaggle", error) from error


def _from_url(url: str, sha256: str | None) -> Path:
    home = keras_home()
    name = "-".join(url.removeprefix(URL).split("/")[-3:])
    folder = home / CACHE
    path, hash_file = folder / name, folder / f"{name}.sha256"
    expected = sha256 or _known_hash(hash_file)
    if path.exists() and expected is not None:
        _check_hash(path, expected, url)
        return path
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    # Neither an interrupted download nor that of another process is used.
    with temporary_folder(path) as part:
        try:
            downloaded = Path(
                keras.utils.get_file(
                    name, origin=url, cache_dir=str(home), cache_subdir=str(CACHE / part.name)
                )
            )
        except Exception as error:
            raise unreachable(repr(url), url.split("/")[2], error) from error
        # Another process may have been first.
        received = _check_hash(downloaded, expected or _known_hash(hash_file), url)
        if expected is None:  # before the file is there, so that no other one is ever trusted
            write_whole(hash_file, lambda file: file.write_text(f"{received}\n"))
        downloaded.replace(path)
    return path


def _known_hash(file: Path) -> str | None:
    return file.read_text().strip() if file.exists() else None


def _check_hash(path: Path, expected: str | None, url: str) -> str:
    received = sha256_of(path)
    if expected is not None and not received.startswith(expected):  # timm names the first digits
        path.unlink()
        raise CheckpointError(
            f"The file from {url} must have the SHA-256 {expected}. Received: {received}. It is "
            "damaged or was replaced, and has been removed: run again to download it anew."
        )
    return received
