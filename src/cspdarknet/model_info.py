"""What an exported file says of itself."""

import html
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

KEY = "cspdarknet"
TASKS = ("features", "classes", "boxes", "raw")


@dataclass(frozen=True)
class ModelInfo:
    """What a file says of itself, as JSON in its metadata.

    Attributes:
        task: `"features"`, `"classes"`, `"boxes"`, or `"raw"` for a detector without decoding.
        class_names: of a classifier or detector.
        image_size: side of the square that photos are prepared to, if the model has one.
        inputs: dtype of the images.
        letterbox: whether the graph letterboxes photos itself.
        data_format: of the images.
        precision: of the weights.
    """

    task: str
    class_names: tuple[str, ...] | None = None
    image_size: int | None = None
    inputs: str = "float32"
    letterbox: bool = False
    data_format: str = "channels_last"
    precision: str = "float32"

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, origin: str) -> Self:
        """Read it again.

        Raises:
            ValueError: if it is missing, or of another form: then the file is of another origin.
        """
        try:
            found = json.loads(text or "")
            given = {field.name: found[field.name] for field in fields(cls)}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"A model file must be one that cspdarknet exported, which describes itself. "
                f"Received: {origin}. Export the model with `cspdarknet export`."
            ) from error
        if given["task"] not in TASKS:
            raise ValueError(
                f"The task of a model must be one of {TASKS}. Received: {given['task']!r} from "
                f"{origin}, perhaps a file of a newer version."
            )
        names = given["class_names"]
        return cls(**{**given, "class_names": None if names is None else tuple(names)})


PRODUCER_BYTES = 32  # of an ONNX file, the name of its writer among them


METADATA_BYTES = 2**20  # at the end of a file


# What stands before the description in the metadata.
MARKS = {".onnx": KEY + "\x12", ".xml": f"<{KEY} value="}


def is_exported_file(model: Any) -> bool:
    """Whether this names a file that `export` writes and a runtime reads."""
    if not isinstance(model, (str, Path)) or Path(model).suffix not in (".onnx", ".xml"):
        return False
    return Path(model).suffix == ".xml" or not _is_checkpoint(Path(model))


def read_model_info(path: str | Path) -> ModelInfo | None:
    """Read what an exported file says of itself, and no more of it; `None` if that is not found."""
    path = Path(path)
    if not path.is_file():
        return None
    text = _bytes_of(path, METADATA_BYTES).decode("utf-8", "replace")
    start = text.rfind(MARKS[path.suffix])
    text = html.unescape(text[start:]) if path.suffix == ".xml" else text[start:]
    try:
        found, _ = json.JSONDecoder().raw_decode(text, text.index('{"'))
        return ModelInfo.from_json(json.dumps(found), str(path))
    except ValueError:
        return None


def _is_checkpoint(path: Path) -> bool:
    """Whether an ONNX file is of another origin, such as weights that `from_preset` reads."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        # Either will do: the former of a file that was cut short, the latter of one in int8.
        ours = KEY.encode() in file.read(PRODUCER_BYTES)
    return not ours and KEY.encode() not in _bytes_of(path, METADATA_BYTES)


def _bytes_of(path: Path, count: int) -> bytes:
    """Return the last bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
