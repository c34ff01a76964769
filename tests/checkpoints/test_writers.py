"""Writers of weight files: what comes back, and what they refuse."""

import time

import h5py
import keras
import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import writers
from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.checkpoints.readers.torch import read_torch
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, load_model
from support import TINY_NET, assert_same_weights, randomize, relative_error, to_numpy
from torch_darknet import torch_features
from yolox_files import build, yolox_like

pytestmark = pytest.mark.one_backend


def classifier():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, dropout=0.5))


@pytest.mark.parametrize("make", [lambda: build(use_depthwise=True), classifier])
@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_every_variable_is_bit_equal(suffix, make, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    model = make()
    model.backbone.freeze("stem") if hasattr(model, "backbone") else model.freeze("stem")
    writers.WRITERS[suffix](model, tmp_path / f"a{suffix}")
    again = load_model(tmp_path / f"a{suffix}")
    assert type(again) is type(model)
    assert_same_weights(again, model)
    assert again.get_config() == model.get_config()


def contents(path):
    """The arrays and attributes of an HDF5 file, below `layers`."""
    found = {}

    def collect(name, item):
        found[name] = (dict(item.attrs), bytes(item[()].data) if hasattr(item, "shape") else None)

    with h5py.File(path) as file:
        file["layers"].visititems(collect)
    return found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_h5_are_those_of_keras_without_the_optimizer(tmp_path, dtype):
    keras.config.set_dtype_policy(dtype)
    model = classifier()
    keras.Model(model.inputs, model.outputs).save_weights(tmp_path / "keras.weights.h5")
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    writers.write_weights_h5(model, tmp_path / "a.weights.h5")
    written, expected = (contents(tmp_path / f"{n}.weights.h5") for n in ("a", "keras"))
    del expected["csp_dark_net_backbone/vars"]  # the name of the model, which Keras has numbered
    assert written == expected
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert set(file) == {"layers"}


def test_float16_weights_h5(tmp_path):
    model, rounded = classifier(), classifier()
    writers.write_weights_h5(model, tmp_path / "a.weights.h5", "float16")
    dtypes = set()
    with h5py.File(tmp_path / "a.weights.h5") as file:
        file.visititems(lambda _, item: dtypes.add(getattr(item, "dtype", None)))
    assert dtypes == {None, np.dtype("float16")}
    for variable in model.weights:
        variable.assign(to_numpy(variable).astype("float16").astype("float32"))
    rounded.load_weights(tmp_path / "a.weights.h5")  # by Keras itself
    assert_same_weights(rounded, model)


@pytest.mark.parametrize("value", [1e5, -1e5, np.nan])
def test_weights_that_float16_cannot_hold(value, tmp_path):
    model = build()
    beta = model.get_layer("stem_conv_bn").beta
    beta.assign(np.full(beta.shape, value))
    with pytest.raises(ValueError, match=r"value of (100000|nan).*holds up to 65504"):
        writers.write_weights_h5(model, tmp_path / "a.weights.h5", "float16")


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
IMAGENET_255 = {name: tuple(255 * v for v in values) for name, values in IMAGENET.items()}


@pytest.mark.parametrize("suffix", [".safetensors", ".keras", ".pth", ".weights.h5", ""])
def test_activation_and_normalization_come_back(suffix, tmp_path):
    options = {"padding": "symmetric", "batch_norm_momentum": 0.97, "include_rescaling": True}
    model = build(**options, activation="relu6", **IMAGENET)
    conversion.save(model, tmp_path / f"a{suffix}")
    stated = {"activation": "relu6", "input_convention": "normalized"} if suffix == ".pth" else {}
    if suffix == ".weights.h5":  # it holds no config
        again = CSPDarkNetBackbone.from_config(model.get_config())
        load_weights(again, tmp_path / "a.weights.h5")
    else:
        again = load_model(tmp_path / f"a{suffix}", **stated)
    assert_same_weights(again, model)
    assert {**again.get_config(), "name": ""} == {**model.get_config(), "name": ""}


@pytest.mark.parametrize(
    "options",
    [
        {"include_rescaling": True, **IMAGENET},
        {"include_rescaling": False, **IMAGENET},
        {"include_rescaling": False, **IMAGENET_255},
    ],
)
def test_a_pth_file_of_normalized_images_has_the_kernel_of_rgb_images(options, tmp_path):
    model = yolox_like(activation="leaky_relu", **options)
    writers.write_pth(model, tmp_path / "a.pth")
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32))  # normalized images
    expected = torch_features(read_torch(tmp_path / "a.pth"), x, "leaky_relu")
    plain = yolox_like(activation="leaky_relu", include_rescaling=False)
    assert relative_error(plain(x.transpose(0, 2, 3, 1)), expected.transpose(0, 2, 3, 1)) <= 1e-5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [0.5] * 3, "std": [0.5] * 3}, r"mean=\(0\.5, 0\.5, 0\.5\)"),
        ({"include_rescaling": True, **IMAGENET_255}, "include_rescaling=True"),
        ({"mean": [0.5], "std": [0.5], "input_shape": (32, 32, 1)}, "ImageNet"),
        ({"batch_norm_epsilon": 1e-5}, "epsilon"),
    ],
)
def test_conventions_that_yolox_does_not_have(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        writers.write_pth(build(padding="symmetric", **changes), tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


def test_models_that_yolox_does_not_have(tmp_path):
    with pytest.raises(ValueError, match=r"save `model\.backbone`"):
        writers.write_pth(ImageClassifier(yolox_like(), 3), tmp_path / "a.pth")
    with pytest.raises(ValueError, match="padding='symmetric'"):
        writers.write_pth(build(), tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


def test_keras_reads_what_is_written(tmp_path):
    model = classifier()
    writers.WRITERS[".keras"](model, tmp_path / "a.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "a.keras"), model)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".safetensors", ".pth"])
def test_equal_weights_give_equal_bytes(suffix, tmp_path, monkeypatch):
    """In a later run, whose process has counted other models, too."""
    files = []
    for i in range(2):
        date = time.struct_time((2020 + i, *[1] * 8))
        monkeypatch.setattr("time.localtime", lambda *_, date=date: date)
        model = yolox_like(name="same")
        conversion.save(model, tmp_path / f"{i}{suffix}")
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        files.append((tmp_path / f"{i}{suffix}").read_bytes())
    assert files[0] == files[1]
