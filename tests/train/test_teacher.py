"""Trainings with a teacher, and teachers that do not fit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.train import Phase, Teacher
from cspdarknet.train.loop import Training
from cspdarknet.train.teacher import LoadedTeacher, as_teacher
from image_datasets import BOXED_COLORS, COLORS
from support import randomize
from training_runs import assert_same_run

pytestmark = pytest.mark.one_backend
NAMES = tuple(BOXED_COLORS)


def backbone(**arguments):
    return CSPDarkNetBackbone([8, 8, 8], [1, 1, 1], include_rescaling=True, **arguments)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    model = randomize(YOLOXDetector(backbone(), 2, class_names=NAMES, image_size=64))
    model.save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    randomize(ImageClassifier(backbone(), 3, class_names=list(COLORS))).save_to_preset(folder)
    return folder


def stop(*_):
    raise KeyboardInterrupt


def interrupted(run, out, monkeypatch, **options):
    """Train until the end of the first epoch, and then to the end."""
    original = Training._finish_epoch

    def finish_and_stop(self, row, phase):
        original(self, row, phase)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_finish_epoch", finish_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run.train(out=out, **options)
    return run.train(out=out, **options)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_a_run_with_a_teacher_continues(task, request, tmp_path, monkeypatch):
    run = request.getfixturevalue(f"{task}_run")
    teacher = Teacher(request.getfixturevalue("detector" if task == "detection" else "classifier"))
    recipe = replace(run.recipe, phases=(Phase(2, run.recipe.phases[0].image_size),))
    if task == "detection":
        augmentation = replace(run.recipe.augmentation, copy_paste=0.5)
        recipe = replace(recipe, augmentation=augmentation, repeat_threshold=0.9)
    options = {"teacher": teacher, "recipe": recipe}
    history = run.train(out=tmp_path / "whole", **options)
    assert history[0]["loss"] > run.history[0]["loss"]
    interrupted(run, tmp_path / "stopped", monkeypatch, **options)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
    settings = json.loads((tmp_path / "whole" / "run.json").read_text())["teacher"]
    assert settings["model"] == str(teacher.model)
    with pytest.raises(ValueError, match="other settings: teacher"):
        run.train(out=tmp_path / "whole", **{**options, "teacher": None})


def test_a_teacher_that_has_changed_does_not_continue_a_run(detection_run, tmp_path, monkeypatch):
    model = YOLOXDetector(backbone(), 2, class_names=NAMES, image_size=64)
    model.save_to_preset(tmp_path / "teacher")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "fit", stop)  # after the settings are written
        with pytest.raises(KeyboardInterrupt):
            detection_run.train(out=tmp_path / "run", teacher=tmp_path / "teacher")
    randomize(model).save_to_preset(tmp_path / "teacher")
    with pytest.raises(ValueError, match="sha256"):
        detection_run.train(out=tmp_path / "run", teacher=tmp_path / "teacher")


def test_the_teacher_sees_the_images_of_the_batch(detector):
    teacher = LoadedTeacher(Teacher(detector), "detection", NAMES)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")
    found = teacher.targets(images, {"boxes": 1, "classes": 2})
    expected = YOLOXDetector.from_preset(detector).predict_on_batch(images)
    assert set(found) == {"boxes", "classes", *(f"teacher_{name}" for name in expected)}
    np.testing.assert_allclose(found["teacher_boxes"], expected["boxes"], atol=1e-5)


def test_a_teacher_of_channels_first(detector, tmp_path):
    pytest.importorskip("torch")
    model = YOLOXDetector(backbone(data_format="channels_first"), 2, image_size=64)
    model.set_weights(YOLOXDetector.from_preset(detector).get_weights())
    model.save_to_preset(tmp_path / "teacher")
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    first, last = (
        LoadedTeacher(Teacher(path), "detection", NAMES).targets(images, {})
        for path in (tmp_path / "teacher", detector)
    )
    np.testing.assert_allclose(first["teacher_classes"], last["teacher_classes"], atol=1e-4)


def test_the_outputs_of_a_classifier_are_logits(classifier):
    teacher = LoadedTeacher(Teacher(classifier), "classification", tuple(COLORS))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    logits = teacher.targets(images, np.eye(3)[:2])["teacher_logits"]
    powers = np.exp(logits)
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True),
        ImageClassifier.from_preset(classifier).predict_on_batch(images),
        atol=1e-5,
    )


def test_teachers_that_do_not_fit(detector, detection_run, tmp_path):
    for names in (NAMES[::-1], ("a", "b", "c")):
        with pytest.raises(ValueError, match="must have the classes of the dataset"):
            LoadedTeacher(Teacher(detector), "detection", names)
    YOLOXDetector(backbone(), 3, image_size=64).save_to_preset(tmp_path / "three")
    with pytest.raises(ValueError, match="3 classes without names: train the teacher"):
        detection_run.train(out=tmp_path / "run", teacher=tmp_path / "three")
    assert not (tmp_path / "run" / "run.json").exists()
    with pytest.raises(ValueError, match="no-such"):
        detection_run.train(out=tmp_path / "run", teacher="no-such")
    deep = CSPDarkNetBackbone([8, 8, 8, 8], [1, 1, 1, 1], include_rescaling=True)
    YOLOXDetector(deep, 2, image_size=64).save_to_preset(tmp_path / "deep")
    teacher = LoadedTeacher(Teacher(tmp_path / "deep"), "detection", NAMES)
    with pytest.raises(ValueError, match="must have the `strides`"):
        teacher.check_fits(YOLOXDetector(backbone(), 2, image_size=64))


def test_the_labels_are_those_of_the_teacher(tmp_path):
    ImageClassifier(backbone(), 2, class_names=NAMES, labels="multi").save_to_preset(tmp_path / "m")
    teacher = LoadedTeacher(Teacher(tmp_path / "m"), "classification", NAMES)
    teacher.check_fits(ImageClassifier(backbone(), 2, labels="multi"))
    with pytest.raises(ValueError, match="must have the `labels` of the model that is trained"):
        teacher.check_fits(ImageClassifier(backbone(), 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": 0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"temperature": -1}, "temperature"),
        ({"model": 5}, "a name or path"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        Teacher(**{"model": "a", **arguments})


def test_the_argument_teacher():
    assert as_teacher(None) is None
    assert as_teacher("a") == Teacher("a") == as_teacher(Teacher("a"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--teacher-weight", "2"], "need `--teacher`"),
        (["--teacher", "a", "--temperature", "2"], "`--temperature` is for"),
        (["--teacher", "a", "--batch-size", "auto"], "automatic batch size"),
        (["--copy-paste", "2"], "copy_paste"),
        (["--shift", "-1"], "shift"),
        (["--repeat-threshold", "2"], "repeat_threshold"),
    ],
)
def test_bad_options_of_the_command(detection_run, tmp_path, arguments, message):
    command = ["train", str(detection_run.data), "--out", str(tmp_path / "run"), *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert message in str(result.exception) + result.output
