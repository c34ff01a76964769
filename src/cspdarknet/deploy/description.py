"""What an exported file says of itself."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Self

KEY = "cspdarknet"
TASKS = ("features", "classes", "boxes", "raw")


@dataclass(frozen=True)
class Description:
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
