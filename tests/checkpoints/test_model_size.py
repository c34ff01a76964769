"""Number of parameters and convolutions, computed from the arguments of a model."""

import json

import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.model_size import config_size
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector, load_model
from cspdarknet.presets.records import PRESETS

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("use_depthwise", [False, True])
@pytest.mark.parametrize(("channels", "depth"), [([4, 6, 8], [1, 2, 1]), ([8, 7, 10], [0, 2, 3])])
def test_it_is_that_of_the_model(channels, depth, use_depthwise):
    shape = (None, None, 5)
    backbone = CSPDarkNetBackbone(channels, depth, True, use_depthwise, input_shape=shape)
    for model in (
        backbone,
        ImageClassifier(backbone, 7),
        YOLOXDetector(backbone, 3, image_size=32),
        YOLOXDetector(backbone, 3, image_size=32, neck_depth=3, head_channels=10),
        YOLOXDetector(backbone, 3, image_size=32, levels=["P2"]),
        YOLOXDetector(backbone, 3, image_size=64, levels=["P3", "P4", "P5", "P6"]),
    ):
        config = ModelConfig.from_arguments(model.get_config())
        size = config_size(config.backbone, config.head)
        assert size.parameters == model.count_params()
        if model.task != "classification":
            convolutions = [layer for layer in model.layers if "Conv2D" in type(layer).__name__]
            assert size.convolutions == len(convolutions)


def test_published_models_are_far_from_the_limits():
    config = PRESETS["yolox_x_coco"].config()
    size = config_size(config.backbone, config.head)
    assert (size.parameters, size.convolutions) == (99_166_655, 155)


LARGE = {
    "channels": lambda c, _: c.update(stackwise_channels=[20_000] * 3),
    "channels of the last stage": lambda c, _: c.update(stackwise_channels=[4, 6, 65_536]),
    "depth": lambda c, _: c.update(stackwise_depth=[1000, 1, 1]),
    "stages": lambda c, _: c.update(stackwise_channels=[2] * 999, stackwise_depth=[0] * 999),
    "image channels": lambda c, _: c.update(input_shape=[None, None, 10**9]),
    "head": lambda _, head: head.update(head_channels=65_536),
    "neck": lambda _, head: head.update(neck_depth=1000),
    "levels": lambda _, head: head.update(levels=["P2"] * 10**5),
    "digits": lambda c, _: c.update(stackwise_channels=[10**3000] * 3),
}


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=False)
    folder = tmp_path_factory.mktemp("p") / "detector"
    YOLOXDetector(backbone, 3, image_size=32).save_to_preset(folder)
    return folder


@pytest.mark.parametrize("load_weights", [None, False])
@pytest.mark.parametrize("change", list(LARGE))
def test_configs_that_claim_too_much(change, load_weights, detector, monkeypatch):
    """They are refused before a layer is built, with and without weights."""
    text = (detector / "config.json").read_text()
    config = json.loads(text)
    LARGE[change](config["config"]["backbone"]["config"], config["config"])
    (detector / "config.json").write_text(json.dumps(config))
    limits = "describes a model of|at most 500,000,000 parameters and 1,000 conv|at most 65536"
    limits += "|one or more consecutive pyramid levels"
    with pytest.raises(CheckpointError, match=limits) as error:
        load_model(detector, load_weights=load_weights)
    (detector / "config.json").write_text(text)
    assert str(detector) in str(error.value)
    assert len(str(error.value)) < 1100
