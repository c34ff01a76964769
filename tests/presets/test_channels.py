"""Models for images of other than three channels, from weights of RGB images."""

import numpy as np
import pytest

from cspdarknet import conversion, load_model
from cspdarknet.checkpoints.stem import for_channels
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.channels import stored_channels, with_channels
from support import randomize, to_numpy

GRAY = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1)).astype("float32")
MEAN_AND_STD = {"mean": 0.5, "std": 0.2}
CHANNELS_LAST = (None, None, 3)


def backbone(**options):
    shape = (3, None, None) if options.get("data_format") == "channels_first" else CHANNELS_LAST
    return randomize(
        CSPDarkNetBackbone(
            [8, 8, 16, 16], [1, 1, 1, 1], include_rescaling=True, input_shape=shape, **options
        )
    )


@pytest.mark.parametrize(
    "options", [{}, {"data_format": "channels_first"}, {"mean": [0.4] * 3, "std": [0.2] * 3}]
)
@pytest.mark.parametrize("channels", [1, 6])
def test_channels_that_are_alike_give_the_outputs_of_the_gray_rgb_image(options, channels):
    if options.get("data_format") == "channels_first" and not _runs_channels_first():
        pytest.skip("the backend has no such convolution on processors")
    model = backbone(**options)
    other = with_channels(model, channels)
    assert other.channels == channels
    rgb, images = (np.repeat(GRAY, n, axis=3) for n in (3, channels))
    if "data_format" in options:
        rgb, images = (array.transpose(0, 3, 1, 2) for array in (rgb, images))
    np.testing.assert_allclose(to_numpy(other(images)), to_numpy(model(rgb)), rtol=1e-3, atol=1e-4)


def _runs_channels_first():
    import keras

    return keras.backend.backend() != "tensorflow"


@pytest.mark.one_backend
def test_the_kernel_is_repeated():
    kernel = np.random.default_rng(0).normal(size=(6, 6, 3, 8)).astype("float32")
    widened = for_channels(kernel, 5)
    assert widened.dtype == kernel.dtype
    np.testing.assert_allclose(widened, kernel[:, :, [0, 1, 2, 0, 1]] * (3 / 5), rtol=1e-6)
    np.testing.assert_allclose(for_channels(kernel, 2), kernel[:, :, :2] * 1.5, rtol=1e-6)
    np.testing.assert_array_equal(for_channels(kernel, 3), kernel)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["csp_darknet_tiny_clothing", "yolox_nano_bccd"])
def test_a_bundled_model_keeps_all_but_its_first_kernel(name, tmp_path):
    rgb, model = load_model(name), load_model(name, channels=4)
    different = [
        variable.path.split("/")[-2]
        for variable, array in zip(model.weights, rgb.get_weights(), strict=True)
        if variable.shape != array.shape or (to_numpy(variable) != array).any()
    ]
    assert different == ["stem_conv_conv"]
    model.save_to_preset(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.channels == stored_channels(tmp_path / "model") == 4
    assert load_model(tmp_path / "model", channels=4).channels == 4
    predictor = Predictor(tmp_path / "model", runtime="keras", image_size=64)
    assert (predictor.info.channels, predictor.info.inputs) == (4, "float32")
    assert load_model(name, channels=3).channels == stored_channels(name) == 3


@pytest.mark.one_backend
@pytest.mark.parametrize("topology", ["cs3darknet", "cs3darknet_focus", "darknet53"])
@pytest.mark.parametrize("form", ["preset", "timm.safetensors"])
def test_stems_of_timm(topology, form, tmp_path):
    pytest.importorskip("safetensors")
    model = randomize(
        CSPDarkNetBackbone(
            [8, 8],
            [1, 1],
            include_rescaling=True,
            topology=topology,
            padding="symmetric",
            mean=[0.5] * 3,
            std=[0.2] * 3,
        )
    )
    if form == "preset":
        model.save_to_preset(tmp_path / form)
    else:
        conversion.save(model, tmp_path / form)
    options = {} if form == "preset" else {name: [v] * 3 for name, v in MEAN_AND_STD.items()}
    four = load_model(tmp_path / form, "features", channels=4, **options)
    assert four.channels == 4
    first, *others = four.get_weights()
    kernel, *expected = model.get_weights()
    np.testing.assert_array_equal(first, for_channels(kernel, 4))
    for found, value in zip(others, expected, strict=True):
        np.testing.assert_array_equal(found, value)
    outputs = four(np.repeat(GRAY, 4, axis=3))
    assert outputs.shape == model(np.repeat(GRAY, 3, axis=3)).shape


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (0, "`channels` must be an integer, at least 1"),
        (2.5, "`channels` must be an integer"),
        (5, "only a model for RGB images.*Received: channels=5, and a model of 4 channels"),
    ],
)
def test_channels_that_are_no_channels_of_the_model(channels, message):
    model = with_channels(backbone(), 4)
    with pytest.raises(ValueError, match=message):
        with_channels(model, channels)


@pytest.mark.one_backend
def test_models_of_many_channels_predict_and_refuse_others(tmp_path):
    field = np.random.default_rng(0).integers(0, 65536, (40, 70, 5)).astype("uint16")
    np.save(tmp_path / "a.npy", field)
    classifier = ImageClassifier(with_channels(backbone(), 5), 3, image_size=(32, 64))
    detector = YOLOXDetector(
        with_channels(backbone(), 5), 3, image_size=(32, 64), score_threshold=0.0
    )
    for model in (classifier, detector):
        predictor = Predictor(model, runtime="keras")
        found = predictor(tmp_path / "a.npy")
        if model is classifier:
            outputs = model.predict(str(tmp_path / "a.npy"), verbose=0)[0]
            np.testing.assert_allclose(found, outputs, rtol=1e-5)
        else:
            outputs = model.predict(field)
            np.testing.assert_allclose(found.confidence[0], outputs["confidence"][0, 0], rtol=1e-4)
            picture = next(predictor.stream([tmp_path / "a.npy"], with_pixels=True))[2]
            assert (picture.shape, picture.dtype) == ((40, 70, 3), np.uint8)
            assert found.plot().size == (70, 40)
        with pytest.raises(ValueError, match=r"the 5 channels of the model\. Received: 3 channels"):
            predictor(np.zeros((32, 32, 3), "uint8"))
        with pytest.raises(ValueError, match=r"must be \(batch, .*, 5\)"):
            predictor.run(np.zeros((1, 32, 64, 3), "uint8"))


@pytest.mark.one_backend
def test_16_bits_reach_the_model(tmp_path):
    """Values that differ by less than one of 255 give other outputs."""
    predictor = Predictor(with_channels(backbone(), 1), runtime="keras")
    fine = np.random.default_rng(0).integers(0, 65536, (32, 32, 1)).astype("uint16")
    first, second = predictor([fine, fine & 0xFF00])
    assert not np.array_equal(first["features"], second["features"])
