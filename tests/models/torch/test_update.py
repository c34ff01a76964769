"""Steps by PyTorch's fused kernels are those of the Keras optimizers."""

import keras
import numpy as np
import pytest

from cspdarknet.train.optimizer import LayerwiseAdamW, LayerwiseSGD

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's kernels"),
]

SHAPES = ((3, 3, 4, 8), (8,), (5, 2))
FACTORS = (0.25, 1.0, 0.5)
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.02, 1, 0.8)
OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(SCHEDULE, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(SCHEDULE, momentum=0.9, nesterov=True),
    "decayed": lambda: keras.optimizers.SGD(SCHEDULE, momentum=0.9, weight_decay=0.1),
    "adam": lambda: keras.optimizers.Adam(SCHEDULE, epsilon=1e-3),
    "amsgrad": lambda: keras.optimizers.Adam(SCHEDULE, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(SCHEDULE, weight_decay=0.2),
    "clipped": lambda: keras.optimizers.AdamW(SCHEDULE, global_clipnorm=2.0),
    "clipped one by one": lambda: keras.optimizers.Adam(SCHEDULE, clipnorm=1.0),
    "accumulated": lambda: keras.optimizers.AdamW(SCHEDULE, gradient_accumulation_steps=2),
    "layerwise adamw": lambda: LayerwiseAdamW(SCHEDULE, weight_decay=0.2, global_clipnorm=2.0),
    "layerwise sgd": lambda: LayerwiseSGD(SCHEDULE, momentum=0.9, nesterov=True),
}
# Those that Keras has to do.
OTHERS = {
    "plain sgd": lambda: keras.optimizers.SGD(SCHEDULE),
    "moving average": lambda: keras.optimizers.Adam(SCHEDULE, use_ema=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(SCHEDULE),
}


@pytest.fixture
def kernels(monkeypatch):
    """The names of the fused kernels that were called."""
    called = []

    def record(name):
        kernel = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, **k: (called.append(name), kernel(*a, **k)))

    record("_fused_sgd_")
    record("_fused_adam_")
    return called


def variables():
    """Variables, of which the first lies in memory as convolutions want it."""
    from cspdarknet.models.torch.layout import arrange_kernel

    rng = np.random.default_rng(0)
    made = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in SHAPES]
    arrange_kernel(made[0], (3, 0, 1, 2))
    return made


def steps(optimizer, apply, count=5):
    """Return variables and state of the optimizer after some steps."""
    rng, own = np.random.default_rng(1), variables()
    if isinstance(optimizer, (LayerwiseAdamW, LayerwiseSGD)):
        optimizer.factors = FACTORS
    optimizer.exclude_from_weight_decay([own[1]])
    for _ in range(count):
        gradients = [torch.tensor(rng.normal(size=s), dtype=torch.float32) for s in SHAPES]
        with torch.no_grad():
            apply(optimizer, gradients, own)
    return [np.array(v.numpy()) for v in (*own, *optimizer.variables)]


@pytest.mark.parametrize("name", [*OPTIMIZERS, *OTHERS])
def test_variables_and_state_are_those_of_keras(name, kernels):
    from cspdarknet.models.torch.update import apply_gradients

    make = {**OPTIMIZERS, **OTHERS}[name]
    expected = steps(make(), lambda optimizer, *args: optimizer.apply(*args))
    assert not kernels
    actual = steps(make(), apply_gradients)
    assert bool(kernels) == (name in OPTIMIZERS)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_missing_gradients_and_constraints_are_left_to_keras(kernels):
    from cspdarknet.models.torch.update import apply_gradients

    own = variables()
    before = [v.numpy().copy() for v in own]
    own[2].constraint = keras.constraints.NonNeg()
    with torch.no_grad():
        gradients = [None, *(torch.ones(s) for s in SHAPES[1:])]
        apply_gradients(keras.optimizers.AdamW(0.1), gradients, own)
    assert not kernels
    np.testing.assert_array_equal(own[0].numpy(), before[0])
    assert (own[1].numpy() < before[1]).all()
    assert (own[2].numpy() >= 0).all()


def test_an_optimizer_of_the_user_is_left_alone(kernels):
    from cspdarknet.models.torch.update import apply_gradients

    class Backwards(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign(variable + learning_rate * gradient)

    own = variables()
    before = own[1].numpy().copy()
    with torch.no_grad():
        gradients = [torch.ones(shape) for shape in SHAPES]
        apply_gradients(Backwards(0.5, momentum=0.9), gradients, own)
    assert not kernels
    np.testing.assert_allclose(own[1].numpy(), before + 0.5, rtol=1e-6)
