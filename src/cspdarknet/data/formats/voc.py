"""Reader of Pascal VOC: one XML file of boxes for each image."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from cspdarknet.data.annotations import AnnotatedImage, Annotations, Problem
from cspdarknet.data.formats.reading import child_folder, images_in, split_folders
from cspdarknet.data.splits import split_name
from cspdarknet.images import has_image_suffix

# No image has so many objects that its file is larger.
MAX_BYTES = 20_000_000


def read_voc(data: Path) -> Annotations[AnnotatedImage] | None:
    """Read a dataset in the Pascal VOC format.

    The XML files are in `Annotations` with the images in `JPEGImages` or `images`, or they are
    beside the images. Splits have folders of their own, or are listed in `ImageSets/Main`.

    The coordinates are used as they are. The original development kit counts pixels from 1, most
    tools that write its format count from 0, and no file says which.

    Args:
        data: the folder.

    Returns:
        The images by split, or `None` if there are no XML files.
    """
    if not data.is_dir():
        return None
    splits: dict[str, list[AnnotatedImage]] = {}
    problems: list[Problem] = []
    for split, folder, names in _splits(data):
        splits[split] = []
        for image in _read_folder(folder, names):
            if isinstance(image, Problem):
                problems.append(image)
            else:
                splits[split].append(image)
    return Annotations(splits, None, problems) if splits else None


def _splits(data: Path) -> list[tuple[str, Path, list[str] | None]]:
    """Return name, folder and listed images of each split; `None` for all images of the folder."""
    folders = {split: path for split, path in split_folders(data).items() if _xml_files(path)}
    if folders:
        return [(split, folder, None) for split, folder in folders.items()]
    if not _xml_files(data):
        return []
    lists = _lists(data)
    return [(split, data, names) for split, names in lists.items()] or [("train", data, None)]


def _lists(data: Path) -> dict[str, list[str]]:
    """Read the names of the images of each split from `ImageSets/Main`."""
    files = {path.stem.lower(): path for path in (data / "ImageSets/Main").glob("*.txt")}
    if "train" not in files and "trainval" in files:
        files["train"] = files["trainval"]
    lists = {}
    for name, path in files.items():
        # There may also be a list for each class, such as `bird_train.txt`.
        if (split := split_name(name)) and name.isalpha():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            lists[split] = [_stem(line.strip()) for line in lines if line.strip()]
    return lists


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if has_image_suffix(path) or path.suffix.lower() == ".xml" else path.name


def _xml_files(folder: Path) -> list[Path]:
    return sorted((child_folder(folder, "annotations") or folder).glob("*.xml"))


def _read_folder(folder: Path, names: list[str] | None) -> Iterator[AnnotatedImage | Problem]:
    files = {path.stem: path for path in _xml_files(folder)}
    image_folder = child_folder(folder, "jpegimages", "images") or folder
    images = {path.stem: path for path in images_in(image_folder)}
    for name in files if names is None else names:
        if name in files:
            yield _read_file(files[name], images.get(name), image_folder)
        else:
            yield Problem(images.get(name, image_folder / name), "is listed, but has no XML file")


def _read_file(path: Path, image: Path | None, folder: Path) -> AnnotatedImage | Problem:
    """Read one XML file.

    Args:
        path: the file.
        image: the image of the same name, if there is one. It takes precedence over the `filename`
            in the XML file, which is out of date in many datasets.
        folder: where the `filename` is otherwise expected.
    """
    try:
        root = parse_xml(path)
        if root.tag != "annotation":
            raise ValueError(f"it begins with <{root.tag}>, not with <annotation>")
        objects = root.findall("object")
        return AnnotatedImage(
            image or folder / (root.findtext("filename") or f"{path.stem}.jpg"),
            [_box(item) for item in objects],
            [(item.findtext("name") or "").strip() for item in objects],
            [(item.findtext("difficult") or "0").strip() == "1" for item in objects],
            _size(root),
        )
    except (ValueError, OverflowError, OSError) as error:
        return Problem(path, f"is not in the Pascal VOC format ({error})")


def _box(item: Element) -> tuple[float, float, float, float]:
    left, top, right, bottom = (
        float(item.findtext(f"bndbox/{side}") or "nan") for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, top, right, bottom


def _size(root: Element) -> tuple[int, int] | None:
    texts = (root.findtext(f"size/{side}") or "0" for side in ("width", "height"))
    width, height = (int(float(text)) for text in texts)  # some tools write 80.0
    return (width, height) if width and height else None  # some tools write 0


def parse_xml(path: Path) -> Element:
    """Parse a small XML file without a document type, whose entities could fill the memory.

    Raises:
        ValueError: if it is not XML, too large, or declares a document type.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type")

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: unknown encoding
        raise ValueError(f"it is not XML: {error}") from error
    return builder.close()
