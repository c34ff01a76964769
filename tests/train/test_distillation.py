"""Losses of distillation, on every backend, and trainings with a teacher."""

import keras
import numpy as np
import pytest
from keras import ops

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.train.distillation import (
    DISTILLED,
    OUTPUTS,
    classifier_loss,
    detector_loss,
)
from cspdarknet.train.teacher import LoadedTeacher, Teacher
from cspdarknet.yolox.losses import at_least_one

STRIDES, SIZE, POINTS = (8, 16, 32), (32, 32), 21


def raw_outputs(seed):
    rng = np.random.default_rng(seed)
    widths = {"boxes": 4, "objectness": 1, "classes": 3}
    return {name: rng.normal(0, 1, (2, POINTS, widths[name])).astype("float32") for name in OUTPUTS}


def loss_of(outputs, teacher, weight=None):
    return float(detector_loss(outputs, teacher, SIZE, STRIDES, weight, at_least_one))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def crossentropy(logits, targets):
    p = sigmoid(logits)
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p))


def test_the_loss_of_a_classifier_is_hintons():
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(0, 2, (2, 4, 3)).astype("float32")
    weights = np.array([1, 0, 2, 1], "float32")
    for temperature in (1.0, 4.0):
        powers = [np.exp(x / temperature) for x in (logits, teacher)]
        own, soft = (x / x.sum(axis=1, keepdims=True) for x in powers)
        losses = -(temperature**2) * (soft * np.log(own)).sum(axis=1)
        found = classifier_loss(logits, teacher, temperature, weights)
        np.testing.assert_allclose(float(found), (losses * weights).mean(), rtol=1e-5)
        found = classifier_loss(logits, teacher, temperature, None)
        np.testing.assert_allclose(float(found), losses.mean(), rtol=1e-5)


def test_the_loss_of_a_multi_label_classifier_is_of_each_class():
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(0, 2, (2, 4, 3)).astype("float32")
    weights = np.array([1, 0, 2, 1], "float32")
    for temperature in (1.0, 4.0):
        each = crossentropy(logits / temperature, sigmoid(teacher / temperature))
        losses = temperature**2 * each.mean(axis=1)
        found = classifier_loss(logits, teacher, temperature, weights, "multi")
        np.testing.assert_allclose(float(found), (losses * weights).mean(), rtol=1e-5)


def test_the_teacher_is_the_minimum_of_the_loss_of_a_detector():
    teacher = raw_outputs(0)
    least = loss_of(teacher, teacher)
    for name in OUTPUTS:
        for step in (-0.1, 0.1):
            moved = {**teacher, name: teacher[name] + np.float32(step)}
            assert loss_of(moved, teacher) > least + 1e-4, name


def test_box_and_classes_are_scaled_by_the_objectness_of_the_teacher():
    outputs, teacher = raw_outputs(0), raw_outputs(1)
    teacher["boxes"] = outputs["boxes"]  # without a loss
    objectness = sigmoid(teacher["objectness"][..., 0])
    classes = crossentropy(outputs["classes"], sigmoid(teacher["classes"])).sum(axis=-1)
    expected = (classes * objectness).sum()
    expected += crossentropy(outputs["objectness"][..., 0], objectness).sum()
    np.testing.assert_allclose(loss_of(outputs, teacher), expected / objectness.sum(), rtol=1e-4)
    teacher["objectness"][:] = -30  # nothing is there: boxes and classes do not matter
    others = {**outputs, "boxes": outputs["boxes"] + 1, "classes": outputs["classes"] + 1}
    assert loss_of(others, teacher) == pytest.approx(loss_of(outputs, teacher), rel=1e-5)


def test_images_are_weighted():
    outputs, teacher = raw_outputs(0), raw_outputs(1)
    first = [{name: x[:1] for name, x in values.items()} for values in (outputs, teacher)]
    weighted = loss_of(outputs, teacher, np.array([1, 0], "float32"))
    assert weighted == pytest.approx(loss_of(*first), rel=1e-5)


@pytest.mark.parametrize("kind", [ImageClassifier, YOLOXDetector])
def test_a_student_learns_what_its_teacher_predicts(kind, tmp_path):
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    arguments = {"activation": None} if kind is ImageClassifier else {"image_size": 32}
    teacher, student = (
        make(CSPDarkNetBackbone([8, 8, 8], [1, 1, 1], include_rescaling=True), 3, **arguments)
        for make in (kind, DISTILLED[kind])
    )
    teacher.save_to_preset(tmp_path)
    student.teacher = Teacher(tmp_path, weight=100.0, temperature=1.0)
    task = "classification" if kind is ImageClassifier else "detection"
    loaded = LoadedTeacher(student.teacher, task, ("a", "b", "c"))
    if kind is ImageClassifier:
        targets = loaded.targets(images, np.eye(3, dtype="float32")[:2])
        targets["teacher_logits"] = targets["teacher_logits"] + 10 * np.eye(3, dtype="float32")[1:]
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        student.compile("adam", loss, metrics=["accuracy"])
    else:
        targets = {"boxes": np.zeros((2, 1, 4), "float32"), "classes": np.full((2, 1), -1)}
        targets = loaded.targets(images, targets)
        targets["teacher_objectness"] = targets["teacher_objectness"] + 6
        student.compile("adam")
    student.optimizer.learning_rate = 0.01
    losses = []
    for _ in range(6):
        student.reset_metrics()
        weights = np.ones(2, "float32")
        metrics = student.train_on_batch(images, targets, weights, return_dict=True)
        losses.append(float(metrics["loss"]))
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
    assert ("accuracy" in metrics) == (kind is ImageClassifier)
    assert isinstance(student, kind)
    assert ops.shape(student(images)["boxes"] if kind is YOLOXDetector else student(images))
