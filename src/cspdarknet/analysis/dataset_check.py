"""`check_by_embeddings`: near duplicates and outliers of a dataset, as a model sees its images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._labels import SINGLE
from cspdarknet.analysis.embedder import Embedder
from cspdarknet.analysis.embedding_cache import Progress, embed_dataset
from cspdarknet.analysis.outliers import Outlier, find_outliers
from cspdarknet.analysis.similar import SIMILARITY, SimilarGroup, find_similar
from cspdarknet.data.doctor import DatasetImage, dataset_images, inspect_dataset


@dataclass(frozen=True)
class EmbeddingCheck:
    """The result of `check_by_embeddings`.

    Attributes:
        model: name of the model.
        similarity: lowest cosine of near duplicates.
        images: number of images that were compared.
        groups: the groups of near duplicates, those across splits first.
        outliers: the images that are unlike all others, the most distant one first.
        errors: why images could not be used, by path.
    """

    model: str
    similarity: float
    images: int
    groups: tuple[SimilarGroup, ...]
    outliers: tuple[Outlier, ...]
    errors: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        return {
            "model": self.model,
            "similarity": self.similarity,
            "images": self.images,
            "near_duplicates": [
                {
                    "similarity": round(group.similarity, 4),
                    "leaks": group.leaks,
                    "images": [_image_to_json(image) for image in group.images],
                }
                for group in self.groups
            ],
            "outliers": [
                {"distance": round(outlier.distance, 4), **_image_to_json(outlier.image)}
                for outlier in self.outliers
            ],
            "errors": self.errors,
        }


def check_by_embeddings(
    source: Any,
    model: Any,
    task: str | None = None,
    format: str | None = None,
    similarity: float = SIMILARITY,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    labels: str = SINGLE,
    **options: Any,
) -> EmbeddingCheck:
    """Find near duplicates and outliers among the images of a dataset.

    `check_dataset` finds images whose pixels are almost the same; this finds those that look alike
    to a model: another crop, another shot of the same scene.

    Args:
        source: the dataset, as of `check_dataset`.
        model: as in `Embedder`.
        task: `"classification"` or `"detection"`; `None` for either.
        format: name of the format; `None` to recognize it.
        similarity: lowest cosine of near duplicates, as of `find_similar`.
        cache: folder that keeps the vectors; `None` keeps nothing.
        progress: shows the progress.
        labels: the kind of labels, as of `check_dataset`.
        **options: other arguments of `Embedder`.

    Returns:
        `EmbeddingCheck`.

    Raises:
        ValueError: if the dataset cannot be read, or an option is out of range.

    Example:
        >>> for color in ("navy", "red"):
        ...     Path("photos", color).mkdir(parents=True)
        ...     for i in range(2):
        ...         Image.new("RGB", (64, 48 + i), color).save(f"photos/{color}/{i}.png")
        >>> check = check_by_embeddings("photos", "csp_darknet_tiny_clothing")
        >>> check.images, len(check.groups)
        (4, 2)
    """
    dataset, _ = inspect_dataset(source, task, format, labels=labels)
    by_path: dict[str, DatasetImage] = {}
    for image in dataset_images(dataset):
        by_path.setdefault(image.path.absolute().as_posix(), image)
    if not by_path:
        raise ValueError(f"{source} has no usable images. {dataset.error}".rstrip())
    embedder = Embedder(model, **options)
    paths = [image.path for image in by_path.values()]
    embeddings = embed_dataset(paths, embedder, cache, "check", progress)
    images = [by_path[key] for key in embeddings.keys]
    count = len(images)
    groups = find_similar(
        embeddings, images, similarity, progress("near duplicates", count) if progress else None
    )
    advance = progress("outliers", count) if progress else None
    outliers = find_outliers(embeddings, images, progress=advance)
    return EmbeddingCheck(
        embedder.settings.model,
        similarity,
        count,
        tuple(sorted(groups, key=lambda group: not group.leaks)),
        tuple(outliers),
        dict(embeddings.errors),
    )


def _image_to_json(image: DatasetImage) -> dict[str, str]:
    class_name = {"class": image.class_name} if image.class_name else {}
    return {"path": str(image.path), "split": image.split, **class_name}
