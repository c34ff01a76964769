"""The largest batch that fits into memory: measured, extrapolated, tried, stored and continued."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from cspdarknet.train import (
    BatchSize,
    ClassificationRecipe,
    Phase,
    batch_size,
    customize,
    fit_batch_size,
    step_memory,
    trainer,
)
from cspdarknet.train.batch_size import same_step
from cspdarknet.train.step_memory import largest_by_memory, largest_by_trial

pytestmark = pytest.mark.one_backend

RECIPE = ClassificationRecipe((Phase(1, 32),), batch_size=24, accumulate=2)
MB = 1_000_000


def linear(base, slope):
    """Memory that grows with the batch; the batch sizes that were measured are in `sizes`."""

    def measure(size):
        measure.sizes.append(size)
        return (base + slope * size) * MB

    measure.sizes = []
    return measure


# Processors.


@pytest.mark.parametrize(("free", "expected"), [(10_000, 64), (3400, 32), (3299, 16), (400, 0)])
def test_memory_is_extrapolated_from_small_batches(free, expected):
    measure = linear(400, 80)
    answer = largest_by_memory(
        measure, [1, 2, 4, 8, 16, 32, 64], 1, free * MB, fixed=20 * MB, per_image=10 * MB
    )
    assert answer["images"] == expected
    assert answer["needed"] == (420 + 90 * (expected or 1)) * MB
    assert max(measure.sizes) <= 4


def test_batches_grow_until_their_memory_is_visible():
    measure = linear(400, 1)
    assert largest_by_memory(measure, [1, 512], 1, 2000 * MB)["images"] == 512
    assert measure.sizes == [1, 2, 4, 8, 16, 32, 64, 128]


def test_no_batch_is_measured_that_may_not_fit():
    measure = linear(400, 90)
    assert largest_by_memory(measure, [1, 2], 1, 600 * MB)["images"] == 1
    assert measure.sizes == [1]


def test_each_device_has_a_process():
    measure = linear(1000, 100)
    answer = largest_by_memory(measure, [2, 4, 8, 32], 2, 4500 * MB)
    assert (answer["images"], answer["needed"]) == (8, 2800 * MB)


# GPUs.


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of 100 bytes; steps on it need 10 for each image."""
    peak = [0]

    def run(size):
        if 10 * size > 100:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        peak[0] = 10 * size

    monkeypatch.setattr(step_memory, "gpu_memory", lambda: (peak[0], 100))
    monkeypatch.setattr(step_memory, "release_gpu_memory", lambda: peak.__setitem__(0, 0))
    return run


def test_steps_are_tried_from_the_largest_batch_down(gpu):
    assert largest_by_trial(gpu, [1, 2, 4, 8, 16], 1) == {"images": 8, "needed": 80, "free": 100}
    assert largest_by_trial(gpu, [2, 8, 16, 32], 2)["images"] == 16
    assert largest_by_trial(gpu, [1, 5, 10], 1)["images"] == 5  # some memory stays free
    assert largest_by_trial(gpu, [11, 12], 1)["images"] == 0


def test_other_errors_of_a_step_are_not_about_memory():
    def run(_):
        raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match="wrong shape"):
        largest_by_trial(run, [1], 1)


# Recipes.


@pytest.fixture
def found(monkeypatch):
    """Answers that 6 images fit, and keeps the questions."""
    questions = []

    def measured(question):
        questions.append(question)
        fitting = [size for size in question["sizes"] if size <= 7]
        return BatchSize(max(fitting, default=0), 10**9, 2 * 10**9)

    monkeypatch.setattr(batch_size, "_measured", measured)
    return questions


def test_the_images_of_an_optimizer_step_stay(found):
    recipe, result = fit_batch_size(RECIPE, "model", 3)
    assert (recipe.batch_size, recipe.accumulate) == (6, 8)
    assert dataclasses.replace(recipe, batch_size=24, accumulate=2) == RECIPE
    assert str(result) == "batch size 6: needs 1.0 GB of 2.0 GB of free memory"
    assert found[0]["sizes"] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 48]


def test_batches_are_divided_among_devices(found):
    recipe, _ = fit_batch_size(RECIPE, "model", 3, devices=4)
    assert (recipe.batch_size, found[0]["sizes"]) == (4, [4, 8, 12, 16, 24, 48])
    with pytest.raises(ValueError, match="must be a multiple of 5, the number of devices"):
        fit_batch_size(RECIPE, "model", 3, devices=5)


