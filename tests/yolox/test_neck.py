"""The PAFPN neck: shapes, and what each level depends on."""

import keras
import numpy as np
import pytest

from cspdarknet.layers import BlockSettings
from cspdarknet.yolox.neck import pafpn
from support import randomize, to_numpy

pytestmark = pytest.mark.one_backend
SHAPES = ((8, 8, 4), (4, 4, 6), (2, 2, 8))


def build(depth=1, use_depthwise=False, shapes=SHAPES, count=3):
    features = {f"p{level}": keras.Input(shape) for level, shape in enumerate(shapes, start=3)}
    outputs = pafpn(features, count, depth, use_depthwise=use_depthwise, settings=BlockSettings())
    return randomize(keras.Model(list(features.values()), outputs))


@pytest.mark.parametrize("use_depthwise", [False, True])
def test_shapes_are_kept(use_depthwise):
    model = build(depth=2, use_depthwise=use_depthwise)
    assert [x.shape[1:] for x in model.outputs] == list(SHAPES)
    names = [layer.name for layer in model.layers]
    bottlenecks = [name for name in names if name.endswith("bottleneck2_conv2")]
    assert len(bottlenecks) == 4
    assert not any(isinstance(layer, keras.layers.Add) for layer in model.layers)  # no residuals
    depthwise = [x for x in model.layers if isinstance(x, keras.layers.DepthwiseConv2D)]
    assert len(depthwise) == (10 if use_depthwise else 0)  # 8 in bottlenecks, 2 downsample


def test_every_output_sees_every_level():
    model = build()
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(1, *shape)).astype("float32") for shape in SHAPES]
    expected = [to_numpy(x) for x in model(features)]
    for i in range(3):
        changed = [*features[:i], features[i] + 1, *features[i + 1 :]]
        for before, after in zip(expected, model(changed), strict=True):
            assert not np.allclose(before, to_numpy(after), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_first_levels_of_a_run_see_all_of_them(count):
    shapes = ((16, 16, 2), *SHAPES)
    model = build(shapes=shapes, count=count)
    assert [x.shape[1:] for x in model.outputs] == list(shapes[:count])
    features = [np.full((1, *shape), 0.5, "float32") for shape in shapes]

    def outputs(features):
        results = model(features)
        return list(map(to_numpy, results if isinstance(results, list) else [results]))

    for i in range(4):
        changed = [*features[:i], features[i] + 1, *features[i + 1 :]]
        for before, after in zip(outputs(features), outputs(changed), strict=True):
            assert not np.array_equal(before, after)


def test_a_single_feature_map_is_returned_as_it_is():
    features = keras.Input(SHAPES[0])
    assert pafpn({"p5": features}, 1, 1, settings=BlockSettings()) == [features]
