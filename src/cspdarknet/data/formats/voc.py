"""Read boxes in the form of Pascal VOC: one XML file for each photo."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from cspdarknet.data.detection.annotations import (
    Annotated,
    AnnotatedData,
    Problem,
    child_folder,
    part_folders,
    part_of,
    photos_in,
)
from cspdarknet.images import SUFFIXES

# No photo has so many objects that its file is larger.
MAX_BYTES = 20_000_000


def read_voc(data: Path) -> AnnotatedData | None:
    """Read a data set of XML files; return `None` where there are none.

    The XML files are in `Annotations` with the photos in `JPEGImages` or `images`, or they are
    beside the photos. Parts have folders of their own, or are listed in `ImageSets/Main`.

    The numbers of the boxes are used as they are. The original development kit counts pixels
    from 1, most tools that write its format count from 0, and no file says which.
    """
    if not data.is_dir():
        return None
    parts: dict[str, list[Annotated]] = {}
    problems: list[Problem] = []
    for part, folder, names in _parts(data):
        parts[part] = []
        for photo in _read_folder(folder, names):
            if isinstance(photo, Problem):
                problems.append(photo)
            else:
                parts[part].append(photo)
    return AnnotatedData(parts, None, problems) if parts else None


def _parts(data: Path) -> list[tuple[str, Path, list[str] | None]]:
    """Find the parts: name, folder, and the listed names where not all of the folder belongs."""
    folders = {part: folder for part, folder in part_folders(data).items() if _xml_files(folder)}
    if folders:
        return [(part, folder, None) for part, folder in folders.items()]
    if not _xml_files(data):
        return []
    lists = _lists(data)
    return [(part, data, names) for part, names in lists.items()] or [("train", data, None)]


def _lists(data: Path) -> dict[str, list[str]]:
    """Read the names of the photos of each part from `ImageSets/Main`."""
    files = {path.stem.lower(): path for path in (data / "ImageSets/Main").glob("*.txt")}
    if "train" not in files and "trainval" in files:
        files["train"] = files["trainval"]
    found = {}
    for name, path in files.items():
        # Beside these lists there may be one for each class, such as `bird_train.txt`.
        if (part := part_of(name)) and name.isalpha():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found[part] = [_stem(line.strip()) for line in lines if line.strip()]
    return found


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in (*SUFFIXES, ".xml") else path.name


def _xml_files(folder: Path) -> list[Path]:
    return sorted((child_folder(folder, "annotations") or folder).glob("*.xml"))


def _read_folder(folder: Path, names: Sequence[str] | None) -> list[Annotated | Problem]:
    files = {path.stem: path for path in _xml_files(folder)}
    place = child_folder(folder, "jpegimages", "images") or folder
    photos = {path.stem: path for path in photos_in(place)}
    read: list[Annotated | Problem] = []
    for name in files if names is None else names:
        if name in files:
            read.append(_read_file(files[name], photos.get(name), place))
        else:
            read.append(Problem(photos.get(name, place / name), "listed, but has no XML file"))
    return read


def _read_file(path: Path, photo: Path | None, place: Path) -> Annotated | Problem:
    """Read one file; its name tells the photo, as what it says is stale in many data sets."""
    try:
        root = parse_xml(path)
        if root.tag != "annotation":
            raise ValueError(f"it begins with <{root.tag}>, not with <annotation>")
        objects = root.findall("object")
        return Annotated(
            photo or place / (root.findtext("filename") or f"{path.stem}.jpg"),
            [_box(thing) for thing in objects],
            [(thing.findtext("name") or "").strip() for thing in objects],
            [(thing.findtext("difficult") or "0").strip() == "1" for thing in objects],
            _size(root),
        )
    except (ValueError, OverflowError, OSError) as error:
        return Problem(path, f"no annotation in the form of Pascal VOC ({error})")


def _box(thing: Element) -> tuple[float, float, float, float]:
    left, top, right, bottom = (
        float(thing.findtext(f"bndbox/{side}") or "nan")
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, top, right, bottom


def _size(root: Element) -> tuple[int, int] | None:
    texts = (root.findtext(f"size/{side}") or "0" for side in ("width", "height"))
    width, height = (int(float(text)) for text in texts)  # some tools write 80.0
    return (width, height) if width and height else None  # some tools write 0


def parse_xml(path: Path) -> Element:
    """Parse a small XML file without a document type: such can be made to fill the memory.

    Raises:
        ValueError: if it is no XML, too large, or declares a document type.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")

    def refuse(*_: object) -> None:
        raise ValueError("declares a document type")

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, LookupError) as error:  # of an encoding that is not known
        raise ValueError(f"no XML: {error}") from error
    return builder.close()
