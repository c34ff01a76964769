"""Steps that PyTorch compiles: when, and for which shapes."""

import keras
import numpy as np
import pytest

from cspdarknet.models import ImageClassifier, YOLOXDetector

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="a compiler of PyTorch"),
]

IMAGES = np.zeros((3, 32, 32, 3), "float32")


@pytest.fixture
def compilations(monkeypatch):
    """The arguments of each call of `torch.compile`, which leaves the step as it is."""
    import torch

    calls = []
    monkeypatch.setattr(torch, "compile", lambda step, **options: calls.append(options) or step)
    return calls


@pytest.fixture
def classifier(tiny_net):
    return ImageClassifier(tiny_net, 2)


def test_each_step_is_compiled_for_fixed_shapes(classifier, compilations):
    classifier.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    for _ in range(2):
        classifier.fit(IMAGES, np.zeros(3), batch_size=2, verbose=0)
        classifier.evaluate(IMAGES, np.zeros(3), batch_size=2, verbose=0)
        classifier.predict(IMAGES, batch_size=2, verbose=0)
    assert compilations == [{"dynamic": False}] * 3
    assert classifier.jit_compile is True


def test_steps_are_not_compiled_by_default(classifier, compilations):
    classifier.compile("sgd", "sparse_categorical_crossentropy")
    classifier.fit(IMAGES, np.zeros(3), verbose=0)
    assert compilations == []


def test_a_detector_is_compiled_again_when_its_loss_changes(small, compilations):
    detector = YOLOXDetector(small, 1, image_size=32)
    detector.compile("sgd", jit_compile=True)
    targets = {"boxes": np.array([[[4, 4, 20, 20]]] * 3), "classes": np.zeros((3, 1))}
    for l1_loss in (False, True):
        detector.l1_loss = l1_loss
        detector.fit(IMAGES, targets, verbose=0)
    assert compilations == [{"dynamic": False}] * 2


@pytest.mark.parametrize(
    "words", ["No working C++ compiler found in x", "Failed to find C compiler"]
)
def test_a_missing_compiler_is_named(classifier, monkeypatch, words):
    import torch

    def fail(data):
        raise RuntimeError(words)

    monkeypatch.setattr(torch, "compile", lambda step, **options: fail)
    classifier.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    with pytest.raises(ValueError, match=r"C\+\+ compiler on PyTorch.*install g\+\+"):
        classifier.fit(IMAGES, np.zeros(3), verbose=0)
    words = "another error"
    with pytest.raises(RuntimeError, match=words):
        classifier.fit(IMAGES, np.zeros(3), verbose=0)
