"""PyTorch's functions compute what the layers of the Keras model compute."""

import weakref

import keras
import numpy as np
import pytest

from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.inference.keras_runtime import KerasRuntime
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's functions"),
]


TOLERANCE = 1e-9


@pytest.fixture(autouse=True)
def _float64_batch_normalization(monkeypatch):
    """Let the layers normalize in float64, too; Keras does it in float32 whatever the dtype."""
    module = "keras.src.layers.normalization.batch_normalization.backend"
    monkeypatch.setattr(f"{module}.result_type", lambda dtype, _: dtype)


def small_backbone(**options):
    return CSPDarkNetBackbone([8, 16, 24], [1, 2, 1], include_rescaling=True, **options)


def layer_by_layer(model):
    """A plain Keras model of the same layers, which Keras runs one by one."""
    plain = keras.Model(model.input, model.output)
    plain.dtype_policy = model.dtype_policy
    return plain


def randomize(model):
    rng = np.random.default_rng(3)
    for variable in model.weights:
        scale = 0.2 if len(variable.shape) > 1 else 1.0
        variable.assign(scale * rng.uniform(0.1, 1.0, variable.shape) * rng.choice([-1, 1]))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance.numpy()))


def images(size=(37, 50), data_format="channels_last", dtype="float32"):
    x = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype(dtype)
    return x.transpose(0, 3, 1, 2).copy() if data_format == "channels_first" else x


def train_once(model, x):
    """Return outputs, gradients and statistics of one training call, and undo the latter."""
    before = model.get_weights()
    model.zero_grad()
    outputs = keras.tree.flatten(model(x, training=True))
    sum((output * torch.cos(output.detach())).sum() for output in outputs).backward()
    gradients = [v.value.grad.numpy() for v in model.trainable_variables]
    results = [output.detach().double().numpy() for output in outputs]
    statistics = [v.numpy() for v in model.non_trainable_variables]
    model.set_weights(before)
    return results, gradients, statistics


def assert_close(actual, expected, tolerance):
    for one, other in zip(actual, expected, strict=True):
        assert np.abs(one - other).max() <= tolerance * max(np.abs(other).max(), 1e-3)


@pytest.mark.parametrize("use_depthwise", [False, True])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_backbone_in_float64(data_format, padding, use_depthwise):
    model = small_backbone(
        dtype="float64", data_format=data_format, padding=padding, use_depthwise=use_depthwise
    )
    randomize(model)
    plain, x = layer_by_layer(model), images(data_format=data_format, dtype="float64")
    assert_close([model(x).detach().numpy()], [plain(x).detach().numpy()], TOLERANCE)
    for ours, layers in zip(train_once(model, x), train_once(plain, x), strict=True):
        assert_close(ours, layers, TOLERANCE)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_models_with_a_head(task):
    backbone = small_backbone(dtype="float64", padding="symmetric")
    if task == "classification":
        model = ImageClassifier(backbone, 3)
    else:
        model = YOLOXDetector(backbone, 3, image_size=64)
    randomize(model)
    plain, x = layer_by_layer(model), images((64, 64), dtype="float64")
    for ours, layers in zip(train_once(model, x), train_once(plain, x), strict=True):
        assert_close(ours, layers, TOLERANCE)
    assert keras.tree.map_structure(type, model(x)) == keras.tree.map_structure(type, plain(x))


def test_half_precision_stays_within_its_rounding():
    model = small_backbone(dtype="mixed_bfloat16")
    exact = small_backbone()
    exact.set_weights(model.get_weights())
    x = images()
    outputs, gradients, statistics = train_once(model, x)
    expected, _, expected_statistics = train_once(exact, x)
    assert_close(outputs, expected, 0.1)
    assert_close(statistics, expected_statistics, 0.1)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_frozen_layers_keep_their_statistics():
    model = small_backbone(dtype="float64")
    randomize(model)
    model.freeze("P2")
    plain, x = layer_by_layer(model), images(dtype="float64")
    for ours, layers in zip(train_once(model, x), train_once(plain, x), strict=True):
        assert_close(ours, layers, TOLERANCE)
    before = model.get_layer("stem_conv_bn").moving_mean.numpy()
    model(x, training=True)
    assert np.array_equal(model.get_layer("stem_conv_bn").moving_mean.numpy(), before)


