"""Writers of weight files: what comes back, and what they refuse."""

import h5py
import keras
import numpy as np
import pytest

from cspdarknet.checkpoints import writers
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, load_model
from support import TINY_NET, assert_same_weights, randomize, to_numpy
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


def test_weights_h5_leaves_out_the_optimizer(tmp_path):
    model = classifier()
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    writers.write_weights_h5(model, tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert set(file) == {"layers", "vars"}


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
