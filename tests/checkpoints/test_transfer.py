"""Weights of a detector for a detector of other levels."""

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError, LevelsWarning
from cspdarknet.checkpoints.transfer import Transfer, class_layers, transfer
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model
from onnx_files import yolox_onnx
from support import randomize, to_numpy

pytestmark = pytest.mark.one_backend

NEW = {"neck_p3_lateral", "neck_p2_csp", "neck_n2_down", "neck_n3_csp", "head_p2"}


def build(levels=None, num_classes=2, seed=0, **changes):
    backbone = CSPDarkNetBackbone(
        [4, 4, 6, 8], [0, 1, 0, 1], padding="symmetric", include_rescaling=False
    )
    model = YOLOXDetector(backbone, num_classes, image_size=64, levels=levels, **changes)
    return randomize(model, seed)


def values(model):
    return {variable.path: to_numpy(variable) for variable in model.weights}


def group(path):
    layer = path.split("/")[0]
    parts = layer.split("_")
    return (
        layer if layer.endswith("_classes") else "_".join(parts[: 3 if parts[0] == "neck" else 2])
    )


@pytest.fixture(scope="module")
def source():
    return build()


@pytest.fixture(scope="module", params=[".pth", ".onnx", ".safetensors", ".keras", "preset"])
def file(request, source, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / f"source{request.param}"
    if request.param == "preset":
        source.save_to_preset(path)
    elif request.param == ".onnx":
        pytest.importorskip("onnx")
        path.write_bytes(yolox_onnx(source))
    else:
        conversion.save(source, path)
    return path


def test_any_file_starts_a_model_with_level_p2(file, source):
    with pytest.warns(LevelsWarning, match="levels P3, P4, P5, and the model has P2, P3") as warned:
        model = load_model(file, levels=["P2", "P3", "P4", "P5"])
    assert (model.levels, model.head_channels) == (("P2", "P3", "P4", "P5"), source.head_channels)
    stored, loaded, copied = values(source), values(model), model.transfer
    # Each variable is loaded or new, and named in one of the lists.
    assert sorted(copied.loaded + copied.new) == sorted(loaded)
    assert copied.left_out == ()
    assert {group(path) for path in copied.new} - {"head_p2_classes"} == NEW
    if file.suffix == ".onnx":  # batch normalization is folded into the kernels
        return
    for path in copied.loaded:
        np.testing.assert_array_equal(loaded[path], stored[path])
    text = str(warned.pop(LevelsWarning).message)
    assert f"{len(copied.loaded)} variables are loaded (stem, dark2" in text
    for block in (*NEW, "head_p2_classes"):
        assert block in text


def test_other_classes_and_fewer_levels(file):
    with pytest.warns(LevelsWarning, match="are left out"):
        model = load_model(file, num_classes=5, levels=["P3", "P4"], score_threshold=[0.1] * 5)
    assert {group(path) for path in model.transfer.new} == {"head_p3_classes", "head_p4_classes"}
    left_out = {group(path) for path in model.transfer.left_out}
    assert left_out >= {"neck_n5_csp", "head_p5", "head_p3_classes", "head_p5_classes"}
    assert (model.num_classes, model.levels) == (5, ("P3", "P4"))


def test_the_same_levels_are_loaded_without_a_word(file, recwarn):
    model = load_model(file, levels=["P3", "P4", "P5"])
    assert model.transfer is None
    assert not [w for w in recwarn if w.category is LevelsWarning]


def test_levels_without_weights(file, recwarn):
    model = load_model(file, levels=["P5", "P6"], load_weights=False, image_size=64)
    assert (model.levels, model.transfer) == (("P5", "P6"), None)
    assert not [w for w in recwarn if w.category is LevelsWarning]


def test_what_is_copied_is_exact(source):
    model = build(["P4", "P5", "P6"], seed=1, head_channels=source.head_channels)
    before, stored = values(model), values(source)
    copied = transfer(source, model, class_layers(model.levels))
    for path, value in values(model).items():
        expected = stored if path in copied.loaded else before
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
    assert set(copied.new) == set(before) - set(copied.loaded)
    assert set(copied.left_out) == set(stored) - set(copied.loaded)
    assert "head_p4_classes/kernel" in copied.new
    assert "head_p4_boxes/kernel" in copied.loaded


def test_the_summary_names_each_block_once():
    paths = ("dark2_conv_conv/kernel", "dark2_conv_bn/gamma", "head_p3_classes/bias", "mine/w")
    text = str(Transfer(paths, ("head_p3_class_conv1_conv/kernel",), ()))
    assert text == (
        "4 variables are loaded (dark2, head_p3_classes, mine/w); 1 variables are new and "
        "untrained (head_p3)"
    )


def test_a_config_with_malformed_levels(source, tmp_path):
    source.save_to_preset(tmp_path / "preset")
    config = tmp_path / "preset" / "config.json"
    text = config.read_text().replace('"P4"', '"P9"')
    config.write_text(text)
    for levels in ({}, {"levels": ["P2", "P3"]}):
        with pytest.raises(CheckpointError, match="is malformed"):
            load_model(tmp_path / "preset", **levels)
