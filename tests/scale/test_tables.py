"""Rows of results."""

import numpy as np
import pytest

from cspdarknet.detections import Detections
from cspdarknet.model_info import ModelInfo
from cspdarknet.scale.tables import result_rows, to_table

pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


def table_of(info, results, output_names=(), maps=False, top=2):
    schema, row = result_rows(info, output_names, maps, top)
    return to_table([row(result) for result in results], schema).to_pylist()


def test_features():
    maps = {"P9": np.zeros((4, 4, 2), "float32"), "P10": np.arange(8.0).reshape(2, 2, 2)}
    names = ["P9", "P10"]
    (row,) = table_of(ModelInfo("features"), [maps], names)
    assert row == {"vector": [3.0, 4.0]}
    (row,) = table_of(ModelInfo("features"), [maps], names, maps=True)
    assert row["P10"] == list(range(8))
    assert row["P9_shape"] == [4, 4, 2]


def test_classes():
    result = np.array([0.1, 0.6, 0.3], "float32")
    (named,) = table_of(ModelInfo("classification", class_names=("a", "b", "c")), [result])
    assert (named["class_id"], named["class_name"]) == ([1, 2], ["b", "c"])
    assert named["probability"] == pytest.approx([0.6, 0.3])
    (numbered,) = table_of(ModelInfo("classification"), [result], top=9)
    assert numbered["class_name"] == ["class 1", "class 2", "class 0"]


def test_numbers():
    info = ModelInfo("regression", targets=("age", "weight"))
    (row,) = table_of(info, [np.array([41.5, 80], "float32")])
    assert row == {"target": ["age", "weight"], "value": [41.5, 80.0]}


def test_all_classes_of_a_multi_label_classifier():
    info = ModelInfo("classification", labels="multi", score_threshold=(0.1, 0.9, 0.2))
    results = [np.array([0.1, 0.6, 0.3], "float32"), np.zeros(3, "float32")]
    found, none = table_of(info, results, top=None)
    assert (found["class_id"], none["class_id"]) == ([2, 0], [])
    assert table_of(info, results, top=1)[0]["class_id"] == [1]


def test_detections():
    found = Detections([[0, 1, 2, 3], [4, 5, 6, 7]], [0.5, 0.25], [1, 0], (10, 20), ("a", "b"))
    none = Detections(np.zeros((0, 4)), [], [], (3, 4), ("a", "b"))
    first, second = table_of(ModelInfo("detection"), [found, none])
    assert first["xyxy"] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (first["height"], first["width"]) == (10, 20)
    assert (first["confidence"], first["class_name"]) == ([0.5, 0.25], ["b", "a"])
    assert second["xyxy"] == second["class_id"] == []
