"""`probe`: which model's vectors suit a dataset, by classifiers that are trained on them."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cspdarknet._arguments import check_choice, check_count
from cspdarknet._extras import require
from cspdarknet.analysis.classifiers import EXTRA, METHODS, fit_and_predict
from cspdarknet.analysis.embedder import Embedder
from cspdarknet.analysis.embedding_cache import Progress, embed_dataset
from cspdarknet.analysis.embeddings import Embeddings
from cspdarknet.analysis.probe_report import ProbeReport, ProbeResult, bootstrap_interval
from cspdarknet.data.classification.dataset import ClassificationDataset, ClassificationSplits
from cspdarknet.data.classification.find import load_classification_dataset

DRAWS = 5


class _Vectors(NamedTuple):
    """Vectors and classes of the images that can be used."""

    train: np.ndarray
    train_labels: np.ndarray
    evaluated: np.ndarray
    evaluated_labels: np.ndarray


def probe(
    data: Any,
    models: Sequence[Any] | Mapping[str, Any],
    *,
    shots: Sequence[int] = (),
    draws: int = DRAWS,
    methods: Sequence[str] = tuple(METHODS),
    seed: int = 0,
    cache: str | Path | None = None,
    format: str | None = None,
    on_problem: str = "raise",
    progress: Progress | None = None,
    **options: Any,
) -> ProbeReport:
    """Train simple classifiers on the vectors of frozen models, and compare their accuracies.

    The images are embedded once for each model. Classifiers are k nearest neighbors (cosine) and
    logistic regression on standardized features. The number of neighbors and the regularization
    are chosen on a fifth of the training images; then all of them are trained on. The test split
    is evaluated, else the validation split, which take no part in any choice.

    Args:
        data: a dataset for classification, as `load_classification_dataset` takes it, or
            `ClassificationSplits`.
        models: models as in `Embedder`, or a dict of them by name.
        shots: numbers of training images of each class, for the few-shot curve; classes with fewer
            images take part with all. The results of all images come anyway.
        draws: number of random choices of these images, whose mean counts.
        methods: `"knn"`, `"linear"` or both.
        seed: random seed of all choices.
        cache: folder that keeps the vectors, so that a stopped or repeated probe continues; `None`
            keeps nothing.
        format: name of the dataset's format; `None` to recognize it.
        on_problem: `"raise"` or `"fix"`, as for `load_classification_dataset`.
        progress: shows the progress: called with a label and a number of images, it returns the
            function that is called with a number of finished ones.
        **options: other arguments of `Embedder`, such as `levels` and `image_size`.

    Returns:
        `ProbeReport`.

    Raises:
        ValueError: if the dataset cannot be used, or an option is out of range.
        ImportError: if scikit-learn is not installed.

    Example:
        >>> for color in ("navy", "red"):
        ...     Path("photos", color).mkdir(parents=True)
        ...     for i in range(5):
        ...         Image.new("RGB", (64, 48 + i), color).save(f"photos/{color}/{i}.png")
        >>> report = probe("photos", ["csp_darknet_tiny_clothing"], methods=["knn"])
        >>> report.best.accuracy, report.best.features
        (1.0, 384)
    """
    named = _named(models)
    if isinstance(methods, str) or not methods:
        raise ValueError(
            f"`methods` must be a list of one or more of {', '.join(METHODS)}. "
            f"Received: methods={methods!r}"
        )
    for method in methods:
        check_choice("methods", method, tuple(METHODS))
    if isinstance(shots, str) or not isinstance(shots, Iterable):
        raise ValueError(f"`shots` must be a list of numbers. Received: shots={shots!r}")
    if "linear" in methods:
        require("sklearn", EXTRA, "A linear probe")
    sizes = [*sorted({check_count("shots", count) for count in shots}), None]
    check_count("draws", draws)
    splits = data
    if not isinstance(data, ClassificationSplits):
        splits = load_classification_dataset(data, seed=seed, format=format, on_problem=on_problem)
    evaluated = splits.validation if splits.test is None else splits.test
    paths = [*splits.train.paths, *evaluated.paths]
    results: list[ProbeResult] = []
    errors: dict[str, str] = {}
    for name, model in named.items():
        embedder, start = Embedder(model, **options), time.perf_counter()
        embeddings = embed_dataset(paths, embedder, cache, "probe", progress, name)
        seconds = time.perf_counter() - start
        errors |= embeddings.errors
        vectors = _vectors(embeddings, splits.train, evaluated)
        advance = progress(f"{name}: probes", len(methods) * len(sizes)) if progress else None
        for method in methods:
            for count in sizes:
                results.append(_result(name, method, count, vectors, draws, seed, seconds))
                if advance:
                    advance(1)
    return ProbeReport(
        tuple(results),
        splits.class_names,
        "validation" if splits.test is None else "test",
        len(vectors.train),
        len(vectors.evaluated),
        errors,
    )


def _named(models: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the models by name.

    Raises:
        ValueError: if there is none, or one is given twice.
    """
    if isinstance(models, Mapping):
        named = dict(models)
    elif isinstance(models, (str, Path)) or not isinstance(models, Sequence):
        raise ValueError(f"`models` must be a list of models. Received: {models!r}: put it in [].")
    else:
        named = {
            str(model) if isinstance(model, (str, Path)) else f"model {i}": model
            for i, model in enumerate(models)
        }
    if not named or len(named) < len(models):
        raise ValueError(f"`models` must be one or more, each once. Received: {models!r}")
    return named


