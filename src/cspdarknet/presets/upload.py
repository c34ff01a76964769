"""Publication of a preset or run folder on Kaggle Models or Hugging Face, with a model card."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.images import open_image
from cspdarknet.presets.config import BEST, CONFIG, METADATA, RUN_SETTINGS, WEIGHTS, read_config
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE
from cspdarknet.presets.errors import UnreachableError, cause_of
from cspdarknet.presets.hugging_face import LOG_IN, parse_address, received, status_of
from cspdarknet.presets.model_card import model_card
from cspdarknet.presets.run_record import read_json, read_run

CARD = "README.md"
EXAMPLES = "examples"
EXAMPLE_SIDE, QUALITY = 1280, 92  # pixels of the longer side, and JPEG's quality


@dataclass(frozen=True)
class Upload:
    """What is uploaded.

    Attributes:
        card: text of the model card.
        files: paths of all files in the repository, the card included, and their sizes in bytes.
        folder: the folder that holds them until the `with` statement ends.
    """

    card: str
    files: dict[str, int]
    folder: Path


def upload_preset(
    uri: str,
    directory: str | Path,
    *,
    license: str | None = None,
    private: bool = False,
    examples: Sequence[str | Path] = (),
) -> str:
    """Upload the best model of a training, or a preset folder, through the hub's own client.

    A model card (`README.md`) is added, unless the preset folder has one; to one without metadata,
    these are added. Of a run folder, the best model and the pictures of its metrics are uploaded,
    but no images of the dataset. Of a preset folder, all files are. Log in before, with
    `hf auth login` or `kagglehub.login()`.

    Args:
        uri: `"hf://owner/repository"` or `"kaggle://owner/model/framework/variation"`.
        directory: the folder.
        license: license of the weights, such as `"apache-2.0"`; by default the one that is stored
            with them.
        private: Hugging Face: create a private repository. Models at Kaggle are private until they
            are published there.
        examples: images for the hub's widget. They are uploaded as JPEG files without the metadata
            of the photos, such as the place.

    Returns:
        The address of the model; at Hugging Face, with its commit.

    Raises:
        ValueError: if the URI is of another form, the folder is not a preset, or the hub refuses
            it.
        ConnectionError: if the hub cannot be reached.
        ImportError: if the hub's client is missing.
    """
    with prepared_upload(uri, directory, license=license, examples=examples) as upload:
        if uri.startswith(KAGGLE):
            return _to_kaggle(uri, upload.folder)
        return _to_hugging_face(uri, upload.folder, private)


@contextmanager
def prepared_upload(
    uri: str,
    directory: str | Path,
    *,
    license: str | None = None,
    examples: Sequence[str | Path] = (),
) -> Iterator[Upload]:
    """Yield what `upload_preset` would upload; nothing is sent.

    Args:
        uri: as in `upload_preset`.
        directory: as in `upload_preset`.
        license: as in `upload_preset`.
        examples: as in `upload_preset`.

    Raises:
        ValueError: as in `upload_preset`.
    """
    _check_address(uri)
    source = Path(directory)
    if not source.is_dir():
        raise ValueError(
            "`directory` must be the run folder of a training, or a preset folder. Received: "
            f"{str(directory)!r}, no such folder. `cspdarknet convert MODEL FOLDER` writes a "
            "preset folder of any model."
        )
    is_run = (source / RUN_SETTINGS).is_file()
    model = source / BEST if is_run else source
    if is_run and not model.is_dir():
        raise ValueError(f"The run {source} has no finished epoch yet: there is no {model}.")
    config = ModelConfig.from_arguments(read_config(model / CONFIG)["config"])
    if not (model / WEIGHTS).is_file():
        raise ValueError(f"A model to upload must have weights. Received: {model}, no {WEIGHTS}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        record = read_run(source)
        own = (CONFIG, METADATA, WEIGHTS) if is_run else _names(model)
        for path in (*(model / name for name in own), *(source / name for name in record.pictures)):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        shown = _write_examples(examples, folder / EXAMPLES)
        card = model_card(uri, config, read_json(model / METADATA), record, license, shown)
        card = _with_own_card(folder / CARD, card, bool(license or examples))
        (folder / CARD).write_text(card, encoding="utf-8")
        sizes = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        yield Upload(card, sizes, folder)


def _check_address(uri: str) -> None:
    if not uri.startswith((KAGGLE, HUGGING_FACE)):
        raise ValueError(f"`uri` must begin with 'kaggle://' or 'hf://'. Received: uri={uri!r}")
    if uri.startswith(HUGGING_FACE):
        repository, revision = parse_address(uri)
        if revision is not None or repository.count("/") != 1:
            raise ValueError(
                "`uri` must be hf://owner/repository, without a revision, to upload a model. "
                f"Received: uri={uri!r}"
            )


def _names(folder: Path) -> list[str]:
    """Return the names of the files of a preset folder, but for hidden ones and links."""
    paths = (p for p in folder.iterdir() if p.is_file() and not p.is_symlink())
    return sorted(path.name for path in paths if not path.name.startswith("."))


def _write_examples(examples: Sequence[str | Path], folder: Path) -> list[str]:
    """Write images as JPEG files without metadata; return their paths in the repository."""
    written: list[str] = []
    for source in map(Path, examples):
        name = re.sub(r"[^\w.-]", "_", source.stem, flags=re.ASCII).strip(".") or "example"
        path = f"{EXAMPLES}/{name}.jpg"
        if path in written:
            path = f"{EXAMPLES}/{name}-{len(written) + 1}.jpg"
        image = open_image(source, EXAMPLE_SIDE)
        image.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
        folder.mkdir(exist_ok=True)
        image.save(folder.parent / path, quality=QUALITY)
        written.append(path)
    return written


def _with_own_card(file: Path, card: str, has_options: bool) -> str:
    """Return the card that a preset folder has, with metadata if it has none; or the new card.

    Raises:
        ValueError: if the folder's card has metadata, and options of the card are given.
    """
    if not file.is_file():
        return card
    own = file.read_text(encoding="utf-8")
    if own.startswith("---"):
        if has_options:
            raise ValueError(
                "`license` and `examples` are for a model card without metadata. Received: a "
                f"{file.name} that has them, which is kept: write the license and examples there, "
                "or remove it."
            )
        return own
    _, metadata, _ = card.split("---\n", 2)
    return f"---\n{metadata}---\n\n{own}"


def _to_kaggle(uri: str, folder: Path) -> str:
    import kagglehub

    try:
        kagglehub.model_upload(uri.removeprefix(KAGGLE), str(folder))
    except Exception as error:
        raise _refused(uri, "Kaggle", "log in with `kagglehub.login()`", error) from error
    return uri


def _to_hugging_face(uri: str, folder: Path, private: bool) -> str:
    hub: Any = require("huggingface_hub", "hf", f"Uploading to {uri!r}")
    repository, _ = parse_address(uri)
    api = hub.HfApi()
    try:
        # `None` is the default of the owner, who may be an organization.
        api.create_repo(repository, private=private or None, exist_ok=True)
        is_public = private and not api.model_info(repository).private
        if not is_public:
            commit = api.upload_folder(repo_id=repository, folder_path=str(folder))
    except Exception as error:
        raise _refused(
            uri, "Hugging Face", f"{LOG_IN} with a token that may write", error
        ) from error
    if is_public:
        raise ValueError(
            f"`private=True` (`--private`) needs a repository that is private. Received: {uri}, "
            "which exists and is public. Nothing was uploaded: change that in its settings, or "
            "choose another name."
        )
    return f"{HUGGING_FACE}{repository}@{commit.oid}"


def _refused(uri: str, host: str, log_in: str, error: Exception) -> ValueError:
    """Return the error of an upload as one plain message."""
    status = status_of(error)
    if status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError":
        return ValueError(
            f"Uploading to {uri} needs a login that may write there. Received: {received(error)}. "
            f"To mend it, {log_in}."
        )
    if status is None and isinstance(error, ValueError):
        return ValueError(f"{host} refuses the upload to {uri}: {' '.join(str(error).split())}")
    return UnreachableError(
        f"The model could not be uploaded to {uri} ({cause_of(error)}). Its files at {host} are as "
        "before: run the same command again."
    )
