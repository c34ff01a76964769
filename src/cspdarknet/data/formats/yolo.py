"""Read boxes in the form of the YOLO tools: a text file for each photo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.data.detection.annotations import (
    Annotated,
    AnnotatedData,
    Problem,
    child_folder,
    part_folders,
    part_of,
)
from cspdarknet.data.detection.checks import as_text
from cspdarknet.images import SUFFIXES

YAML_SUFFIXES = (".yaml", ".yml")
CLASS_FILES = ("classes.txt", "obj.names", "labels/classes.txt")
MAX_BYTES = 1_000_000


def read_yolo(data: Path) -> AnnotatedData | None:
    """Read a data set of text files; return `None` where there are none.

    A `data.yaml` names the folders of the parts, or files that list photos, and the classes. Or
    there are `images/train`, `labels/train` and so on, `images` and `labels` alone, or text files
    beside the photos, with the classes in `classes.txt`.

    Each line is `class x y width height`, of a box's center and in shares of the photo, or a class
    and the corners of a polygon, whose box is taken. A photo without a text file has no boxes.

    Raises:
        ValueError: if the classes or folders that are named cannot be read.
    """
    config = _config_file(data)
    if config:
        places, names = _from_config(config)
    elif data.is_dir() and (names := _class_file(data)):
        places = {part: [folder] for part, folder in _image_folders(data).items()}
    else:
        return None
    parts: dict[str, list[Annotated]] = {}
    problems: list[Problem] = []
    for part, sources in places.items():
        parts[part] = []
        for photo in (photo for source in sources for photo in _photos(source)):
            try:
                parts[part].append(_read_photo(photo, names))
            except (ValueError, OSError) as error:
                what = f"its text file is not in the form of YOLO: {error}"
                problems.append(Problem(photo, what))
    return AnnotatedData(parts, tuple(names.values()), problems)


def _config_file(data: Path) -> Path | None:
    """Find the YAML file that describes the data set, among others that may be beside it."""
    if data.is_file():
        return data if data.suffix.lower() in YAML_SUFFIXES else None
    files = sorted(path for path in data.glob("*") if path.suffix.lower() in YAML_SUFFIXES)
    named = [path for path in files if path.stem.lower() in ("data", "dataset")]
    return next(iter(named or [path for path in files if b"names:" in path.read_bytes()]), None)


def _from_config(path: Path) -> tuple[dict[str, list[Path]], dict[int, str]]:
    """Read where the photos of each part are, and the names of the classes by number."""
    yaml: Any = require("yaml", "train", "Reading data.yaml")
    wrong = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES:,} bytes")
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        # A few lines of `<<`, which merges mappings into others, can be made to fill the memory.
        loader.flatten_mapping = lambda _: None
        config = loader.get_single_data()
        return _places(config, path.parent), _numbered(config["names"])
    except (yaml.YAMLError, RecursionError, OSError, *wrong) as error:
        raise ValueError(
            f"{path} does not describe a data set: it needs `names`, `train` and `val`. "
            f"{type(error).__name__}: {error}"
        ) from error


def _numbered(names: Any) -> dict[int, str]:
    """Return the names of the classes by number, in the order of the numbers."""
    if not isinstance(names, (list, dict)):
        raise ValueError(f"`names` must be a list or a mapping. Found: {type(names).__name__}")
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    classes = {int(number): as_text(name) for number, name in pairs}
    if len(classes) < len(names):
        raise ValueError("`names` gives a number twice")
    return dict(sorted(classes.items()))


def _places(config: dict[Any, Any], folder: Path) -> dict[str, list[Path]]:
    roots = [folder / as_text(config.get("path") or ""), folder]
    places = {}
    for key, value in config.items():
        part = part_of(str(key))
        if part and value:
            entries = value if isinstance(value, list) else [value]
            found = [_place(as_text(entry), roots) for entry in entries]
            # Exporters name a test part whether there is one or not.
            if part != "test" or all(place.exists() for place in found):
                places[part] = found
    return places


def _place(entry: str, roots: list[Path]) -> Path:
    """Find a folder or list; `../train/images` is often meant from the file's own folder."""
    entries = (entry, entry.removeprefix("../"))
    candidates = [root / name for root in roots for name in entries]
    return next((place for place in candidates if place.exists()), candidates[0])


def _class_file(data: Path) -> dict[int, str]:
    for name in CLASS_FILES:
        path = data / name
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    folders = [child_folder(data, name) for name in ("images", "labels", "annotations")]
    if folders[0] and folders[1] and not folders[2]:
        raise ValueError(
            f"{data} holds labels without the names of the classes: add a file `classes.txt` with "
            "a name in each line."
        )
    return {}


def _image_folders(data: Path) -> dict[str, Path]:
    images = child_folder(data, "images") or data
    return part_folders(images) or {"train": images}


def _photos(source: Path) -> Iterator[Path]:
    """List the photos below a folder, or those that a text file names."""
    if source.is_dir():
        paths = (path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
        yield from sorted(path for path in paths if not path.name.startswith("."))
    elif source.is_file():
        for line in source.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip():
                yield source.parent / line.strip()
    else:
        raise ValueError(f"There is no folder or list of photos {source}.")


def label_file(photo: Path) -> Path:
    """Return the text file of a photo: in `labels` where the photo is in `images`, or beside."""
    folders = list(photo.parts)
    beside = photo.with_suffix(".txt")
    if "images" not in folders[:-1] or beside.is_file():
        return beside
    last = len(folders) - 2 - folders[-2::-1].index("images")
    return Path(*folders[:last], "labels", *folders[last + 1 :]).with_suffix(".txt")


def _read_photo(photo: Path, class_names: dict[int, str]) -> Annotated:
    path = label_file(photo)
    boxes, names = [], []
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if values := line.split():
                try:
                    boxes.append(_box([float(value) for value in values[1:]]))
                    label = int(values[0].removesuffix(".0"))
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from error
                names.append(class_names.get(label, f"number {label}"))
    return Annotated(photo, boxes, names, [False] * len(boxes), relative=True)


def _box(values: list[float]) -> tuple[float, float, float, float]:
    if len(values) == 4:
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"expected 4 numbers, or 3 or more corners. Found: {len(values)} numbers")
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
