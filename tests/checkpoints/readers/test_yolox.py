"""Names and layouts of YOLOX's state dicts."""

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.checkpoints.readers import yolox
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model
from support import assert_same_weights, randomize, relative_error, to_numpy
from yolox_files import NET, yolox_like

TOLERANCE = 1e-4


def detector(**changes):
    backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 2, 1], **changes)
    return randomize(YOLOXDetector(backbone, 3, image_size=32, neck_depth=2, head_channels=10))


@pytest.mark.one_backend
@pytest.mark.parametrize("use_depthwise", [False, True])
@pytest.mark.parametrize("build", [yolox_like, detector])
def test_round_trip(build, use_depthwise, tmp_path):
    model = build(use_depthwise=use_depthwise)
    conversion.save(model, tmp_path / "a.pth")
    again = load_model(tmp_path / "a.pth")
    assert type(again) is type(model)
    assert_same_weights(again, model)
    conversion.save(again, tmp_path / "b.pth")
    first, second = (torch_files.read_torch(tmp_path / f"{name}.pth") for name in "ab")
    assert list(first) == list(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


@pytest.mark.one_backend
def test_config_of_a_detector(tmp_path):
    conversion.save(detector(use_depthwise=True), tmp_path / "a.pth")
    with open_checkpoint(tmp_path / "a.pth") as checkpoint:
        config = checkpoint.config()
    assert config.backbone["stackwise_depth"] == [1, 2, 1]
    assert config.backbone["use_depthwise"] is True
    assert config.head == {
        "num_classes": 3,
        "bounding_box_format": "xyxy",
        "class_names": None,
        "neck_depth": 2,
        "head_channels": 10,
        "image_size": 416,
    }


@pytest.mark.one_backend
@pytest.mark.parametrize(("channels", "image_size"), [(16, 416), (24, 416), (32, 640)])
def test_the_image_size_of_each_published_model(channels, image_size):
    """YOLOX-nano and YOLOX-tiny, whose stem has 24 channels, are for smaller images."""
    shapes = {
        "backbone.backbone.stem.conv.conv.weight": (channels, 12, 3, 3),
        "backbone.backbone.dark2.0.conv.weight": (2 * channels, channels, 3, 3),
        "head.stems.0.conv.weight": (4 * channels, 4 * channels, 1, 1),
        "head.cls_preds.0.weight": (80, 4 * channels, 1, 1),
    }
    config = yolox.config("a.pth", shapes, "backbone.backbone.")
    assert config.head["image_size"] == image_size


@pytest.mark.one_backend
def test_a_training_checkpoint_with_a_prefix(state_dict, tmp_path):
    """Names of a model inside another, as `DataParallel` writes them."""
    arrays = {f"module.{k}": v for k, v in torch_files.read_torch(state_dict).items()}
    torch_files.write_torch(tmp_path / "a.pth", arrays)
    assert_same_weights(load_model(tmp_path / "a.pth"), yolox_like())


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stackwise_depth": [1, 1]}, "not in the model"),
        ({"stackwise_depth": [2, 2]}, "missing"),
        ({"stackwise_channels": [4, 8]}, "the model needs"),
        ({"use_depthwise": True}, "another architecture"),
    ],
)
def test_other_architectures(changes, message, state_dict, refuses):
    model = CSPDarkNetBackbone(**{**NET, "padding": "symmetric", **changes})
    refuses(state_dict, message, model)


def test_the_factor_of_the_rescaling_is_in_the_stem(state_dict, photo):
    model = load_model(state_dict, include_rescaling=True)
    assert model.include_rescaling
    assert relative_error(model(photo), to_numpy(yolox_like()(photo))) <= TOLERANCE
