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


def test_a_row_for_each_epoch(console):
    with display(console) as shown:
        shown.epoch(ROW)
        shown.epoch({**ROW, "epoch": 3, "best": False, "images_per_second": 0.42})
    assert console.file.getvalue().splitlines() == [
        "epoch  layers  size    loss  accuracy  val loss  val accuracy  images/s",
        "  2/3    head    96  0.5124    0.7500    0.3000        0.8000        81  best",
        "  3/3    head    96  0.5124    0.7500    0.3000        0.8000       0.4",
    ]


def test_metrics_of_detection_without_the_terms_of_the_loss(console):
    names = ("loss", "box_loss"), ("val_map", "val_map50")
    with Display(console, 300, *names) as shown:
        shown.epoch({**ROW, "box_loss": 1.5, "val_map": None, "val_map50": None})
    assert console.file.getvalue().splitlines() == [
        "  epoch  layers  size    loss     mAP   mAP50  images/s",
        "  2/300    head    96  0.5124       –       –        81  best",
    ]


def test_rows_fit_80_columns_and_are_not_wrapped_in_narrower_ones():
    console = Console(file=io.StringIO(), width=40)
    with Display(console, 300, ("loss", "accuracy"), ("val_loss", "val_accuracy")) as shown:
        shown.epoch({**ROW, "epoch": 299, "image_size": 1024, "images_per_second": 12345})
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80


def test_the_bar_is_only_in_a_terminal_and_vanishes(console):
    def shown_in(console):
        with display(console) as shown:
            shown.batch(0, 1, 2, 8, {"loss": 0.5})
        return console.file.getvalue()

    assert shown_in(console) == ""
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    output = shown_in(terminal)
    assert "epoch 1/3  loss 0.500" in output
    assert output.endswith("\x1b[2K")  # the line is erased


def test_the_bar_is_that_of_the_whole_training(console):
    with display(console) as shown:
        shown.batch(1, 1, 4, 8, {"loss": 0.5})
        (task,) = shown._progress.tasks
        assert (task.completed, task.total) == (5, 12)
        assert task.description == "epoch 2/3  loss 0.500"
        shown.batch(1, 2, 4, 8, {"loss": 0.25})
        assert "loss 0.250" in task.description
        assert task.description.endswith(" images/s")
