"""Task and backbone of a model, and the order of its convolutions."""

import keras
import pytest

from cspdarknet.checkpoints.architecture import (
    backbone_of,
    classifier_head,
    conv_units,
    head_units,
    neck_units,
    prediction_layers,
    task_of,
    unit_variables,
)
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.yolox.levels import Pyramid

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def backbone():
    return CSPDarkNetBackbone([4, 6, 8], [1, 2, 1], include_rescaling=False)


@pytest.fixture(scope="module")
def detector(backbone):
    return YOLOXDetector(backbone, 3, image_size=32, neck_depth=2)


def test_task_and_backbone(backbone, detector):
    classifier = ImageClassifier(backbone, 3)
    for model, task in (
        (backbone, "features"),
        (classifier, "classification"),
        (detector, "detection"),
    ):
        assert task_of(model) == task_of(type(model)) == task
        assert backbone_of(model) is backbone
    assert task_of(backbone.feature_pyramid(["P3"])) == "features"
    predictions = classifier.get_layer("predictions")
    assert classifier_head(classifier) == [predictions.kernel, predictions.bias]
    assert classifier_head(backbone) == classifier_head(detector) == []


def test_models_without_a_backbone():
    other = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(3, 1)])
    with pytest.raises(ValueError, match=r"must be a CSPDarkNetBackbone.*a Sequential"):
        backbone_of(other)
    with pytest.raises(ValueError, match="a ImageClassifier with a Sequential"):
        backbone_of(ImageClassifier(other, 3))


@pytest.mark.parametrize("levels", [None, ["P2"], ["P3", "P4", "P5", "P6"]])
@pytest.mark.parametrize("use_depthwise", [False, True])
def test_the_units_are_all_layers_with_weights(use_depthwise, levels):
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 2, 1], False, use_depthwise=use_depthwise)
    model = YOLOXDetector(backbone, 3, image_size=64, neck_depth=2, levels=levels)
    units = [
        *conv_units(backbone),
        *neck_units(model.neck_depth, use_depthwise, Pyramid.of(levels, 3).neck_blocks),
        *head_units(model.levels, use_depthwise),
    ]
    names = {name for unit in units for name in (f"{unit.name}_conv", f"{unit.name}_bn")}
    names |= {name for _, _, name in prediction_layers(model.levels)}
    assert names == {layer.name for layer in model.layers if layer.weights}
    kernel, norm = unit_variables(model, units[0])
    assert kernel is model.get_layer("stem_conv_conv").kernel
    assert [v.name for v in norm] == ["gamma", "beta", "moving_mean", "moving_variance"]
