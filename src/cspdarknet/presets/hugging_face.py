"""Download of single files from Hugging Face's hub, which are checked."""

import hashlib
import re
from pathlib import Path
from typing import Any, NoReturn

from cspdarknet._extras import require
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.limits import MAX_CONFIG_BYTES, MAX_WEIGHT_BYTES
from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.presets.config import CONFIG
from cspdarknet.presets.errors import UnreachableError, cause_of, unreachable

PREFIX = "hf://"
LOG_IN = "log in with `hf auth login`"
REVISION = re.compile(r"(?!.*\.\.)\w[\w.+-]*(/[\w.+-]+)*")  # a branch, a tag or a commit
SHA256, GIT_SHA1 = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


def parse_address(address: str) -> tuple[str, str | None]:
    """Return the repository and the revision of an address.

    Args:
        address: `"hf://owner/repository"`, or with `@revision` behind it.

    Returns:
        The repository, and the revision or `None`.

    Raises:
        ValueError: if the address has another form.

    Example:
        >>> parse_address("hf://me/net@v1")
        ('me/net', 'v1')
    """
    repository, mark, revision = address.removeprefix(PREFIX).strip("/").partition("@")
    if not repository or (mark and not REVISION.fullmatch(revision)):
        raise ValueError(
            "The address of a model must be hf://owner/repository, or with a branch, tag or commit "
            f"behind it, as in hf://owner/repository@v1. Received: {address}"
        )
    return repository, revision if mark else None


def pinned_address(address: str, path: Path) -> str:
    """Return the address of the commit that a downloaded file is of.

    Args:
        address: the address of the model, whose branch may move at any time.
        path: the local copy, in the hub's cache, whose folders are named by commits.
    """
    commit = path.parent.name
    return (
        f"{PREFIX}{parse_address(address)[0]}@{commit}" if GIT_SHA1.fullmatch(commit) else address
    )


def download_file(address: str, file: str) -> Path:
    """Return the local copy of a file, from the hub or from the cache of the hub's client.

    The hub is asked each time whether its file has changed. Where it does not answer, the cached
    file is taken.

    Args:
        address: as of `parse_address`.
        file: name of the file in the repository.

    Raises:
        ValueError: if there is no such repository, revision or file, or it cannot be read.
        UnreachableError: if the hub does not answer, and the file is not in the cache.
        CheckpointError: if the file is damaged or too large.
        ImportError: if the hub's client is missing.
    """
    hub: Any = require("huggingface_hub", "hf", f"Loading {address!r}")
    repository, revision = parse_address(address)
    options = {"repo_id": repository, "filename": file, "revision": revision}
    try:
        metadata = hub.get_hf_file_metadata(hub.hf_hub_url(**options))
        _check_size(address, file, metadata.size)
        path = Path(hub.hf_hub_download(**options))
    except CheckpointError:
        raise
    except (hub.errors.RevisionNotFoundError, hub.errors.EntryNotFoundError) as error:
        _raise_plain(hub, address, file, error)
    except hub.errors.HFValidationError as error:
        raise ValueError(f"{address!r} is not a Hugging Face repository: {error}") from error
    except Exception as error:
        path = _cached(hub, address, file, options, error)
        metadata = None
    _check_content(address, path, metadata and metadata.etag)
    return path


def _cached(hub: Any, address: str, file: str, options: dict[str, Any], error: Exception) -> Path:
    """Return a file from the cache, after an error of the hub."""
    try:
        return Path(hub.hf_hub_download(**options, local_files_only=True))
    except hub.errors.LocalEntryNotFoundError:
        _raise_plain(hub, address, file, error)


def _raise_plain(hub: Any, address: str, file: str, error: Exception) -> NoReturn:
    """Raise an error of the hub's client as one plain message."""
    repository, revision = parse_address(address)
    page, errors = f"{hub.constants.ENDPOINT}/{repository}", hub.errors
    # The first class is a subclass of the second one.
    if isinstance(error, errors.GatedRepoError):
        rule = f"The files of {address} are for users who have accepted its terms"
        remedy = f"Accept them at {page}, {LOG_IN}, and run again."
    elif isinstance(error, errors.RepositoryNotFoundError):
        rule = f"{address} must be a repository that exists and that you may read"
        remedy = f"Check the spelling; if the repository is private, {LOG_IN}."
    elif isinstance(error, errors.RevisionNotFoundError):
        rule = f"{address} must name a branch, a tag or a commit of its repository"
        remedy = f"Choose one that {page} lists, or leave out @{revision} for the newest files."
    elif isinstance(error, errors.LocalEntryNotFoundError):
        raise unreachable(f"{file} of {address!r}", "Hugging Face", error) from error
    elif isinstance(error, errors.EntryNotFoundError):
        rule = f"{address} must be a preset of this package or of KerasCV"
        message = f"{rule}. Received: a repository without {file}. See its files at {page}."
        raise ValueError(message) from error
    elif isinstance(error, errors.OfflineModeIsEnabled):
        raise UnreachableError(
            f"{file} of {address!r} must be in the cache of Hugging Face's client, since "
            "HF_HUB_OFFLINE forbids downloads. Received: no such file. Run once without "
            "HF_HUB_OFFLINE"
        ) from error
    elif status_of(error) == 401:
        rule, remedy = f"Reading {address} needs a valid login", f"To mend it, {LOG_IN}."
    else:
        raise unreachable(f"{file} of {address!r}", "Hugging Face", error) from error
    raise ValueError(f"{rule}. Received: {received(error)}. {remedy}") from error


def status_of(error: Exception) -> int | None:
    """Return the status of the hub's answer, if the error is one."""
    return getattr(getattr(error, "response", None), "status_code", None)


def received(error: Exception) -> str:
    """Return what came from the hub, for the message of an error."""
    status = status_of(error)
    return cause_of(error) if status is None else f"the answer {status}"


def _check_size(address: str, file: str, size: int | None) -> None:
    """Check the size that the hub states, before the download.

    Raises:
        CheckpointError: if the file is too large for a config, or for weights.
    """
    limit = MAX_CONFIG_BYTES if file == CONFIG else MAX_WEIGHT_BYTES
    if size is not None and size > limit:
        raise CheckpointError(
            f"{file} of {address} must have at most {limit:,} bytes. Received: {size:,} bytes. It "
            "was not downloaded."
        )


def _check_content(address: str, path: Path, etag: str | None) -> None:
    """Compare a file with its hash at the hub, and remove it from the cache if it has another.

    The cache names files by their hash, except where it has no links, as on Windows.

    Raises:
        CheckpointError: if the file is damaged.
    """
    stored = path.resolve()
    expected = stored.name if _is_hash(stored.name) else etag or ""
    if SHA256.fullmatch(expected):
        received = sha256_of(stored)
    elif GIT_SHA1.fullmatch(expected):
        content = stored.read_bytes()
        received = hashlib.sha1(
            b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()
    else:
        return
    if received != expected:
        path.unlink()
        stored.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path.name} of {address} must have the hash {expected}. Received: {received}. It is "
            "damaged, and has been removed: run again to download it anew."
        )


def _is_hash(name: str) -> bool:
    return bool(SHA256.fullmatch(name) or GIT_SHA1.fullmatch(name))
