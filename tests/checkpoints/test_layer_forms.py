"""Quantized layers and LoRA: refused, or saved as plain Keras models are."""

import keras
import numpy as np
import pytest
from keras.src.dtype_policies.dtype_policy import QUANTIZATION_MODES

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError, load_weights
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector, load_model
from support import TINY_NET, randomize, to_numpy
from yolox_files import yolox_like

pytestmark = pytest.mark.one_backend

SUFFIXES = [".keras", ".weights.h5", ".safetensors", ".pth", ""]


def classifier():
    return randomize(ImageClassifier(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True), 3))


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_quantized_model_is_refused_before_anything_is_written(mode, tmp_path, recwarn):
    model = classifier()
    for suffix in (".keras", ".weights.h5", ".safetensors", ""):
        conversion.save(model, tmp_path / f"a{suffix}")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if mode not in QUANTIZATION_MODES:
        pytest.skip(f"this version of Keras does not know {mode}")
    model.quantize(mode)
    weights = model.get_weights()
    for suffix in SUFFIXES:
        with pytest.raises(ValueError, match=r"must be saved before `quantize`"):
            conversion.save(model, tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match="quantized layer 'predictions'"):
        model.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="quantized layer 'predictions'"):
        model.save_to_preset(tmp_path / "a")
    with pytest.raises(CheckpointError, match="must be loaded before `quantize`"):
        load_weights(model, tmp_path / "a.weights.h5")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for a, b in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def adapted(model):
    """Adapt the convolutions of a model with LoRA, and let its matrices matter."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.enable_lora(2)
    return randomize(model, seed=1)


def outputs(model):
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    result = model(images)
    return [to_numpy(x) for x in (result.values() if isinstance(result, dict) else [result])]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("task", ["features", "detection"])
def test_lora_is_added_to_the_kernels_of_a_file(task, suffix, tmp_path):
    model = yolox_like()
    if task == "detection":
        backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 1, 1])
        model = YOLOXDetector(backbone, 3, image_size=32)
    fresh = type(model).from_config(model.get_config())
    adapted(model)
    conversion.save(model, tmp_path / f"a{suffix}")
    if suffix == ".weights.h5":
        load_weights(fresh, tmp_path / "a.weights.h5")
    else:
        fresh = load_model(tmp_path / f"a{suffix}")
    assert not any("lora" in variable.path for variable in fresh.weights)
    for a, b in zip(outputs(model), outputs(fresh), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".weights.h5", ".keras"])
def test_weights_are_not_loaded_into_a_model_with_lora(suffix, tmp_path):
    model = yolox_like()
    conversion.save(model, tmp_path / f"a{suffix}")
    model.get_layer("dark3_conv_conv").enable_lora(2)
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=r"loaded before `enable_lora`.*'dark3_conv_conv'"):
        load_weights(model, tmp_path / f"a{suffix}")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