def test_a_memory_too_small_for_one_image(found):
    with pytest.raises(ValueError, match="not suffice for one image of 32 x 32 pixels"):
        fit_batch_size(RECIPE, "model", 3, devices=8)


def test_the_batch_of_a_run_that_is_continued():
    stored = {"recipe": {"batch_size": 12, "accumulate": 4}}
    assert same_step(RECIPE, stored) == customize(RECIPE, batch_size=12, accumulate=4)
    other = {"recipe": {"batch_size": 12, "accumulate": 2}}
    for settings in (other, {}, {"recipe": {"batch_size": "a", "accumulate": 4}}, [], None):
        assert same_step(RECIPE, settings) == RECIPE


# Trainings.


@pytest.mark.slow
def test_steps_are_measured_in_another_process(detection_run):
    recipe = customize(detection_run.recipe, batch_size=1)  # no larger batches to try
    fitted, found = fit_batch_size(recipe, detection_run.preset, 2)
    assert fitted == recipe
    assert 10**6 < found.needed < found.free


def test_a_step_that_fails_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(batch_size, "PROGRAM", """print('noise\\n{"error": "no such model"}')""")
    message = "training step fails: no such model. Give the batch size as a number."
    with pytest.raises(ValueError, match=message):
        fit_batch_size(RECIPE, "no_such_model", 3)


def test_an_error_of_a_step_is_the_answer(monkeypatch, capsys):
    question = {"task": "classification", "recipe": RECIPE.to_json(), "model": "no_such_model"}
    question |= {"sizes": [1], "devices": 1, "free": 1, "load_weights": None, "num_classes": 3}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(question)))
    step_memory.main()
    assert "no_such_model" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_a_process_that_is_killed(monkeypatch):
    monkeypatch.setattr(batch_size, "PROGRAM", "os.kill(os.getpid(), 9)")
    with pytest.raises(ValueError, match="training step fails: status -9"):
        fit_batch_size(RECIPE, "model", 3)


def test_a_run_keeps_the_batch_that_it_began_with(classification_run, tmp_path, monkeypatch):
    def fit(recipe, model, num_classes, *_):
        found.append((model, num_classes))
        return customize(recipe, batch_size=2, accumulate=3), BatchSize(2, 10**9, 2 * 10**9)

    found, output = [], io.StringIO()
    monkeypatch.setattr(trainer, "fit_batch_size", fit)
    options = {"auto_batch_size": True, "console": Console(file=output, width=200)}
    history = classification_run.train(out=tmp_path / "run", **options)
    recipe = json.loads((tmp_path / "run/run.json").read_text())["recipe"]
    assert (recipe["batch_size"], recipe["accumulate"]) == (2, 3)
    assert found == [(classification_run.preset, 3)]
    lines = output.getvalue().splitlines()
    assert lines[0] == "batch size 2: needs 1.0 GB of 2.0 GB of free memory"
    assert lines[4].endswith("; batch size 2, gradients of 3 batches")
    assert classification_run.train(out=tmp_path / "run", **options) == history
    assert len(found) == 1
    with pytest.raises(ValueError, match="batch size 2 → 6, accumulate 3 → 1"):
        classification_run.train(out=tmp_path / "run")
    other = customize(classification_run.recipe, batch_size=5)
    with pytest.raises(ValueError, match="batch size 2 → 5"):
        classification_run.train(out=tmp_path / "run", recipe=other, **options)


@pytest.mark.parametrize("run", ["classification_run", "detection_run"])
def test_a_disk_cache_does_not_change_a_training(run, request, tmp_path):
    run = request.getfixturevalue(run)
    run.train(out=tmp_path / "run", image_cache=tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.rgb"))
    expected, found = run.weights(), run.weights(out=tmp_path / "run")
    assert all((array == found[name]).all() for name, array in expected.items())


def test_a_cache_inside_the_dataset_is_refused(classification_run, tmp_path):
    with pytest.raises(ValueError, match="is inside the dataset"):
        classification_run.train(out=tmp_path / "run", image_cache=classification_run.data / "c")
    assert not (classification_run.data / "c").exists()
