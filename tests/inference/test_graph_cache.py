"""The cache of converted models: keys, verification, its bounds, folders that cannot be written."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import pytest

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.detections import DetectionOptions
from cspdarknet.inference import graph_cache
from cspdarknet.inference.graph_cache import cache_folder, graph_key, read_graph, write_graph
from cspdarknet.presets.sources import PresetPaths

pytestmark = pytest.mark.one_backend

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of an empty cache."""
    monkeypatch.setenv(graph_cache.FOLDER_VARIABLE, str(tmp_path / "graphs"))
    return tmp_path / "graphs"


def test_the_folder(folder, monkeypatch, tmp_path):
    assert cache_folder() == folder
    monkeypatch.setenv(graph_cache.FOLDER_VARIABLE, "")
    assert cache_folder() is None
    write_graph(KEY, b"graph")
    assert read_graph(KEY) is None
    monkeypatch.delenv(graph_cache.FOLDER_VARIABLE)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "models" / "cspdarknet" / "graphs"


def test_a_key_depends_on_all_that_changes_a_graph(monkeypatch):
    paths = PresetPaths("a", ModelConfig({"stackwise_depth": [1]}), Path("model.weights.h5"))
    choices = {"runtime": "openvino", "precision": "float32", "levels": None}
    choices |= {"options": DetectionOptions(), "image_size": None}
    key = graph_key(paths, "00", **choices)
    assert graph_key(replace(paths, origin="b", folder=Path("b")), "00", **choices) == key
    keys = [
        key,
        graph_key(paths, "01", **choices),
        graph_key(replace(paths, config=ModelConfig({"stackwise_depth": [2]})), "00", **choices),
        graph_key(replace(paths, config=ModelConfig({}, {"num_classes": 2})), "00", **choices),
        graph_key(replace(paths, config=None), "00", **choices),
    ]
    others = [
        {"runtime": "onnxruntime"},
        {"precision": "bfloat16"},
        {"levels": ["P3"]},
        {"levels": ["P3", "P4"]},
        {"options": DetectionOptions(score_threshold=0.5)},
        {"options": DetectionOptions(score_threshold=(0.5, 0.25))},
        {"options": DetectionOptions(iou_threshold=0.5)},
        {"options": DetectionOptions(max_detections=5)},
        {"options": DetectionOptions(classes=[0])},
        {"options": DetectionOptions(classes=["a"])},
        {"options": DetectionOptions(class_agnostic_nms=True)},
        {"options": DetectionOptions(class_agnostic_nms=False)},
        {"options": DetectionOptions(max_detections_per_class=5)},
        {"image_size": 96},
    ]
    keys += [graph_key(paths, "00", **(choices | other)) for other in others]
    keras.config.set_image_data_format("channels_first")
    keys.append(graph_key(paths, "00", **choices))
    keras.config.set_dtype_policy("mixed_bfloat16")
    keys.append(graph_key(paths, "00", **choices))
    monkeypatch.setattr(graph_cache, "_code_version", lambda: "0.0.0 edited")
    keys.append(graph_key(paths, "00", **choices))
    assert len(set(keys)) == len(keys)


def test_a_graph_is_read_as_it_was_written(folder):
    assert read_graph(KEY) is None
    write_graph(KEY, b"graph")
    assert read_graph(KEY) == b"graph"
    assert read_graph("fedcba9876543210") is None


@pytest.mark.parametrize("content", [b"", b"grap", b"grapH"])
def test_a_damaged_graph_is_removed(folder, content):
    write_graph(KEY, b"graph")
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert read_graph(KEY) is None
    assert not file.exists()


def test_a_folder_that_cannot_be_written_is_not_an_error(folder):
    folder.write_text("a file in its place")
    write_graph(KEY, b"graph")
    assert read_graph(KEY) is None


def test_the_graph_that_was_used_longest_ago_is_removed_first(folder, monkeypatch):
    monkeypatch.setattr(graph_cache, "MAX_BYTES", 10)
    for i, key in enumerate("abc"):
        write_graph(key, b"123")
        (file,) = folder.glob(f"{key}-*")
        os.utime(file, (i, i))
    read_graph("a")
    write_graph("d", b"1234")
    assert {key: read_graph(key) is not None for key in "abcd"} == {
        **{"a": True, "b": False},
        **{"c": True, "d": True},
    }
    write_graph("e", bytes(11))
    assert read_graph("e") is None
    assert read_graph("a") is not None


def test_threads_share_the_folder(folder, monkeypatch):
    """Each thread gets its graph or none, while others write and remove it."""
    monkeypatch.setattr(graph_cache, "MAX_BYTES", 2500)

    def use(i):
        key, graph = f"{i % 4:x}" * 8, bytes([i % 4]) * 1000
        write_graph(key, graph)
        return read_graph(key) in (None, graph)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(200)))
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 2500 + 8 * 1000
