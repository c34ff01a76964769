"""`YOLOXDetector` of any pyramid levels: outputs, training, detection, saving."""

import keras
import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError, load_weights
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model
from support import assert_same_weights, randomize, to_numpy

pytestmark = pytest.mark.one_backend

SIZE = 64
SETTINGS = {"padding": "symmetric", "include_rescaling": False}
RUNS = [["P2", "P3", "P4", "P5"], ["P2"], ["P3", "P4"], ["P4", "P5", "P6"], ["P6"]]


def build(levels, use_depthwise=False, **changes):
    backbone = CSPDarkNetBackbone(
        [4, 4, 6, 8], [0, 1, 0, 1], use_depthwise=use_depthwise, **SETTINGS
    )
    arguments = {"image_size": SIZE, "score_threshold": 0.1, "levels": levels, **changes}
    return randomize(YOLOXDetector(backbone, 2, **arguments))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.mark.parametrize("levels", RUNS)
def test_outputs_are_those_of_the_layers_at_all_anchor_points(levels, images):
    model = build(levels, use_depthwise=levels == RUNS[0])
    outputs = model(images)
    anchors = sum((SIZE // stride) ** 2 for stride in model.strides)
    assert outputs["boxes"].shape == (2, anchors, 4)
    plain = keras.Model(model.input, model.output)(images)
    for name, expected in plain.items():
        np.testing.assert_allclose(to_numpy(outputs[name]), to_numpy(expected), atol=1e-4)
    assert YOLOXDetector.from_config(model.get_config()).levels == tuple(levels)


@pytest.mark.parametrize("levels", RUNS[:4])
def test_a_training_step_reaches_all_stages_and_levels(levels, images):
    # With two values of a channel, batch normalization would have no gradient at level P6.
    images = images.repeat(2, axis=1).repeat(2, axis=2)
    model = build(levels)
    model.compile(keras.optimizers.SGD(1e-3))
    before = {variable.path: to_numpy(variable) for variable in model.trainable_variables}
    boxes = np.array([[[8.0, 8, 16, 16], [20, 20, 60, 60]]] * 2, "float32")
    model.train_on_batch(images, {"boxes": boxes, "classes": np.array([[0, 1]] * 2)})
    changed = {}
    for variable in model.trainable_variables:
        layer, same = variable.path.split("/")[0], np.array_equal
        moved = not same(before[variable.path], to_numpy(variable))
        changed[layer] = changed.get(layer, False) or moved
    # Levels without a matched anchor point train their objectness alone.
    unchanged = [name for name, moved in changed.items() if not moved]
    assert [x for x in unchanged if "_class" not in x and not x.endswith("_boxes")] == []
    # An anchor point is matched, in both branches.
    assert any(name.endswith("_classes") and moved for name, moved in changed.items())


@pytest.mark.parametrize(
    ("suffix", "levels"),
    [
        (".safetensors", ["P2", "P3", "P4", "P5"]),
        (".keras", ["P2"]),
        (".weights.h5", ["P4", "P5", "P6"]),
    ],
)
def test_files_keep_the_levels(suffix, levels, tmp_path):
    model, path = build(levels), tmp_path / f"m{suffix}"
    conversion.save(model, path)
    if suffix == ".weights.h5":  # without its config
        loaded = YOLOXDetector.from_config(model.get_config())
        load_weights(loaded, path)
    else:
        loaded = load_model(path)
        assert_same_weights(load_model(path, "features"), model.backbone)
    assert (loaded.levels, loaded.transfer) == (tuple(levels), None)
    assert_same_weights(loaded, model)


def test_a_preset_keeps_the_levels(tmp_path):
    model = build(["P2", "P3"])
    model.save_to_preset(tmp_path / "preset")
    for loaded in (load_model(tmp_path / "preset"), load_model(tmp_path / "preset", levels=None)):
        assert loaded.levels == ("P2", "P3")
        assert_same_weights(loaded, model)
    backbone = load_model(tmp_path / "preset", "features")
    assert_same_weights(backbone, model.backbone)


def test_yolox_has_no_file_of_other_levels(tmp_path):
    message = r"deepest three levels, P3, P4, P5\. Received: a model of the levels P2, P3"
    with pytest.raises(CheckpointError, match=message):
        conversion.save(build(["P2", "P3"]), tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())
    conversion.save(build(["P3", "P4", "P5"]), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"levels P3, P4, P5, and the model has P2, P3: "):
        load_weights(build(["P2", "P3"]), tmp_path / "a.pth")


def test_image_sizes_are_multiples_of_the_largest_stride(images):
    with pytest.raises(ValueError, match=r"must be a multiple of 64, the model's largest stride"):
        build(["P6"], image_size=96)
    with pytest.raises(ValueError, match="must be multiples of 64"):
        build(["P5", "P6"])(images[:, :32])
    # The neck begins at the last stage, of stride 32, whatever the levels are.
    with pytest.raises(ValueError, match="a multiple of 32"):
        build(["P2"], image_size=48)


def test_levels_are_checked_before_anything_is_built():
    with pytest.raises(ValueError, match=r"`levels` must be one or more.*add P3"):
        build(["P2", "P4"])
