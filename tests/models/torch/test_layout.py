"""Variables lie in memory as PyTorch's kernels read them."""

import keras
import numpy as np
import pytest

from cspdarknet.models import ImageClassifier

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's memory"),
]


def test_kernels_gradients_and_moments_lie_alike_and_saved_files_are_the_same(tmp_path, tiny_net):
    classifier = ImageClassifier(tiny_net, 3, activation=None)
    before = [np.array(weight) for weight in classifier.get_weights()]
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    classifier.predict_on_batch(x)
    kernels = [v for v in classifier.trainable_variables if len(v.shape) == 4]
    # The outputs are outermost, the inputs innermost.
    assert all(k.value.permute(3, 0, 1, 2).is_contiguous() for k in kernels)
    for weight, old in zip(classifier.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    classifier.save_weights(tmp_path / "model.weights.h5")
    classifier.set_weights([np.zeros_like(weight) for weight in before])
    classifier.load_weights(tmp_path / "model.weights.h5")
    for weight, old in zip(classifier.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.AdamW(1e-3), loss)
    classifier.train_on_batch(x, np.array([0, 2]))
    by_path = {v.path.split("/", 1)[-1]: v for v in classifier.optimizer.variables}
    for kernel in kernels:
        assert kernel.value.grad.stride() == kernel.value.stride()
        name = kernel.path.replace("/", "_")
        moments = [v for path, v in by_path.items() if path.startswith(name)]
        assert len(moments) == 2
        assert all(moment.value.stride() == kernel.value.stride() for moment in moments)
