"""The training task of detectors."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cspdarknet.checkpoints import LevelsWarning
from cspdarknet.data import load_detection_dataset
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.evaluate import ClassThreshold
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.tiles import Tiles
from cspdarknet.train import DetectionRecipe, Phase
from cspdarknet.train.tasks import DetectionTask
from cspdarknet.train.tasks.detection import check_sizes

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("thresholds", "stored"), [((), 0.25), ((0.5, 0.5), 0.5), ((0.5, 0.75), (0.5, 0.75))]
)
def test_a_detector_stores_the_thresholds_that_count_right(tmp_path, thresholds, stored):
    """Nothing is stored if no object is detected."""
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    YOLOXDetector(backbone, 2, image_size=32).save_to_preset(tmp_path / "best")
    proposals = [ClassThreshold(str(x), x, False, 1, 1, 1) for x in thresholds]
    evaluation = SimpleNamespace(thresholds={"count": proposals}.get)
    DetectionTask(DetectionRecipe((Phase(1),))).finish(tmp_path / "best", evaluation)
    assert YOLOXDetector.from_preset(tmp_path / "best").score_threshold == stored


def test_training_and_validation_are_in_the_tiles_of_the_recipe(detection_run):
    splits = load_detection_dataset(detection_run.data, 0.3)
    recipe = replace(detection_run.recipe, tiles=Tiles(40, 0.25))
    task = DetectionTask(recipe)
    source = task.build_source(splits.train, 1, (0, 1))
    assert len(source.dataset) > len(splits.train)
    model = YOLOXDetector.from_preset(detection_run.path / "best")
    predictor = task.build_predictor(model, 64, 1)
    plain = DetectionTask(detection_run.recipe).build_predictor(model, 64, 1)
    assert predictor._tiles == recipe.tiles
    assert plain._tiles is None


def test_image_sizes_fit_the_levels_of_the_model(tmp_path):
    backbone = CSPDarkNetBackbone([4, 4, 4, 4], [0, 0, 0, 0], include_rescaling=True)
    YOLOXDetector(backbone, 1, image_size=64).save_to_preset(tmp_path / "start")

    def recipe(*sizes, **changes):
        phases = tuple(Phase(1, size) for size in sizes)
        return DetectionRecipe(phases, levels=("P4", "P5", "P6"), **changes)

    with pytest.warns(LevelsWarning):
        model = DetectionTask(recipe(64, 128)).build_model(tmp_path / "start", None, ("cell",))
    assert (model.levels, model.largest_stride) == (("P4", "P5", "P6"), 64)
    with pytest.raises(ValueError, match=r"a multiple of 64 .* Received: image_size=96"):
        check_sizes(recipe(96, 128), 64)
    augmentation = DetectionAugmentation(multi_scale=(0.5, 1.5))
    with pytest.raises(ValueError, match="`multi_scale` must be"):
        check_sizes(recipe(64, 128, augmentation=augmentation), 64)
    check_sizes(recipe(96, augmentation=augmentation), 32)