def _vectors(
    embeddings: Embeddings, train: ClassificationDataset, evaluated: ClassificationDataset
) -> _Vectors:
    """Return vectors and classes of both splits, without the images that cannot be used.

    Raises:
        ValueError: if a split or a class has none left.
    """
    columns: list[np.ndarray] = []
    for split, dataset in (("training", train), ("evaluated", evaluated)):
        rows = [embeddings.rows.get(path.absolute().as_posix(), -1) for path in dataset.paths]
        usable = np.array(rows, "int64") >= 0
        labels = dataset.labels[usable]
        if not len(labels) or (split == "training" and len(np.unique(labels)) < 2):
            raise ValueError(
                f"There must be {split} images of two classes that can be used. Received: "
                f"{len(labels)} of {len(dataset)} images"
            )
        columns += [embeddings.vectors[np.array(rows)[usable]], labels]
    return _Vectors(*columns)


def _result(
    name: str,
    method: str,
    shots: int | None,
    vectors: _Vectors,
    draws: int,
    seed: int,
    embed_seconds: float,
) -> ProbeResult:
    start = time.perf_counter()
    draws = 1 if shots is None else draws
    correct, settings = [], []
    for i, chosen in enumerate(_draws(vectors.train_labels, shots, draws, seed)):
        train, labels = vectors.train[chosen], vectors.train_labels[chosen]
        setting, classes = fit_and_predict(method, train, labels, vectors.evaluated, seed + i)
        correct.append(classes == vectors.evaluated_labels)
        settings.append(setting)
    low, high = bootstrap_interval(np.mean(correct, axis=0), seed)
    accuracies = np.mean(correct, axis=1)
    return ProbeResult(
        model=name,
        method=method,
        shots=shots,
        accuracy=float(accuracies.mean()),
        low=low,
        high=high,
        deviation=float(accuracies.std()),
        draws=draws,
        setting=float(settings[0]),
        features=vectors.train.shape[1],
        embed_seconds=embed_seconds,
        fit_seconds=time.perf_counter() - start,
    )


def _draws(labels: np.ndarray, shots: int | None, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of the training images of each draw, the same ones for each model."""
    if shots is None:
        yield np.arange(len(labels))
        return
    for i in range(draws):
        rng = np.random.default_rng([seed, shots, i])
        of_classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        yield np.sort(np.concatenate([rng.permutation(rows)[:shots] for rows in of_classes]))
