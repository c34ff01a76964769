"""The history of a training that the tests of reports share."""

import pytest


@pytest.fixture
def history():
    """Four epochs of a detector in two phases; the first is not evaluated, the third is best."""
    return [
        {
            **{"epoch": i, "phase": 1 + (i > 2), "train": "all", "image_size": 64, "best": i == 3},
            **{
                "learning_rate": 1e-3 / i,
                "loss": 3 / i,
                "box_loss": 2 / i,
                "objectness_loss": 1 / i,
            },
            **{"class_loss": 0.1, "val_map": None if i == 1 else i / 10, "val_map50": i / 8},
        }
        for i in range(1, 5)
    ]
