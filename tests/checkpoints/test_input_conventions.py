"""The images that a file of YOLOX was trained on."""

import warnings

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError, InputConventionWarning, load_weights
from cspdarknet.checkpoints.input_conventions import MEAN, STD
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.models import (
    CSPDarkNetBackbone,
    ImageClassifier,
    YOLOXDetector,
    load_model,
)
from support import relative_error, to_numpy
from yolox_files import yolox_like

NORM = "stem.conv.bn.weight"


@pytest.fixture(scope="module")
def normalized(tmp_path_factory):
    """A state dict with the large stem of weights for normalized images."""
    path = tmp_path_factory.mktemp("normalized") / "a.pth"
    conversion.save(yolox_like(), path)
    arrays = torch_files.read_torch(path)
    torch_files.write_torch(path, arrays | {NORM: arrays[NORM] * 60})
    return path


def pixels(photo):
    """What YOLOX computes of a photo before a network of normalized images."""
    return (photo / 255 - np.array(MEAN)) / np.array(STD)


def reference(path, images):
    """Features of BGR images that are given as YOLOX takes them, of weights of any convention."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return to_numpy(load_model(path)(images.astype("float32")))


@pytest.mark.parametrize(
    ("convention", "as_given"),
    [
        (None, lambda photo: photo),
        ("bgr", lambda photo: photo),
        ("rgb", lambda photo: photo[..., ::-1]),
        ("normalized", lambda photo: pixels(photo)[..., ::-1]),
    ],
)
def test_the_pixels_that_the_weights_take(convention, as_given, state_dict, photo):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load_model(state_dict, input_convention=convention)
    expected = reference(state_dict, as_given(photo))
    # The padding is zeros after the normalization, in YOLOX and here.
    assert relative_error(model(photo), expected) < 1e-4


@pytest.mark.one_backend
@pytest.mark.parametrize("suffix", ["", ".safetensors", ".keras", ".pth"])
def test_saved_files_give_the_same_outputs(suffix, normalized, photo, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"a{suffix}"
    model = conversion.convert(normalized, path, input_convention="normalized")
    assert (model.include_rescaling, list(model.mean)) == (True, list(MEAN))
    given = {"input_convention": "normalized"} if suffix == ".pth" else {}
    again = load_model(path, **given)
    np.testing.assert_array_equal(to_numpy(again(photo)), to_numpy(model(photo)))
    if suffix == ".pth":
        before, after = torch_files.read_torch(normalized), torch_files.read_torch(path)
        for name, array in before.items():
            np.testing.assert_array_equal(array, after[name])


@pytest.mark.one_backend
def test_the_choice_of_rgb_is_in_the_saved_weights(state_dict, photo, tmp_path):
    model = conversion.convert(state_dict, tmp_path / "a.pth", input_convention="rgb")
    np.testing.assert_array_equal(
        to_numpy(load_model(tmp_path / "a.pth")(photo)), to_numpy(model(photo))
    )


@pytest.mark.one_backend
class TestWarning:
    def test_large_stems(self, normalized):
        with pytest.warns(InputConventionWarning, match=r"pass input_convention='normalized'"):
            load_model(normalized)

    @pytest.mark.parametrize("convention", ["bgr", "rgb", "normalized"])
    def test_a_choice_is_not_questioned(self, convention, normalized, recwarn):
        load_model(normalized, input_convention=convention)
        assert not recwarn.list

    def test_small_stems(self, state_dict, recwarn):
        load_model(state_dict)
        assert not recwarn.list
        with pytest.warns(InputConventionWarning, match=r"leave input_convention='normalized' out"):
            load_model(state_dict, input_convention="normalized")

    def test_a_model_that_normalizes_states_the_convention(self, normalized, photo, recwarn):
        model = load_model(normalized, input_convention="normalized")
        other = CSPDarkNetBackbone.from_config(model.get_config())
        load_weights(other, normalized)
        assert not recwarn.list
        np.testing.assert_array_equal(to_numpy(other(photo)), to_numpy(model(photo)))

    def test_models_with_a_head(self, normalized):
        for cls in (ImageClassifier, CSPDarkNetBackbone):
            arguments = {"num_classes": 2} if cls is ImageClassifier else {}
            with pytest.warns(InputConventionWarning):
                cls.from_preset(normalized, **arguments)
            model = cls.from_preset(normalized, input_convention="normalized", **arguments)
            assert getattr(model, "backbone", model).mean is not None


@pytest.mark.one_backend
class TestRefused:
    def test_unknown_conventions(self, state_dict):
        with pytest.raises(ValueError, match="`input_convention` must be one of None, 'bgr'"):
            load_model(state_dict, input_convention="gray")

    @pytest.mark.parametrize("source", ["csp_darknet_tiny", "yolox_nano_bccd", "yolox_s_coco"])
    def test_other_models(self, source):
        with pytest.raises(ValueError, match=r"is for weight files of YOLOX.*leave it out"):
            CSPDarkNetBackbone.from_preset(source, load_weights=False, input_convention="rgb")

    def test_other_normalization(self, normalized):
        with pytest.raises(ValueError, match=r"weights of .* belong to include_rescaling=True"):
            load_model(normalized, input_convention="normalized", include_rescaling=False)
        with pytest.raises(ValueError, match=r"weights of .* belong to mean="):
            load_model(normalized, input_convention="normalized", mean=[0.5] * 3)

    def test_weights_for_another_model(self, normalized, small):
        with pytest.raises(CheckpointError, match="belong to padding"):
            load_weights(small, normalized)


@pytest.mark.one_backend
def test_an_architecture_alone(normalized, recwarn):
    model = load_model(normalized, load_weights=False, input_convention="normalized")
    assert list(model.mean) == list(MEAN)
    assert not recwarn.list


@pytest.mark.one_backend
def test_the_activation_of_a_state_dict(state_dict, photo, tmp_path):
    relu = load_model(state_dict, activation="relu")
    assert relu.activation == "relu"
    assert relative_error(relu(photo), to_numpy(load_model(state_dict)(photo))) > 1e-2
    conversion.convert(state_dict, tmp_path / "preset", activation="relu")
    assert load_model(tmp_path / "preset").activation == "relu"
    with pytest.raises(ValueError, match="`activation` is for weight files of YOLOX"):
        conversion.convert("yolox_nano_bccd", tmp_path / "b", activation="relu")
    with pytest.raises(ValueError, match="activation"):
        YOLOXDetector.from_preset("yolox_nano_bccd", activation="relu")
