"""The exponential moving average of the weights."""

import numpy as np

from cspdarknet.models import ImageClassifier
from cspdarknet.train.ema import ExponentialMovingAverage
from support import to_numpy


def test_it_follows_all_weights(tiny_net):
    model = ImageClassifier(tiny_net, 3, activation=None)
    ema = ExponentialMovingAverage(model, decay=0.5)
    expected = [v.copy() for v in model.get_weights()]
    for step in range(1, 4):
        for variable in model.weights:
            variable.assign(to_numpy(variable) + step)
        decay = min(0.5, (1 + step) / (10 + step))
        current = model.get_weights()
        expected = [decay * e + (1 - decay) * c for e, c in zip(expected, current, strict=True)]
        ema.update()
    assert ema.updates == 3
    assert any("moving_variance" in v.path for v in model.weights)
    for value, reference in zip(ema.values, expected, strict=True):
        assert not getattr(value, "requires_grad", False)  # PyTorch would keep all updates
        np.testing.assert_allclose(to_numpy(value), reference, rtol=1e-5, atol=1e-6)
