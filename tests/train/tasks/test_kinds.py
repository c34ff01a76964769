"""The training tasks of multi-label classifiers and of ordered classes."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from cspdarknet.data import MultiLabelDataset, MultiLabelSource
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train import ClassificationRecipe, Phase
from cspdarknet.train.focal_loss import FocalCrossentropy
from cspdarknet.train.label_losses import MultiLabelCrossentropy, OrdinalCrossentropy
from cspdarknet.train.tasks import ClassificationTask, classification_task
from cspdarknet.train.tasks.multi_label import MultiLabelTask, positive_weights
from cspdarknet.train.tasks.ordinal import OrdinalTask

pytestmark = pytest.mark.one_backend

LABELS = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0]], bool)
DATASET = MultiLabelDataset(("all", "half", "none"), (None,) * 4, LABELS)


def task(labels, **changes):
    return classification_task(ClassificationRecipe((Phase(1, 32),), labels=labels, **changes))


def test_the_task_of_each_kind():
    kinds = {"single": ClassificationTask, "multi": MultiLabelTask, "ordinal": OrdinalTask}
    for labels, kind in kinds.items():
        found = task(labels)
        assert type(found) is kind
        assert found.name == "classification"
        assert found.score in found.validation_metrics
    with pytest.raises(ValueError, match="`labels` must be one of"):
        task("many")


def test_positive_weights_balance_each_class():
    assert positive_weights(DATASET) == (
        1 / 4,
        1.0,
        3.0,
    )  # finite without images, or without others
    assert task("multi").fitted(DATASET).positive_weights is None
    balanced = task("multi", class_weights="balanced", focal_gamma=2.0).fitted(DATASET)
    loss = balanced._loss()
    assert (loss.gamma, loss.label_smoothing) == (2.0, 0.1)
    assert loss.positive_weights.tolist() == [1 / 4, 1.0, 3.0]


def test_classes_without_images_are_refused_and_rare_ones_repeated():
    multi = task("multi", repeat_threshold=0.9)
    with pytest.raises(ValueError, match="Without one: none"):
        multi.check_data(DATASET)
    many = MultiLabelDataset(DATASET.class_names, (None,) * 40, np.tile(LABELS, (10, 1)))
    source = multi.build_source(many, 1, (0, 1))
    assert type(source) is MultiLabelSource
    # The factor of the class that half of the images have is sqrt(0.9 / 0.5).
    assert 20 < source.dataset.counts[1] < 40
    assert source.dataset.counts[0] - source.dataset.counts[1] == 20


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_losses_and_the_models(gamma):
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    inner = FocalCrossentropy if gamma else keras.losses.CategoricalCrossentropy
    for labels, kind, activation in (
        ("multi", MultiLabelCrossentropy, "sigmoid"),
        ("ordinal", OrdinalCrossentropy, "softmax"),
    ):
        model = ImageClassifier(backbone, 3, activation=None, labels=labels)
        found = task(labels, focal_gamma=gamma)
        found.compile(model, "sgd")
        assert type(model.loss) is kind
        if labels == "ordinal":
            assert type(model.loss.crossentropy) is inner
        saved = found.build_saved_model(model)
        assert (saved.labels, saved.activation) == (labels, activation)


def test_scores_of_epochs():
    """mAP decides between multi-label classifiers, kappa between those of ordered classes."""
    row = task("multi").validation_row(SimpleNamespace(loss=0.5, map=None))
    assert row == {"val_loss": 0.5, "val_map": 0.0}
    evaluation = SimpleNamespace(loss=0.5, accuracy=0.75, kappa=0.25)
    row = task("ordinal").validation_row(evaluation)
    assert row == {"val_loss": 0.5, "val_accuracy": 0.75, "val_kappa": 0.25}
    assert task("ordinal").tie_break(row) == -0.5
