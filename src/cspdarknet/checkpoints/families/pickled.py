"""Recognition of PyTorch files that pickle objects, without executing or building any of them."""

import io
import pickletools
import re
import zipfile
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.families import names
from cspdarknet.checkpoints.readers.zip_file import ZipFile
from cspdarknet.checkpoints.weight_file import Kind

MAX_TEXT = 200  # characters of a name
LEGACY_PICKLES = 5  # in a file of PyTorch before 1.6: a number, a version, a system, the content
STATE_DICT = (
    "where it was trained, save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
)


def _ultralytics(model: str) -> Kind:
    return Kind(
        f"a pickled model of Ultralytics, {model}",
        "use the ultralytics package for it; this package has another architecture, and trains a "
        "YOLOX from the same data with `cspdarknet train`",
        "Ultralytics",
        "PyTorch",
    )


def _objects(name: str, family: str, remedy: str = STATE_DICT) -> Kind:
    return Kind(f"a pickled model of {name}", remedy, family, "PyTorch")


# A pattern that the name of some class matches, and the kind of the file; the first one counts.
CLASSES = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"^ultralytics\..* A2C2f$", _ultralytics("YOLO12")),
        (r"^ultralytics\..* C3k2$", _ultralytics("YOLO11")),
        (r"^ultralytics\..* v10Detect$", _ultralytics("YOLOv10")),
        (r"^ultralytics\..* RTDETRDecoder$", _ultralytics("RT-DETR")),
        (r"^ultralytics\..* C2f$", _ultralytics("YOLOv8")),
        (r"^ultralytics\.", _ultralytics("of an unknown version")),
        (r"^models\.common (MP|SP|RepConv|ReOrg)$", _ultralytics("YOLOv7 in the manner of YOLOv5")),
        (r"^models\.(yolo|common|experimental) ", _ultralytics("YOLOv5")),
        (r"^yolox\.", _objects("YOLOX", "YOLOX")),
        (r"^nets\.(yolo|darknet)", _objects("a re-implementation of YOLOX or YOLO", "YOLOX")),
        (r"^(mmdet|mmengine|mmcv|mmyolo)\.", _objects("OpenMMLab", "mmdetection")),
        (r"^super_gradients\.", _objects("super-gradients", "super-gradients")),
        (r"^(pytorch_)?lightning\.", _objects("PyTorch Lightning", "PyTorch Lightning")),
        (r"^timm\.", _objects("timm", "timm", "use timm for it")),
        (r"^torchvision\.", _objects("torchvision", "torchvision", "use torchvision for it")),
        (r"^torch\.nn\.modules\.", _objects("PyTorch", "PyTorch")),
    )
)


def recognize(path: Path) -> Kind | None:
    """Return the kind of a PyTorch file with pickled objects, if it is known.

    Args:
        path: the file, of any version of PyTorch.
    """
    classes, texts = _names(path)
    for pattern, kind in CLASSES:
        if any(pattern.search(name) for name in classes):
            return kind
    return names.recognize(texts)


def global_names(path: Path) -> set[str]:
    """Return the classes and functions that a PyTorch file names, such as `"torch.nn Conv2d"`."""
    return _names(path)[0]


def _names(path: Path) -> tuple[set[str], list[str]]:
    """Return the global names of the pickles of a file, and the texts in them.

    A damaged file gives what comes before the damage.
    """
    classes: set[str] = set()
    texts: list[str] = []
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                for _ in range(LEGACY_PICKLES):
                    _read(file, classes, texts)
        else:
            with ZipFile(path) as archive:
                member = next(name for name in archive.members if name.endswith("data.pkl"))
                content = archive.read(member, limits.MAX_PICKLE_BYTES)
                _read(io.BytesIO(content), classes, texts)
    except Exception:  # zipfile and pickletools raise many types
        return classes, texts
    return classes, texts


def _read(file: BinaryIO, classes: set[str], texts: list[str]) -> None:
    """Add the global names and the texts of one pickle."""
    recent: list[str] = []  # the texts that STACK_GLOBAL takes
    memo: list[str | None] = []  # texts that are stored to be taken again; `None` for other objects
    last: str | None = None  # the text that the last instruction made
    for code, argument, _ in islice(pickletools.genops(file), limits.MAX_PICKLE_STEPS):
        if code.name == "GLOBAL":
            classes.add(str(argument)[:MAX_TEXT])
        elif code.name == "STACK_GLOBAL" and len(recent) > 1:
            classes.add(" ".join(recent[-2:]))
        elif code.name == "MEMOIZE":
            memo.append(last)
        last = None
        if "UNICODE" in code.name and isinstance(argument, str):
            last = argument[:MAX_TEXT]
            texts.append(last)
        elif code.name == "BINGET" and isinstance(argument, int) and argument < len(memo):
            last = memo[argument]
        recent = recent if last is None else [*recent[-1:], last]
