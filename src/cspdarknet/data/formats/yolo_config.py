"""The configuration of a YOLO dataset, `data.yaml`: classes, folders and lists of the splits."""

import math
import posixpath
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cspdarknet._extras import require
from cspdarknet.data.files import DatasetFiles, as_name, read_text
from cspdarknet.data.formats.image_lists import resolve
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import split_name

YAML_SUFFIXES = (".yaml", ".yml")
# No configuration and no list of classes is larger.
MAX_BYTES = 1_000_000
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class YoloConfig(NamedTuple):
    """What a YAML file or the names of files and folders tell.

    Attributes:
        sources: the folders and lists of images of each split, or the images.
        names: the names of the classes by id.
        keypoints: number of values that follow each box for its key points.
        problems: what was mended.
    """

    sources: dict[str, list[Path]]
    names: dict[int, str]
    keypoints: int = 0
    problems: tuple[Problem, ...] = ()


def config_file(files: DatasetFiles) -> str | None:
    """Return the YAML file that describes the dataset; there may be others beside it."""
    names = sorted(files.with_suffix(*YAML_SUFFIXES), key=lambda name: (name.count("/"), name))
    if files.file is not None:
        return names[0] if names else None
    named = [name for name in names if is_named_like_a_config(name)]
    return next(iter(named or [n for n in names if b"names" in keys(files.path(n))]), None)


def is_named_like_a_config(name: str) -> bool:
    """Whether a YAML file has the usual name of a configuration."""
    return posixpath.splitext(posixpath.basename(name))[0].lower() in ("data", "dataset")


def keys(path: Path) -> set[bytes]:
    """Return the keys of a YAML file, without parsing it."""
    return {line.split(b":")[0].strip() for line in head(path).split(b"\n") if b":" in line}


def head(path: Path) -> bytes:
    """Return the beginning of a file, of which no configuration has more; empty if unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def from_config(files: DatasetFiles, name: str) -> YoloConfig:
    """Read a YAML file.

    Args:
        files: the files of the dataset.
        name: name of the file.

    Raises:
        ImportError: if PyYAML is not installed.
        ValueError: if the file does not describe a dataset.
    """
    yaml: Any = require("yaml", "detect", "Reading data.yaml")
    path = files.path(name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        loader = yaml.SafeLoader(read_text(path))
        # A few lines of `<<`, which merges mappings into others, could fill the memory.
        loader.flatten_mapping = lambda _: None
        config = loader.get_single_data()
        sources, problems = _sources(files, name, config)
        names = _class_names(config["names"])
        if config.get("nc") not in (None, len(names)):
            raise ValueError(f"`nc` is {config['nc']!r}, but `names` has {len(names)} names")
        return YoloConfig(sources, names, _keypoints(config), tuple(problems))
    except (yaml.YAMLError, RecursionError, OSError, *MALFORMED) as error:
        raise ValueError(
            f"{path} does not describe a dataset: it must have `names`, `train` and `val`. "
            f"{type(error).__name__}: {error}"
        ) from error


def _keypoints(config: dict[Any, Any]) -> int:
    """Return the number of values of key points: their number, times 2 or 3 for each."""
    shape = config.get("kpt_shape")
    if shape is None:
        return 0
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 10_000 for n in shape):
        raise ValueError("`kpt_shape` must be a list of two whole numbers")
    return math.prod(shape)


def _class_names(names: Any) -> dict[int, str]:
    """Return the names of the classes by id, in the order of the ids."""
    if not isinstance(names, (list, dict)):
        raise ValueError(f"`names` must be a list or a mapping. Received: {type(names).__name__}")
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    classes = {int(number): as_name(name) for number, name in pairs}
    if len(classes) < len(names):
        raise ValueError("`names` gives an id twice")
    return dict(sorted(classes.items()))


def _sources(
    files: DatasetFiles, name: str, config: dict[Any, Any]
) -> tuple[dict[str, list[Path]], list[Problem]]:
    """Return the image folders and lists of each split."""
    folder = files.path(name).parent
    stated = as_name(config.get("path") or "").replace("\\", "/")
    # The folder that a `path` of another machine ends with may be beside the file.
    roots = [folder / stated, folder, folder / PurePosixPath(stated).name]
    sources: dict[str, list[Path]] = {}
    problems = []
    for key, value in config.items():
        split = split_name(str(key), exact=True)
        if not split or not value:
            continue
        for entry in value if isinstance(value, list) else [value]:
            path, is_moved = resolve(files, as_name(entry), roots)
            if is_moved:
                reason = f"`{key}` names {entry}, which is read as {path}"
                problems.append(Problem("moved path", files.path(name), reason, str(key)))
            if path.is_dir() and _holds(path, files.root):
                raise ValueError(f"`{key}` names {entry}, a folder that holds the dataset itself")
            # Some exporters name a test split whether there is one or not.
            if split != "test" or path.exists():
                sources.setdefault(split, []).append(path)
    return sources, problems


def _holds(folder: Path, root: Path) -> bool:
    """Whether a folder is above another one: such as `/`, with all files of the machine."""
    return Path(folder).resolve() in Path(root).resolve().parents
