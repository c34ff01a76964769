"""Results of a `Predictor` as tables of Arrow: one row for each image."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.detections import Detections
from cspdarknet.inference.classes import predicted_classes
from cspdarknet.model_info import ModelInfo, numbered_names
from cspdarknet.scale.storage import EXTRA, PURPOSE

VECTOR = "vector"
Row = dict[str, Any]
RowOf = Callable[[Any], Row]
TOP = 3


def result_rows(
    info: ModelInfo, output_names: Sequence[str], maps: bool, top: int | None
) -> tuple[Any, RowOf]:
    """Return the Arrow schema of a model's results, and the function of one result to its row.

    A row of features has `vector`, the spatial mean of the deepest level, and with `maps=True` for
    each level its values, such as `P3`, and their shape, `P3_shape`. A row of a classifier has
    `class_id`, `class_name` and `probability`, lists of the most probable classes. A row of a
    regressor has the lists `target` and `value`. A row of a detector has `height` and `width` of
    the image, and lists with an entry for each detection: `xyxy`, `confidence`, `class_id` and
    `class_name`.

    Args:
        info: the `ModelInfo` of the model.
        output_names: names of its outputs.
        maps: features: whether to keep the feature maps.
        top: classifiers: number of classes; `None` for 3, and for all classes of a multi-label
            classifier that reach their score thresholds.
    """
    if info.task == "features":
        return _feature_schema(output_names, maps), _feature_row(output_names, maps)
    if info.task == "regression":
        return _schema(_NUMBERS), lambda result: _number_row(result, info.targets or ())
    if info.task == "classification":
        return _schema(_CLASSES), lambda result: _class_row(result, info, top)
    return _schema(_DETECTIONS), _detection_row


_CLASSES = {"class_id": "ids", "class_name": "names", "probability": "floats"}
_NUMBERS = {"target": "names", "value": "floats"}
_DETECTIONS = {
    **{"height": "id", "width": "id", "xyxy": "boxes", "confidence": "floats"},
    **{"class_id": "ids", "class_name": "names"},
}


def _schema(columns: dict[str, str]) -> Any:
    arrow: Any = require("pyarrow", EXTRA, PURPOSE)
    types = {
        "id": arrow.int32(),
        "ids": arrow.list_(arrow.int32()),
        "names": arrow.list_(arrow.string()),
        "floats": arrow.list_(arrow.float32()),
        "boxes": arrow.list_(arrow.list_(arrow.float32())),
    }
    return arrow.schema([(name, types[kind]) for name, kind in columns.items()])


def deepest_level(output_names: Iterable[str]) -> str:
    """Return the name of the deepest level among the outputs of a backbone."""
    return max(output_names, key=lambda name: int(name[1:]) if name[0] == "P" else 0)


def _feature_schema(output_names: Sequence[str], maps: bool) -> Any:
    columns = {VECTOR: "floats"}
    for name in output_names if maps else ():
        columns |= {name: "floats", f"{name}_shape": "ids"}
    return _schema(columns)


def _feature_row(output_names: Sequence[str], maps: bool) -> RowOf:
    deepest = deepest_level(output_names)

    def row(result: dict[str, np.ndarray]) -> Row:
        values: Row = {VECTOR: result[deepest].mean(axis=(0, 1))}
        for name in output_names if maps else ():
            values |= {name: result[name].ravel(), f"{name}_shape": result[name].shape}
        return values

    return row


def _class_row(probabilities: np.ndarray, info: ModelInfo, top: int | None) -> Row:
    order = predicted_classes(probabilities, info, top, TOP)
    names = info.class_names or numbered_names(len(probabilities))
    return {
        "class_id": order.astype("int32"),
        "class_name": [names[i] for i in order],
        "probability": probabilities[order].astype("float32"),
    }


def _number_row(numbers: np.ndarray, targets: Sequence[str]) -> Row:
    return {"target": list(targets), "value": numbers.astype("float32")}


def _detection_row(detections: Detections) -> Row:
    names = detections.class_name
    height, width = detections.image_size
    return {
        "height": height,
        "width": width,
        "xyxy": list(detections.xyxy.astype("float32")),
        "confidence": detections.confidence.astype("float32"),
        "class_id": detections.class_id.astype("int32"),
        "class_name": None if names is None else list(map(str, names)),
    }


def to_table(rows: Sequence[Row], schema: Any) -> Any:
    """Return rows as a table of Arrow; missing values are null."""
    arrow: Any = require("pyarrow", EXTRA, PURPOSE)
    columns = [
        arrow.array([row.get(field.name) for row in rows], type=field.type) for field in schema
    ]
    return arrow.table(columns, schema=schema)
