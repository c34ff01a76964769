"""`ModelInfo`, and the exported files that hold one."""

import json

import numpy as np
import pytest

from cspdarknet.export import build_onnx, export
from cspdarknet.model_info import ModelInfo, is_exported_file, numbered_names, read_model_info
from cspdarknet.models import CSPDarkNetBackbone
from support import TINY_NET

pytestmark = pytest.mark.one_backend

INFO = ModelInfo("classification", False, ("a", "b"), 32, "uint8", False, "channels_last", "int8")


def test_it_is_read_as_it_was_written():
    assert ModelInfo.from_json(INFO.to_json(), "a file") == INFO
    features = ModelInfo("features")
    assert ModelInfo.from_json(features.to_json(), "a file") == features


def test_score_thresholds_of_detectors_and_of_older_files():
    for threshold in (0.5, (0.5, 0.25)):
        info = ModelInfo("detection", score_threshold=threshold)
        assert ModelInfo.from_json(info.to_json(), "a file") == info
    older = json.loads(INFO.to_json())
    del older["score_threshold"], older["class_agnostic_nms"]
    assert ModelInfo.from_json(json.dumps(older), "a file") == INFO
    text = json.dumps({**older, "score_threshold": [2]})
    with pytest.raises(ValueError, match="must be a number, at least 0"):
        ModelInfo.from_json(text, "a file")


def test_the_temperature_of_classifiers():
    """Without one, the metadata is that of older versions."""
    assert "temperature" not in INFO.to_json()
    info = ModelInfo("classification", temperature=1.5)
    assert ModelInfo.from_json(info.to_json(), "a file") == info
    text = info.to_json().replace("1.5", '"warm"')
    with pytest.raises(ValueError, match=r"`temperature` must be a number .* from a file"):
        ModelInfo.from_json(text, "a file")


def test_the_crop_of_classifiers():
    assert "crop" not in INFO.to_json()
    info = ModelInfo("classification", crop=0.95)
    assert ModelInfo.from_json(info.to_json(), "a file") == info
    with pytest.raises(ValueError, match=r"`crop` must be the part .* from a file"):
        ModelInfo.from_json(info.to_json().replace("0.95", "95"), "a file")


def test_the_labels_of_classifiers():
    """One class per image is what older versions know, and is left out."""
    assert "labels" not in INFO.to_json()
    info = ModelInfo("classification", labels="multi", score_threshold=(0.5, 0.25))
    assert ModelInfo.from_json(info.to_json(), "a file") == info
    text = info.to_json().replace('"multi"', '"many"')
    with pytest.raises(ValueError, match=r"`labels` must be one of .* from a file"):
        ModelInfo.from_json(text, "a file")


def test_unknown_tasks_and_texts_are_refused():
    with pytest.raises(ValueError, match=r"`task` must be one of.*'masks'"):
        ModelInfo("masks")
    text = INFO.to_json().replace("classification", "masks", 1)
    with pytest.raises(ValueError, match="'masks' from a file, perhaps of a newer version"):
        ModelInfo.from_json(text, "a file")
    for text in (None, "", "{}", "[1]", "no JSON"):
        with pytest.raises(
            ValueError, match=r"metadata that cspdarknet writes\. Received: x\.onnx"
        ):
            ModelInfo.from_json(text, "x.onnx")


def test_numbered_names():
    assert numbered_names(2) == ("class 0", "class 1")


@pytest.fixture(scope="module")
def backbone():
    return CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)


@pytest.mark.parametrize(("name", "module"), [("a.onnx", "onnxruntime"), ("a&<b>.xml", "openvino")])
def test_the_metadata_of_exported_files(backbone, tmp_path, name, module):
    pytest.importorskip(module)
    exported = export(backbone, tmp_path / name, image_size=32)
    assert is_exported_file(tmp_path / name)
    assert (
        read_model_info(tmp_path / name)
        == exported.info
        == ModelInfo("features", image_size=32, inputs="uint8")
    )


def test_an_int8_file_is_an_exported_one(backbone, tmp_path):
    """ONNX Runtime's quantizer writes another producer into the file."""
    pytest.importorskip("onnxruntime")
    images = [np.zeros((32, 32, 3), "uint8")]
    export(backbone, tmp_path / "a.onnx", precision="int8", calibration=images)
    assert is_exported_file(tmp_path / "a.onnx")
    assert read_model_info(tmp_path / "a.onnx").precision == "int8"


def test_other_files(backbone, tmp_path):
    onnx = pytest.importorskip("onnx")
    graph = build_onnx(backbone)
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(graph.SerializeToString()[:1000])
    assert is_exported_file(truncated)  # for the message that it is damaged
    assert read_model_info(truncated) is None
    foreign = tmp_path / "yolox.onnx"
    graph.producer_name = "pytorch"
    del graph.metadata_props[:]
    onnx.save(graph, foreign)
    assert not is_exported_file(foreign)
    assert is_exported_file(tmp_path / "missing.onnx")
    assert read_model_info(tmp_path / "missing.onnx") is None
    for other in ("a.pth", tmp_path, "csp_darknet_tiny", backbone, None):
        assert not is_exported_file(other)
