"""Properties that hold for every architecture and every image size."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.models import CSPDarkNetBackbone
from support import randomize, relative_error, to_numpy

stages = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(2, 9), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)
options = st.fixed_dictionaries(
    {
        "include_rescaling": st.booleans(),
        "use_depthwise": st.booleans(),
        "padding": st.sampled_from(["same", "symmetric"]),
    }
)


def parameters(channels, depth, use_depthwise, bands):
    """Count the parameters from the paper's description: 4 for each batch-norm channel."""

    def conv(size, before, after):
        return size * size * before * after + 4 * after

    def spatial(before, after):
        if use_depthwise:
            return 9 * before + 4 * before + conv(1, before, after)
        return conv(3, before, after)

    total = conv(3, 4 * bands, channels[0] // 2)
    before = channels[0] // 2
    for i, (after, bottlenecks) in enumerate(zip(channels, depth, strict=True)):
        half = after // 2
        total += spatial(before, after)
        if i == len(channels) - 1:
            total += conv(1, after, half) + conv(1, 4 * half, after)
        total += 2 * conv(1, after, half) + conv(1, 2 * half, after)
        total += bottlenecks * (conv(1, half, half) + spatial(half, half))
        before = after
    return total


@pytest.mark.one_backend
@settings(max_examples=12)
@given(
    stages,
    options,
    st.integers(1, 5),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.integers(0, 2),
)
def test_any_architecture_on_any_size(architecture, kwargs, bands, size, batch):
    channels, depth = architecture
    model = CSPDarkNetBackbone(channels, depth, **kwargs, input_shape=(None, None, bands))
    assert model.count_params() == parameters(channels, depth, kwargs["use_depthwise"], bands)
    x = np.random.default_rng(0).uniform(0, 255, (batch, *size, bands))
    features = model.feature_pyramid(list(model.pyramid_level_inputs))(x)
    for level, value in features.items():
        stride = model.feature_strides[level]
        expected = [-(-pixels // stride) for pixels in size]
        assert tuple(value.shape) == (batch, *expected, model.feature_channels[level])
        assert np.isfinite(to_numpy(value)).all()
    config = model.get_config()
    assert CSPDarkNetBackbone.from_config(config).get_config() == config


@pytest.mark.one_backend
@settings(max_examples=6)
@given(st.integers(1, 3), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_images_of_a_batch_do_not_see_each_other(batch, steps):
    model = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True))
    x = np.random.default_rng(1).uniform(0, 255, (batch, 8 * steps[0], 8 * steps[1], 3))
    together = to_numpy(model(x))
    for i in range(batch):
        assert relative_error(model(x[i : i + 1]), together[i : i + 1]) <= 1e-5


@settings(max_examples=6)
@given(st.integers(1, 12), st.integers(1, 12))
def test_paddings_agree_where_every_size_is_odd(height, width):
    # 8n + 1 pixels stay odd under every halving; there both rules pad one pixel on each side.
    x = np.random.default_rng(2).uniform(0, 255, (1, 2 * (8 * height) + 1, 2 * (8 * width) + 1, 3))
    same = randomize(CSPDarkNetBackbone([4, 6], [1, 1], True))
    symmetric = CSPDarkNetBackbone([4, 6], [1, 1], True, padding="symmetric")
    symmetric.set_weights(same.get_weights())
    assert relative_error(symmetric(x), to_numpy(same(x))) <= 1e-5


def test_paddings_differ_on_even_sizes():
    x = np.random.default_rng(2).uniform(0, 255, (1, 32, 32, 3))
    same = randomize(CSPDarkNetBackbone([4, 6], [1, 1], True))
    symmetric = CSPDarkNetBackbone([4, 6], [1, 1], True, padding="symmetric")
    symmetric.set_weights(same.get_weights())
    assert relative_error(symmetric(x), to_numpy(same(x))) > 1e-2


def test_the_deepest_level_sees_the_last_pixel():
    model = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=False))
    x = keras.ops.zeros((1, 48, 48, 3))
    changed = np.zeros((1, 48, 48, 3))
    changed[0, -1, -1] = 100
    before, after = to_numpy(model(x)), to_numpy(model(changed))
    assert (before[0, -1, -1] != after[0, -1, -1]).any()
