"""The training task of classifiers."""

import numpy as np
import pytest

from cspdarknet.data import ClassificationDataset
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train import ClassificationRecipe, Phase, Teacher
from cspdarknet.train.tasks import ClassificationTask
from cspdarknet.train.tasks.classification import class_weights
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
    """It belongs to the weights before the training, as does a crop; a teacher has its own."""
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    names = ("a", "b")
    options = {"class_names": names, "temperature": 3.0, "crop": 0.9}
    ImageClassifier(backbone, 2, **options).save_to_preset(tmp_path / "p")
    task = ClassificationTask(ClassificationRecipe((Phase(1),)))
    model = task.build_model(tmp_path / "p", None, names)
    assert (model.temperature, model.crop, model.activation) == (1, 1, None)
    assert task.build_saved_model(model).temperature == 1
    x = np.ones((1, 8, 8, 3), "float32")
    teacher = LoadedTeacher(Teacher(tmp_path / "p"), "classification", names)
    found = teacher.targets(x, np.zeros((1, 2)))["teacher_logits"]
    np.testing.assert_allclose(found, model.predict_on_batch(x), rtol=1e-5, atol=1e-6)
