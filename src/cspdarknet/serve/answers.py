"""Answers to requests: JSON of results, pictures with boxes, and files of feature maps."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from fastapi import HTTPException

from cspdarknet.detections import Detections
from cspdarknet.images import open_image
from cspdarknet.inference.classes import predicted_classes
from cspdarknet.model_info import ModelInfo
from cspdarknet.serve.batching import EncodedImage
from cspdarknet.serve.models import ServedModel
from cspdarknet.visualize import JPEG_QUALITY

Features = Mapping[str, np.ndarray]
TOP = 5  # classes of an image, where it has one
PICTURE_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}


def classes_json(probabilities: np.ndarray, info: ModelInfo, top: int | None) -> dict[str, Any]:
    """Return the classes of an image, the most probable one first; see `predicted_classes`.

    Example:
        >>> info = ModelInfo("classification", class_names=("cat", "dog"))
        >>> classes_json(np.array([0.25, 0.75]), info, top=1)
        {'classes': [{'class_id': 1, 'class_name': 'dog', 'probability': 0.75}]}
    """
    order = predicted_classes(probabilities, info, top, TOP).tolist()
    names = info.class_names or ()
    return {
        "classes": [
            {"class_id": i, "class_name": names[i], "probability": rounded(probabilities[i], 6)}
            for i in order
        ]
    }


def numbers_json(numbers: np.ndarray, targets: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of an image, in their units.

    Example:
        >>> numbers_json(np.array([41.25]), ["age"])
        {'targets': {'age': 41.25}}
    """
    pairs = zip(targets, numbers.tolist(), strict=True)
    return {"targets": {name: float(f"{number:.7g}") for name, number in pairs}}


def detections_json(detections: Detections) -> dict[str, Any]:
    """Return the size of an image and its detections.

    Example:
        >>> detections_json(Detections([[0, 0, 5, 5]], [0.5], [0], (48, 64), ("cat",)))["width"]
        64
    """
    height, width = detections.image_size
    names = detections.class_names or ()
    return {
        "width": width,
        "height": height,
        "detections": [
            {
                "class_id": d.class_id,
                "class_name": names[d.class_id],
                "confidence": rounded(d.confidence, 6),
                "xyxy": [rounded(x, 2) for x in d.xyxy],
            }
            for d in detections
        ],
    }


def features_json(features: Features) -> dict[str, Any]:
    """Return the spatial mean of the deepest feature map, and the shapes of all.

    Example:
        >>> features_json({"P3": np.ones((2, 2, 1)), "P4": np.zeros((1, 1, 2))})
        {'vector': [0.0, 0.0], 'shapes': {'P3': (2, 2, 1), 'P4': (1, 1, 2)}}
    """
    deepest = min(features.values(), key=lambda values: values.shape[0] * values.shape[1])
    vector = deepest.mean(axis=(0, 1))
    return {
        "vector": [float(f"{x:.6g}") for x in vector.tolist()],
        "shapes": {name: values.shape for name, values in features.items()},
    }


def features_npz(features: Features) -> bytes:
    """Return the feature maps as a file that `numpy.load` reads."""
    file = BytesIO()
    arrays: dict[str, Any] = dict(features)
    np.savez(file, **arrays)
    return file.getvalue()


def picture(image: EncodedImage, detections: Detections, kind: str = "JPEG") -> bytes:
    """Return an image with the boxes drawn in, as a `"JPEG"` or `"PNG"` file."""
    file = BytesIO()
    detections.plot(open_image(image.content)).save(file, kind, quality=JPEG_QUALITY)
    return file.getvalue()


def results_json(names: Sequence[str], results: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the entries of several images.

    Args:
        names: a name for each image.
        results: the fields of each entry, or an `HTTPException`.

    Example:
        >>> results_json(["a.png", "b.png"], [{"width": 64}, HTTPException(422, "damaged")])
        [{'image': 'a.png', 'width': 64}, {'image': 'b.png', 'error': 'damaged'}]
    """
    return [
        {"image": name, **({"error": str(r.detail)} if isinstance(r, HTTPException) else r)}
        for name, r in zip(names, results, strict=True)
    ]


def model_json(model: ServedModel) -> dict[str, Any]:
    """Return the description of a model."""
    return {
        "name": model.name,
        "task": model.info.task,
        "runtime": model.predictor.runtime,
        "image_size": model.info.image_size,
        "class_names": list(model.info.class_names or ()),
        "targets": list(model.info.targets or ()),
        "score_threshold": model.score_threshold,
        "lowest_score_threshold": model.lowest_score_threshold,
    }


def rounded(value: float, digits: int) -> float:
    """Return a float of NumPy or Python with a number of decimals, as a Python float."""
    return round(float(value), digits)
