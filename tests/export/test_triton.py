"""Folders of Triton's model repository."""

import re

import numpy as np
import pytest

from cspdarknet.export import export
from cspdarknet.export.formats import check_replaceable

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend

TYPES = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)", "TYPE_INT32": "tensor(int32)"}
ENTRY = re.compile(
    r'(input|output) \[\{ name: "(\w+)" data_type: (\w+) dims: \[([-\d, ]+)\](.*) \}\]'
)


def check_config(folder, is_batched):
    """Compare the entries of a configuration with the inputs and outputs of the ONNX file."""
    config = (folder / "config.pbtxt").read_text()
    session = onnxruntime.InferenceSession(folder / "1/model.onnx")
    expected = {
        (kind, value.name): (value.type, [d if isinstance(d, int) else -1 for d in value.shape])
        for kind, values in (("input", session.get_inputs()), ("output", session.get_outputs()))
        for value in values
    }
    found = {}
    for kind, name, data_type, dims, rest in ENTRY.findall(config):
        shape = [] if "reshape: { shape: [] }" in rest else [int(d) for d in dims.split(",")]
        found[kind, name] = TYPES[data_type], [-1, *shape] if is_batched else shape
    assert found == expected
    assert f'name: "{folder.name}"' in config
    assert ("dynamic_batching" in config) == is_batched
    assert f"max_batch_size: {32 if is_batched else 0}\n" in config
    return config


def test_a_detector(tiny_detector, tmp_path):
    result = export(tiny_detector, tmp_path / "models/cells", "triton")
    assert result.comparison.max_relative_error < 1e-4
    check_config(tmp_path / "models/cells", is_batched=True)
    assert result.num_bytes == sum(
        file.stat().st_size for file in result.path.rglob("*") if file.is_file()
    )


def test_a_detector_that_letterboxes(tiny_detector, tmp_path):
    export(tiny_detector, tmp_path / "any_size", "triton", letterbox=True)
    config = check_config(tmp_path / "any_size", is_batched=True)
    assert "dims: [-1, -1, 3]" in config


def test_a_classifier_has_labels_and_replaces_an_earlier_export(classifier, tmp_path):
    path = tmp_path / "letters"
    export(classifier, path, "triton", precision="float16")
    export(classifier, path, "triton")
    config = check_config(path, is_batched=True)
    assert 'label_filename: "labels.txt"' in config
    assert (path / "labels.txt").read_text().split() == ["a", "b", "c"]
    session = onnxruntime.InferenceSession(path / "1/model.onnx")
    images = np.zeros((2, 64, 64, 3), "uint8")
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(probabilities, classifier.predict(images), atol=1e-5)


def test_other_folders_are_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is something else"):
        check_replaceable(tmp_path, "triton")
