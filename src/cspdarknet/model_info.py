"""`ModelInfo`: metadata of a model or an exported file: task, class names, input format."""

import html
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from cspdarknet._arguments import check_crop, check_temperature
from cspdarknet._image_size import ImageSize, check_image_size
from cspdarknet._labels import SINGLE, check_labels
from cspdarknet.score_thresholds import ScoreThreshold, check_score_threshold

CROPPED = ("classification", "regression")  # tasks of models that see center crops of images
TASKS = ("features", "classification", "detection", "regression")
KEY = "cspdarknet"  # of the metadata in an exported file
EXPORTED_SUFFIXES = (".onnx", ".xml")
PRODUCER_BYTES = 32  # at the start of an ONNX file, where the name of its writer is
METADATA_BYTES = 2**20  # at the end of a file
# What precedes the JSON in the metadata.
PREFIXES = {".onnx": KEY + "\x12", ".xml": f"<{KEY} value="}


@dataclass(frozen=True)
class ModelInfo:
    """Metadata of a model: task, class names, input format. Exported files hold it as JSON.

    Attributes:
        task: `"features"`, `"classification"`, `"detection"` or `"regression"`.
        raw_outputs: detectors: whether the outputs are those of the head, without box decoding
            and NMS.
        class_names: names of the classes of a classifier or detector, or `None`.
        image_size: side in pixels of the square images that the model takes, or their height and
            width; `None` if it takes images of any size.
        inputs: dtype of the images, `"float32"` or `"uint8"`.
        letterbox: detectors: whether the graph letterboxes images of any size itself.
        data_format: `"channels_last"` or `"channels_first"`, of the images.
        precision: `"float32"`, `"float16"` or `"int8"`, of the weights.
        score_threshold: detectors: the lowest confidence of a detection, or that of each class. Raw
            outputs are not filtered by it. `None` where it is unknown. Multi-label classifiers: the
            lowest probability of a class that an image is said to have, or that of each class.
        class_agnostic_nms: detectors: whether NMS drops overlapping boxes of other classes, too.
        max_detections: detectors: maximum number of detections per image; `None` where unknown.
        max_detections_per_class: detectors: maximum number of detections of each class in an image;
            `None` for no limit.
        channels: number of channels of the images.
        levels: detectors: pyramid levels of the anchor points, the largest feature map first, in
            whose order raw outputs are; `None` where unknown.
        temperature: classifiers: number that the logits are divided by before the softmax.
        crop: classifiers: part of the side of an image's central square that the model sees.
        labels: classifiers: `"single"` for one class per image, `"multi"` for any number, whose
            outputs are probabilities of each class on its own, or `"ordinal"` for ordered classes.
        targets: regressors: names of the numbers, in the order of the outputs; otherwise `None`.

    Raises:
        ValueError: if the task is unknown.

    Example:
        >>> info = ModelInfo("classification", class_names=("cat", "dog"), image_size=224)
        >>> ModelInfo.from_json(info.to_json(), "a file") == info
        True
    """

    task: str
    raw_outputs: bool = False
    class_names: tuple[str, ...] | None = None
    image_size: ImageSize | None = None
    inputs: str = "float32"
    letterbox: bool = False
    data_format: str = "channels_last"
    precision: str = "float32"
    score_threshold: ScoreThreshold | None = None
    class_agnostic_nms: bool = False
    max_detections: int | None = None
    max_detections_per_class: int | None = None
    channels: int = 3
    levels: tuple[str, ...] | None = None
    temperature: float = 1.0
    targets: tuple[str, ...] | None = None
    labels: str = SINGLE
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"`task` must be one of {TASKS}. Received: task={self.task!r}")

    def to_json(self) -> str:
        """Return the attributes as JSON, without those that older versions do not know.

        A temperature and a crop of 1, labels of one class and targets that are `None` are left out.
        """
        values = asdict(self)
        if self.temperature == 1:
            del values["temperature"]
        if self.crop == 1:
            del values["crop"]
        if self.targets is None:
            del values["targets"]
        if self.labels == SINGLE:
            del values["labels"]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str | None, origin: str) -> Self:
        """Build a `ModelInfo` from the result of `to_json`.

        Args:
            text: the JSON; `None` where a file has none.
            origin: name of the file, for the message.

        Raises:
            ValueError: if the text is missing or of another form: the file is not one that
                cspdarknet exported.
        """
        try:
            # Files of version 0.1 have none of these.
            later: dict[str, Any] = {"score_threshold": None, "class_agnostic_nms": False}
            later |= dict.fromkeys(("max_detections", "max_detections_per_class", "levels"))
            later |= {"channels": 3, "temperature": 1.0, "crop": 1.0}
            later |= {"targets": None, "labels": SINGLE}
            stored = {**later, **json.loads(text or "")}
            values = {field.name: stored[field.name] for field in fields(cls)}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                "An exported model must have the metadata that cspdarknet writes. "
                f"Received: {origin}, without it. Export the model with `cspdarknet export`."
            ) from error
        names, scores = values["class_names"], values["score_threshold"]
        try:
            values["class_names"] = None if names is None else tuple(names)
            values["levels"] = values["levels"] and tuple(values["levels"])
            values["targets"] = values["targets"] and tuple(values["targets"])
            if isinstance(values["image_size"], list):
                values["image_size"] = check_image_size(values["image_size"])
            values["temperature"] = check_temperature(values["temperature"])
            values["crop"] = check_crop(values["crop"])
            values["labels"] = check_labels(values["labels"])
            values["score_threshold"] = None if scores is None else check_score_threshold(scores)
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{error} from {origin}, perhaps of a newer version.") from error


def numbered_names(count: int) -> tuple[str, ...]:
    """Return the class names of a model that has none: `"class 0"`, `"class 1"` and so on."""
    return tuple(f"class {i}" for i in range(count))


def is_exported_file(path: Any) -> bool:
    """Whether a path names a file that `export` wrote and a runtime of `Predictor` reads.

    Args:
        path: anything; only a string or a `Path` can name such a file. An `.onnx` file of another
            origin, such as a checkpoint of YOLOX, is not one.
    """
    if not isinstance(path, (str, Path)) or Path(path).suffix not in EXPORTED_SUFFIXES:
        return False
    return Path(path).suffix == ".xml" or not _is_checkpoint(Path(path))


def read_model_info(path: str | Path) -> ModelInfo | None:
    """Return the `ModelInfo` of an exported file, without reading the weights.

    Args:
        path: the `.onnx` or `.xml` file.

    Returns:
        A `ModelInfo`, or `None` if there is no such file or it has no such metadata.
    """
    path = Path(path)
    if not path.is_file():
        return None
    text = _last_bytes(path, METADATA_BYTES).decode("utf-8", "replace")
    start = text.rfind(PREFIXES[path.suffix])
    text = html.unescape(text[start:]) if path.suffix == ".xml" else text[start:]
    try:
        stored, _ = json.JSONDecoder().raw_decode(text, text.index('{"'))
        return ModelInfo.from_json(json.dumps(stored), str(path))
    except ValueError:
        return None


def _is_checkpoint(path: Path) -> bool:
    """Whether an ONNX file is of another origin, such as weights that `load_model` reads."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        # The start is all that is left of a truncated file; an int8 file has another producer.
        is_ours = KEY.encode() in file.read(PRODUCER_BYTES)
    return not is_ours and KEY.encode() not in _last_bytes(path, METADATA_BYTES)


def _last_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
