"""Reader of the YOLO format: one text file of boxes for each image."""

from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.data.annotations import AnnotatedImage, Annotations, Problem
from cspdarknet.data.formats.reading import as_name, child_folder, images_in, split_folders
from cspdarknet.data.splits import split_name

YAML_SUFFIXES = (".yaml", ".yml")
CLASS_FILES = ("classes.txt", "obj.names", "labels/classes.txt")
# No configuration and no list of classes is larger.
MAX_BYTES = 1_000_000


def read_yolo(data: Path) -> Annotations[AnnotatedImage] | None:
    """Read a dataset in the YOLO format.

    A `data.yaml` names the classes and the image folders of the splits, or files that list images.
    Without it, the images are in `images/train` and the labels in `labels/train` and so on, or in
    `images` and `labels` without splits, or side by side; `classes.txt` names the classes.

    Each line of a label file is `class x y width height`, of the box's center and in fractions of
    the image, or a class and the corners of a polygon, whose bounding box is taken. An image
    without a label file has no boxes.

    Args:
        data: the folder or YAML file.

    Returns:
        The images by split, or `None` if there is neither a YAML file nor a list of classes.

    Raises:
        ImportError: if there is a YAML file and PyYAML is not installed.
        ValueError: if the classes or folders that are named cannot be read.
    """
    config = _config_file(data)
    if config:
        sources, names = _from_config(config)
    elif data.is_dir() and (names := _class_file(data)):
        sources = {split: [folder] for split, folder in _image_folders(data).items()}
    else:
        return None
    splits: dict[str, list[AnnotatedImage]] = {}
    problems: list[Problem] = []
    for split, places in sources.items():
        splits[split] = []
        for path in (path for place in places for path in _images(place)):
            try:
                splits[split].append(_read_labels(path, names))
            except (ValueError, OSError) as error:
                problems.append(Problem(path, f"its label file is not in the YOLO format: {error}"))
    return Annotations(splits, tuple(names.values()), problems)


def _config_file(data: Path) -> Path | None:
    """Return the YAML file that describes the dataset; there may be others beside it."""
    if data.is_file():
        return data if data.suffix.lower() in YAML_SUFFIXES else None
    files = sorted(path for path in data.glob("*") if path.suffix.lower() in YAML_SUFFIXES)
    named = [path for path in files if path.stem.lower() in ("data", "dataset")]
    return next(iter(named or [path for path in files if b"names:" in path.read_bytes()]), None)


def _from_config(path: Path) -> tuple[dict[str, list[Path]], dict[int, str]]:
    """Read the image folders and lists of each split, and the names of the classes by id."""
    yaml: Any = require("yaml", "detect", "Reading data.yaml")
    malformed = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        # A few lines of `<<`, which merges mappings into others, could fill the memory.
        loader.flatten_mapping = lambda _: None
        config = loader.get_single_data()
        return _sources(config, path.parent), _class_names(config["names"])
    except (yaml.YAMLError, RecursionError, OSError, *malformed) as error:
        raise ValueError(
            f"{path} does not describe a dataset: it must have `names`, `train` and `val`. "
            f"{type(error).__name__}: {error}"
        ) from error


def _class_names(names: Any) -> dict[int, str]:
    """Return the names of the classes by id, in the order of the ids."""
    if not isinstance(names, (list, dict)):
        raise ValueError(f"`names` must be a list or a mapping. Received: {type(names).__name__}")
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    classes = {int(number): as_name(name) for number, name in pairs}
    if len(classes) < len(names):
        raise ValueError("`names` gives an id twice")
    return dict(sorted(classes.items()))


def _sources(config: dict[Any, Any], folder: Path) -> dict[str, list[Path]]:
    """Return the image folders and lists of each split."""
    roots = [folder / as_name(config.get("path") or ""), folder]
    sources = {}
    for key, value in config.items():
        split = split_name(str(key))
        if split and value:
            entries = value if isinstance(value, list) else [value]
            paths = [_resolve(as_name(entry), roots) for entry in entries]
            # Some exporters name a test split whether there is one or not.
            if split != "test" or all(path.exists() for path in paths):
                sources[split] = paths
    return sources


def _resolve(entry: str, roots: list[Path]) -> Path:
    """Return the path of a folder or list; `../train` often means `train` beside the YAML file."""
    entries = (entry, entry.removeprefix("../"))
    candidates = [root / name for root in roots for name in entries]
    return next((path for path in candidates if path.exists()), candidates[0])


def _class_file(data: Path) -> dict[int, str]:
    """Read the names of the classes by id from a text file, if there is one."""
    for name in CLASS_FILES:
        path = data / name
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    images, labels, others = (child_folder(data, n) for n in ("images", "labels", "annotations"))
    if images and labels and not others:
        raise ValueError(
            f"{data} must name the classes of its labels. Add a file `classes.txt` with one name "
            "per line."
        )
    return {}


def _image_folders(data: Path) -> dict[str, Path]:
    images = child_folder(data, "images") or data
    return split_folders(images) or {"train": images}


def _images(source: Path) -> list[Path]:
    """List the images below a folder, or those that a text file names."""
    if source.is_dir():
        return images_in(source, recursive=True)
    if not source.is_file():
        raise ValueError(f"There is no folder or list of images {source}.")
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    return [source.parent / line.strip() for line in lines if line.strip()]


def label_file(image: Path) -> Path:
    """Return the label file of an image: beside it, or in `labels` if the image is in `images`."""
    folders = list(image.parts)
    beside = image.with_suffix(".txt")
    if "images" not in folders[:-1] or beside.is_file():
        return beside
    last = len(folders) - 2 - folders[-2::-1].index("images")
    return Path(*folders[:last], "labels", *folders[last + 1 :]).with_suffix(".txt")


def _read_labels(image: Path, class_names: dict[int, str]) -> AnnotatedImage:
    path = label_file(image)
    boxes, names = [], []
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if values := line.split():
                try:
                    boxes.append(_box([float(value) for value in values[1:]]))
                    class_id = int(values[0].removesuffix(".0"))
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from error
                names.append(class_names.get(class_id, f"id {class_id}"))
    return AnnotatedImage(image, boxes, names, [False] * len(boxes), relative=True)


def _box(values: list[float]) -> tuple[float, float, float, float]:
    if len(values) == 4:
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < 6 or len(values) % 2:
        raise ValueError(
            f"a class must be followed by 4 numbers, or by 3 or more corners. Received: "
            f"{len(values)} numbers"
        )
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
