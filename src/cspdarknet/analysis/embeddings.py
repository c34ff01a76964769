"""`Embeddings`: one vector for each image, with its key, and how the vectors were computed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from cspdarknet._image_size import ImageSize, check_image_size
from cspdarknet.analysis.embedding_files import check_suffix, damaged, read_file, write_file

CHUNK = 8192  # rows that are written at once


@dataclass(frozen=True)
class EmbeddingSettings:
    """How vectors were computed. Vectors can be compared if all but `folder` are equal.

    Attributes:
        model: name or path of the model.
        levels: pyramid levels whose spatial means are joined.
        normalized: whether the vectors have length 1.
        image_size: side in pixels of the center crop, or its height and width; `None` for whole
            images.
        longer_side: maximum length of the longer side of whole images; `None` for any.
        precision: precision of the computation.
        weights_sha256: SHA-256 of the model's weights.
        folder: folder that the keys are relative to; empty if they are paths themselves.
        config_sha256: SHA-256 of those arguments of the backbone that change its outputs; empty if
            it is unknown, which may be compared with any.
    """

    model: str = ""
    levels: tuple[str, ...] = ()
    normalized: bool = False
    image_size: ImageSize | None = None
    longer_side: int | None = None
    precision: str = "float32"
    weights_sha256: str = ""
    folder: str = ""
    config_sha256: str = ""

    def to_json(self) -> str:
        """Return the attributes as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build the settings from the result of `to_json`.

        Raises:
            ValueError: if the text is something else.
        """
        try:
            stored = dict(json.loads(text))
            values = {item.name: stored[item.name] for item in fields(cls) if item.name in stored}
            size = values.get("image_size")
            values["image_size"] = None if size is None else check_image_size(size)
            return cls(**{**values, "levels": tuple(map(str, values["levels"]))})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"its settings are malformed ({error})") from error

    def differences(self, other: "EmbeddingSettings") -> list[str]:
        """Return how other settings differ, in ways for which vectors cannot be compared."""
        names = ["levels", "normalized", "image_size", "longer_side", "precision", "weights_sha256"]
        if self.config_sha256 and other.config_sha256:
            names.append("config_sha256")
        return [
            f"{name} {getattr(self, name)!r} and {getattr(other, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector for each image.

    Attributes:
        vectors: float32 array `(images, features)`, which cannot be written to.
        keys: the image files: their paths relative to `settings.folder`, each once.
        settings: the `EmbeddingSettings`.
        errors: why other images have no vector, by key; not kept in files.

    Raises:
        ValueError: if the shapes do not fit, a key is repeated, or a number is not finite.

    Example:
        >>> embeddings = Embeddings(np.eye(2, 3), ["a.jpg", "b.jpg"])
        >>> embeddings.save("vectors.npz")
        >>> load_embeddings("vectors.npz").vectors[1]
        array([0., 1., 0.], dtype=float32)
    """

    vectors: np.ndarray
    keys: Sequence[str]
    settings: EmbeddingSettings = field(default_factory=EmbeddingSettings)
    errors: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.vectors, "float32")
        keys = tuple(map(str, self.keys))
        if vectors.ndim != 2 or len(vectors) != len(keys) or not vectors.shape[1]:
            raise ValueError(
                "`vectors` must be an array (images, features) with a row for each of `keys`. "
                f"Received: the shape {vectors.shape} and {len(keys)} keys"
            )
        if len(set(keys)) < len(keys):
            repeated, _ = Counter(keys).most_common(1)[0]
            raise ValueError(f"`keys` must be different. Received: {repeated!r} more than once")
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ValueError(f"`vectors` must be finite. Received: another number at {keys[row]!r}")
        vectors = vectors.view()
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "keys", keys)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def paths(self) -> list[Path]:
        """The image files."""
        return [Path(self.settings.folder) / key for key in self.keys]

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each key."""
        return {key: row for row, key in enumerate(self.keys)}

    def take(self, indices: Sequence[int] | np.ndarray) -> "Embeddings":
        """Return the vectors and keys with these indices, in their order, or of a mask."""
        picked = np.asarray(indices)
        if picked.dtype == bool:
            if picked.shape != (len(self),):
                raise ValueError(
                    f"A mask must have an entry for each of the {len(self)} vectors. "
                    f"Received: one of the shape {picked.shape}"
                )
            picked = np.flatnonzero(picked)
        picked = picked.astype("int64")
        keys = [self.keys[i] for i in picked]
        return Embeddings(self.vectors[picked], keys, self.settings)

    def save(self, path: str | Path) -> None:
        """Write a file, whole or not at all.

        Args:
            path: the file: `.npz`, `.safetensors`, or `.parquet`, which needs PyArrow.

        Raises:
            ValueError: if its name ends otherwise.
        """
        chunks = (self.vectors[i : i + CHUNK] for i in range(0, len(self), CHUNK))
        path = check_suffix(path)
        write_file(path, chunks, self.vectors.shape[1], self.keys, self.settings.to_json())


def check_not_empty(embeddings: Embeddings) -> None:
    """Refuse to look for anything among no vectors.

    Raises:
        ValueError: if there are none.
    """
    if not len(embeddings):
        raise ValueError("`embeddings` must have a vector or more. Received: none")


def load_embeddings(path: str | Path) -> Embeddings:
    """Read a file of embeddings.

    Args:
        path: a `.npz`, `.safetensors` or `.parquet` file, as `Embeddings.save` and `embed` write.

    Returns:
        `Embeddings`.

    Raises:
        ValueError: if there is no such file, or it holds something else.

    Example:
        >>> Embeddings(np.eye(2, 3), ["a.jpg", "b.jpg"]).save("vectors.safetensors")
        >>> load_embeddings("vectors.safetensors").keys
        ('a.jpg', 'b.jpg')
    """
    path = check_suffix(path)
    if not path.is_file():
        raise ValueError(f"There is no file {path}: write it with `cspdarknet embed`.")
    vectors, keys, settings = read_file(path)
    try:
        return Embeddings(vectors, keys, EmbeddingSettings.from_json(settings))
    except ValueError as error:
        raise damaged(path, error) from error
