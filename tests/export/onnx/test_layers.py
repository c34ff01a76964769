"""Conversion of single Keras layers to ONNX, in cases that no backbone has."""

import keras
import numpy as np
import pytest

from cspdarknet.export import build_onnx
from support import randomize, relative_error

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend
TOLERANCE = 1e-5

layers = keras.layers


def _image_model(build):
    x = keras.Input((9, 12, 4))
    return randomize(keras.Model(x, build(x)))


MODELS = {
    "valid padding": lambda x: layers.Conv2D(3, 3, padding="valid")(x),
    "dilation": lambda x: layers.Conv2D(3, 3, padding="same", dilation_rate=2)(x),
    "groups": lambda x: layers.Conv2D(4, 3, padding="same", groups=2)(x),
    "even window, stride 2": lambda x: layers.Conv2D(3, 4, 2, padding="same")(x),
    "odd window, stride 2": lambda x: layers.Conv2D(3, 3, 2, padding="same")(x),
    "depth multiplier": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
    "padding, then a padded convolution": lambda x: layers.Conv2D(3, 3, padding="same")(
        layers.ZeroPadding2D(((1, 2), (0, 3)))(x)
    ),
    "padding, then an activation": lambda x: layers.Activation("sigmoid")(
        layers.ZeroPadding2D(1)(layers.Conv2D(3, 1)(x))
    ),
    "batch normalization first": lambda x: layers.BatchNormalization()(x),
    "rescaling with offset": lambda x: layers.Rescaling(1 / 127.5, offset=-1)(x),
    "tanh, multiplied and the larger": lambda x: layers.Maximum()(
        [layers.Multiply()([x, layers.Activation("tanh")(x)]), x]
    ),
    "concatenation of two layouts": lambda x: layers.Concatenate(axis=2)(
        [layers.Conv2D(4, 1)(x), x]
    ),
    "split along columns": lambda x: layers.Concatenate()(
        keras.ops.split(layers.Conv2D(2, 1)(x), 3, axis=2)
    ),
    "average pooling": lambda x: layers.AveragePooling2D(3, 1, padding="valid")(x),
    "permute and reshape": lambda x: layers.Reshape((-1, 9))(layers.Permute((3, 2, 1))(x)),
    "global pooling with keepdims": lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x),
    "dense with softmax": lambda x: layers.Dense(3, activation="softmax")(
        layers.GlobalAveragePooling2D()(x)
    ),
    "softmax over channels": lambda x: layers.Activation("softmax")(layers.Conv2D(3, 1)(x)),
    "leaky relu of Keras's slope": lambda x: layers.Conv2D(3, 1, activation="leaky_relu")(x),
    "leaky relu, not after a convolution": lambda x: layers.LeakyReLU(negative_slope=0.3)(x),
    "leaky relu after padding": lambda x: layers.LeakyReLU(negative_slope=0.1)(
        layers.ZeroPadding2D(1)(layers.Conv2D(3, 1)(x))
    ),
    "relu6": lambda x: layers.Activation("relu6")(layers.Rescaling(9.0)(x)),
    "hard swish": lambda x: layers.Activation("hard_silu")(layers.Rescaling(4.0)(x)),
    "rescaling of channels": lambda x: layers.Rescaling([[[1.0, 2, 3, 4]]], [[[4.0, 3, 2, 1]]])(x),
    "upsampling": lambda x: layers.UpSampling2D(2)(x),
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_layer(run_onnxruntime, build):
    model = _image_model(build)
    images = np.random.default_rng(0).normal(size=(2, 9, 12, 4)).astype("float32")
    outputs = run_onnxruntime(build_onnx(model, inputs="float32"), images)
    assert relative_error(outputs["features"], model.predict_on_batch(images)) < TOLERANCE
