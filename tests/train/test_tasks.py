"""Differences between the trainings of classifiers and of detectors."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cspdarknet.checkpoints import LevelsWarning
from cspdarknet.data import ClassificationDataset, load_detection_dataset
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.evaluate import ClassThreshold
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.tiles import Tiles
from cspdarknet.train import ClassificationRecipe, DetectionRecipe, Phase, Teacher
from cspdarknet.train.tasks import ClassificationTask, DetectionTask, check_sizes, class_weights
from cspdarknet.train.teacher import LoadedTeacher

pytestmark = pytest.mark.one_backend


def dataset(labels, names=("a", "b")):
    return ClassificationDataset(names, (None,) * len(labels), np.array(labels))


def test_balanced_class_weights():
    images = dataset([0, 0, 0, 1])
    weights = class_weights(images, "balanced")
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[images.labels].mean() == pytest.approx(1)
    assert class_weights(images, "equal") is None


def test_each_class_needs_a_training_image():
    task = ClassificationTask(ClassificationRecipe((Phase(1),)))
    task.check_data(dataset([0, 1]))
    with pytest.raises(ValueError, match="Without one: b, d"):
        task.check_data(dataset([0, 2], ("a", "b", "c", "d")))


def test_a_training_and_its_teacher_have_no_temperature(tmp_path):
    """It belongs to the weights before the training; a teacher has one of its own."""
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    names = ("a", "b")
    ImageClassifier(backbone, 2, class_names=names, temperature=3.0).save_to_preset(tmp_path / "p")
    task = ClassificationTask(ClassificationRecipe((Phase(1),)))
    model = task.build_model(tmp_path / "p", None, names)
    assert (model.temperature, model.activation) == (1, None)
    assert task.build_saved_model(model).temperature == 1
    x = np.ones((1, 8, 8, 3), "float32")
    teacher = LoadedTeacher(Teacher(tmp_path / "p"), "classification", names)
    found = teacher.targets(x, np.zeros((1, 2)))["teacher_logits"]
    np.testing.assert_allclose(found, model.predict_on_batch(x), rtol=1e-5, atol=1e-6)


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
