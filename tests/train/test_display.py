"""Progress of a training on the console."""

import io

import pytest
from rich.console import Console

from cspdarknet.train.display import Display

pytestmark = pytest.mark.one_backend

ROW = {
    **{"epoch": 2, "train": "head", "image_size": 96, "images_per_second": 81.4, "best": True},
    **{"loss": 0.51239, "accuracy": 0.75, "val_loss": 0.3, "val_accuracy": 0.8},
}


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def display(console):
    return Display(console, 3, ("loss", "accuracy"), ("val_loss", "val_accuracy"))


def test_a_line_for_each_epoch(console):
    with display(console) as shown:
        shown.epoch(ROW)
    assert (
        "epoch   2/3  head  96 px  loss 0.5124  accuracy 0.7500  "
        "validation: loss 0.3000  accuracy 0.8000  81 images/s  best\n"
    ) in console.file.getvalue()


def test_an_epoch_without_an_evaluation(console):
    with display(console) as shown:
        shown.epoch({**ROW, "best": False, "val_loss": None, "val_accuracy": None})
    output = console.file.getvalue()
    assert "accuracy 0.7500    81 images/s\n" in output
    assert "validation" not in output


def test_the_bar_is_that_of_the_whole_training(console):
    with display(console) as shown:
        shown.batch(1, 1, 4, 8, {"loss": 0.5})
        (task,) = shown._progress.tasks
        assert (task.completed, task.total) == (5, 12)
        assert task.description == "epoch 2/3  loss 0.500"
        shown.batch(1, 2, 4, 8, {"loss": 0.25})
        assert "loss 0.250" in task.description
        assert task.description.endswith(" images/s")
