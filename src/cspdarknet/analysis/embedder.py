"""`Embedder`: images to vectors, the spatial means of a backbone's feature maps."""

import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_bool, check_count
from cspdarknet._image_size import ImageSize, check_image_size
from cspdarknet.analysis.embeddings import EmbeddingSettings
from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.images import ImageError
from cspdarknet.inference.features import config_sha256, weights_sha256
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import CROPPED, is_exported_file, read_model_info
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE
from cspdarknet.presets.sources import find, locate

DEEPEST = -1  # index of the default level
IN_MEMORY = " in memory"  # how the name of a model ends that is no file
BATCH_SIZE = 8
# Images as they were given, each with its vector, or with the error if it cannot be used.
Stream = Generator[tuple[Any, np.ndarray | ImageError], None, None]


class RandomWeightsWarning(UserWarning):
    """The model has random weights, and so have its vectors."""


class Embedder:
    """Images to vectors: the spatial means of feature maps, joined.

    Args:
        model: a model of any task, in Keras or anything that `load_model` takes, of which the
            backbone counts; or an exported file of a backbone.
        levels: pyramid levels; `None` for the deepest one, or those of an exported file.
        normalize: whether each level's part, and then the whole vector, is divided by its length.
        image_size: side in pixels of the center crop, or its height and width. `None` is the size
            that a classifier was trained with, and 224 for other models.
        longer_side: take whole images in place of a crop, shrunk to this longer side; 0 keeps
            their size.
        batch_size: maximum number of images in a batch.
        runtime: runtime of the `Predictor`.
        precision: precision of the `Predictor`.
        device: device of the `Predictor`.

    Attributes:
        predictor: the `Predictor` of the feature maps.
        settings: the `EmbeddingSettings`.

    Raises:
        ValueError: if an argument does not fit the model.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> embedder = Embedder("csp_darknet_tiny_clothing", levels=["P3", "P5"], normalize=True)
        >>> embedder("sea.png").shape
        (480,)
    """

    def __init__(
        self,
        model: Any,
        levels: Sequence[str | int] | None = None,
        *,
        normalize: bool = False,
        image_size: ImageSize | None = None,
        longer_side: int | None = None,
        batch_size: int = BATCH_SIZE,
        runtime: str | None = None,
        precision: str = "float32",
        device: str = "auto",
    ) -> None:
        normalize = check_bool("normalize", normalize)
        name = _name_of(model)
        if image_size is not None and longer_side is not None:
            raise ValueError(
                "`image_size` is for center crops and `longer_side` for whole images. Received: "
                f"{image_size=}, {longer_side=}: leave one out."
            )
        if longer_side is not None:
            longer_side = check_count("longer_side", longer_side, least=0)
        source, levels = _source(model, levels)
        if longer_side is None and image_size is None:
            image_size = _own_image_size(model)
        self.predictor = Predictor(
            source,
            levels=levels,
            image_size=image_size,
            longer_side=longer_side or None,
            batch_size=1 if longer_side is not None else batch_size,
            mode="throughput",
            runtime=runtime,
            precision=precision,
            device=device,
        )
        if self.predictor.info.task != "features":
            raise ValueError(
                "Vectors are those of a backbone: export the backbone (`--task features`), or pass "
                f"the model itself. Received: {name}, a file for {self.predictor.info.task}"
            )
        names = sorted(self.predictor.output_names, key=lambda level: (len(level), level))
        self.settings = EmbeddingSettings(
            model=name,
            levels=tuple(names),
            normalized=normalize,
            image_size=self.predictor.info.image_size if image_size is None else image_size,
            longer_side=longer_side or None,
            precision=precision,
            weights_sha256=_weights_sha256(source),
            config_sha256=_config_sha256(source),
        )

    @classmethod
    def like(cls, settings: EmbeddingSettings, model: Any = None, **options: Any) -> "Embedder":
        """Make an embedder whose vectors can be compared with others.

        Args:
            settings: the settings of the others.
            model: the same model under another name or path; `None` for that of the settings.
            **options: batch size, runtime and device, as of `Embedder`.

        Raises:
            ValueError: if the model has other weights, or is not there.
        """
        if model is None:
            model = _model_of(settings)
        whole = settings.image_size is None
        is_fixed = is_exported_file(model)  # levels, and maybe the size
        embedder = cls(
            model,
            None if is_fixed else settings.levels,
            normalize=settings.normalized,
            image_size=settings.image_size,
            longer_side=(settings.longer_side or 0) if whole else None,
            precision=settings.precision,
            **options,
        )
        if differences := settings.differences(embedder.settings):
            raise ValueError(
                "Vectors can be compared only with those of the same model and settings. Received: "
                f"{'; '.join(differences)}: embed the images again, or pass the same model."
            )
        return embedder

    def __call__(self, image: Any) -> np.ndarray:
        """Return the vector of one image, a float32 array `(features,)`.

        Args:
            image: as of a `Predictor`.

        Raises:
            ImageError: if the image cannot be used.
        """
        return self._vector(self.predictor(image))

    def stream(self, images: Iterable[Any]) -> Stream:
        """Yield each image with its vector, in order, or with the error if it cannot be used.

        Args:
            images: any number of images, as of `Predictor.stream`.
        """
        with closing(self.predictor.stream(images)) as results:
            for image, result in results:
                failed = isinstance(result, ImageError)
                yield image, result if failed else self._vector(result)

    def _vector(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        parts = [maps[level].mean(axis=(0, 1), dtype="float32") for level in self.settings.levels]
        if not self.settings.normalized:
            return np.concatenate(parts)
        return _unit(np.concatenate([_unit(part) for part in parts]))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def _name_of(model: Any) -> str:
    """Return the name of a model, as an absolute path if it is one: it is kept in files."""
    if not isinstance(model, (str, Path)):
        return f"a {type(model).__name__}{IN_MEMORY}"
    return str(Path(model).absolute()) if Path(model).exists() else str(model)


def _model_of(settings: EmbeddingSettings) -> str:
    """Return the name of the model that computed vectors, if it says where the model is."""
    is_gone = Path(settings.model).is_absolute() and not Path(settings.model).exists()
    if is_gone or settings.model.endswith(IN_MEMORY) or not settings.model:
        raise ValueError(
            "The model of the vectors must be where it was, or be passed (`--model`). Received: "
            f"vectors of {settings.model or 'an unknown model'}, which "
            f"{'does not exist any more' if is_gone else 'is in no file'}."
        )
    return settings.model


def _source(
    model: Any, levels: Sequence[str | int] | None
) -> tuple[Any, Sequence[str | int] | None]:
    """Return the model for the `Predictor`, and the levels to select from it."""
    if is_exported_file(model):
        return model, levels
    levels = [DEEPEST] if levels is None else levels
    if isinstance(model, (str, Path)):
        return (model if locate(model).weights is not None else _random_backbone(model)), levels
    backbone = getattr(model, "backbone", model)
    if hasattr(backbone, "feature_pyramid"):
        return backbone, levels
    return model, None if levels == [DEEPEST] else levels  # a pyramid has levels of its own


def _random_backbone(model: str | Path) -> Any:
    """Return a backbone with the same random weights at each time."""
    import keras

    from cspdarknet.models import load_model

    warnings.warn(
        f"{model} has random weights, and so have its vectors.", RandomWeightsWarning, stacklevel=5
    )
    keras.utils.set_random_seed(0)
    return load_model(model, "features")


def _own_image_size(model: Any) -> ImageSize | None:
    """Return the size of center crops; `None` if the model takes images of one size only."""
    if is_exported_file(model):
        info = read_model_info(model)
        fixed = info is not None and info.image_size is not None
        return None if fixed else DEFAULT_IMAGE_SIZE
    if isinstance(model, (str, Path)):
        config = find(model, load_weights=False).config
        shape = config.backbone.get("input_shape") or ()
        own = (config.head or {}).get("image_size") if config.task in CROPPED else None
    else:
        backbone = getattr(model, "backbone", model)
        shape = backbone.inputs[0].shape[1:]
        own = getattr(model, "image_size", None) if backbone is not model else None
        own = own if getattr(model, "task", "") in CROPPED else None
    if len(shape) == 3 and None not in shape:
        return None
    return check_image_size(own) if own is not None else DEFAULT_IMAGE_SIZE


def _weights_sha256(model: Any) -> str:
    """Return the SHA-256 of a model's weights, in hexadecimal digits."""
    if isinstance(model, (str, Path)) and not is_exported_file(model):
        weights = locate(model).weights
        assert weights is not None
        return sha256_of(weights)
    return weights_sha256(model)


def _config_sha256(model: Any) -> str:
    if is_exported_file(model) or not isinstance(model, (str, Path)):
        return config_sha256(model)
    return config_sha256(find(model, load_weights=False).config.backbone)