def test_hooks_see_the_layer_in_the_format_of_the_model():
    model, seen = small_backbone(), []
    handle = model.get_layer("dark3_conv_conv").register_forward_hook(
        lambda layer, inputs, output: seen.append(tuple(output.shape))
    )
    x = images((32, 32))
    expected = layer_by_layer(model)(x).detach().numpy()
    seen.clear()
    assert_close([model(x).detach().numpy()], [expected], 1e-5)
    assert seen == [(2, 4, 4, 16)]
    handle.remove()


def test_changed_layers_run_themselves():
    model, x = small_backbone(), images((32, 32))
    layer = model.get_layer("dark3_csp_conv3_conv")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    expected = layer_by_layer(model)(x).detach().numpy()
    assert_close([model(x).detach().numpy()], [expected], 1e-5)


def test_other_layers_in_front_of_the_backbone():
    inputs = keras.Input((40, 40, 3))
    flipped = keras.layers.RandomFlip(seed=0)(keras.layers.Cropping2D(4)(inputs))
    model, x = small_backbone(input_tensor=flipped), images((40, 40))
    expected = layer_by_layer(model)(x, training=False).detach().numpy()
    assert_close([model(x, training=False).detach().numpy()], [expected], 1e-5)


def test_a_call_without_state_leaves_the_model_alone():
    model, x = small_backbone(), images((32, 32))
    before = model.get_weights()
    values = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    _, updated = model.stateless_call(values, fixed, x, training=True)
    moved = [np.array(keras.ops.convert_to_numpy(value)) for value in updated]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert any(
        not np.array_equal(new, keras.ops.convert_to_numpy(old))
        for new, old in zip(moved, fixed, strict=True)
    )


def test_feature_maps_are_freed_after_their_last_use(monkeypatch):
    from cspdarknet.models.torch import functions

    made, alive = [], []

    def convolution(call, inputs):
        output = functions.convolution(call, inputs)
        alive.append(sum(reference() is not None for reference in made))
        made.append(weakref.ref(output))
        return output

    monkeypatch.setitem(functions.FUNCTIONS, keras.layers.Conv2D, convolution)
    with torch.no_grad():
        small_backbone()(images((32, 32)))
    assert len(made) > 15
    assert max(alive) <= 1  # two convolutions of a CSP stage take the same input


def test_a_model_without_trainable_weights_is_evaluated_with_a_warning():
    model = ImageClassifier(small_backbone(), 3, activation=None)
    model.trainable = False
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    with pytest.warns(UserWarning, match="no trainable weights"):
        model.train_on_batch(images((32, 32)), np.array([0, 1]))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_feature_pyramid_runs_as_its_backbone_does(data_format, monkeypatch):
    model = small_backbone(dtype="float64", data_format=data_format)
    randomize(model)
    pyramid, x = model.feature_pyramid(["P2", "P4"]), images(data_format=data_format)
    expected = [y.detach().numpy() for y in layer_by_layer(pyramid)(x).values()]
    # Layers that have a function do not run.
    monkeypatch.setattr(keras.layers.Conv2D, "call", None)
    outputs = pyramid.predict_on_batch(x)
    assert list(outputs) == ["P2", "P4"]
    assert_close(outputs.values(), expected, TOLERANCE)
    assert type(pyramid) is type(layer_by_layer(pyramid))


def test_the_float32_graph_of_a_model_in_half_precision(monkeypatch):
    model = small_backbone(dtype="mixed_bfloat16")
    graph, _ = inference_graph(model)
    x = images((32, 32), dtype="uint8")
    expected = graph.predict_on_batch(x)
    runtime = KerasRuntime(model)
    monkeypatch.setattr(keras.layers.Conv2D, "call", None)
    outputs = runtime.run(x)
    assert_close([outputs["features"]], [expected["features"]], 1e-5)
