"""Receptive fields: arithmetic against the gradients of random networks, and the measured ones."""

import numpy as np
import pytest

from cspdarknet.analysis import inspect_model
from cspdarknet.analysis.level_graph import LevelGraph
from cspdarknet.analysis.receptive_fields import effective_box, theoretical_fields
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import randomize

one_backend = pytest.mark.one_backend
RNG = np.random.default_rng(0)


def backbone_of(channels=(4, 6, 8), **arguments):
    backbone = CSPDarkNetBackbone(channels, [1] * len(channels), True, **arguments)
    return randomize(backbone)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        # Without pooling by maxima, each pixel of the field has a gradient.
        ({"topology": "cs3darknet"}, (80, 97)),
        pytest.param(
            {"topology": "cs3darknet", "padding": "symmetric"}, (96, 64), marks=one_backend
        ),
        pytest.param(
            {"topology": "darknetaa53", "padding": "symmetric"}, (64, 67), marks=one_backend
        ),
        pytest.param(
            {"topology": "cs3darknet", "data_format": "channels_first"},
            (64, 64),
            marks=one_backend,
        ),
    ],
)
def test_the_theoretical_field_is_where_gradients_are(arguments, size):
    backbone = backbone_of((8, 8, 8), activation="leaky_relu_0.01", **arguments)
    graph, names = LevelGraph(backbone), list(backbone.pyramid_outputs)
    images = RNG.uniform(0, 255, (1, *size, 3)).astype("float32")
    for level in names[1:2]:
        spans = theoretical_fields(backbone, size, [level])[level]
        assert spans[0].step == backbone.feature_strides[level]
        position = (3, 2)
        gradient = graph.pixel_gradient(level, images, position)
        assert gradient.shape == (*size, 3)
        for axis in (0, 1):
            first, last = spans[axis].at(position[axis])
            (touched,) = np.nonzero(np.abs(gradient).sum(axis=(1 - axis, 2)))
            assert (touched[0], touched[-1] + 1) == (max(first, 0), min(last, size[axis])), level


@one_backend
def test_attention_makes_the_whole_image_the_field():
    backbone = backbone_of((16, 16), topology="cs3sedarknet")
    spans = theoretical_fields(backbone, (64, 64), ["P2", "P3"])
    assert [spans[name][0].whole for name in ("P2", "P3")] == [True, True]
    plain = theoretical_fields(backbone_of((16, 16), topology="cs3darknet"), (64, 64), ["P3"])
    assert plain["P3"][0].size == spans["P3"][0].size
    assert not plain["P3"][0].whole


@one_backend
def test_published_networks_have_known_fields():
    """Sums of kernel sizes by hand: the stem 6, each 3x3 convolution 2 strides of its level."""
    backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny", load_weights=False)
    sizes = {
        n: s[0].size for n, s in theoretical_fields(backbone, (256, 256), ["P2", "P3"]).items()
    }
    p2 = 6 + 2 * 2 + 1 * 2 * 4  # the stem, the stride-2 convolution at stride 2, one bottleneck
    assert sizes == {"P2": p2, "P3": p2 + 2 * 4 + 3 * 2 * 8}


@one_backend
def test_the_effective_box_holds_the_fraction():
    rows, columns = np.indices((41, 41)) - 20
    energy = np.exp(-(rows**2 + columns**2) / (2 * 4.0**2))
    for fraction in (0.5, 0.9, 0.99):
        left, top, right, bottom = effective_box(energy, (20.5, 20.5), fraction).astype(int)
        assert energy[top:bottom, left:right].sum() >= fraction * energy.sum()
        inner = energy[top + 1 : bottom - 1, left + 1 : right - 1]
        assert inner.sum() < fraction * energy.sum()
    assert effective_box(np.zeros((4, 4)), (2, 2), 0.9).tolist() == [2, 2, 2, 2]


@one_backend
def test_inspect_model():
    backbone = backbone_of()
    image = RNG.integers(0, 255, (96, 128, 3), "uint8")
    inspection = inspect_model(ImageClassifier(backbone, 2), image, ["P3", "P2"], longer_side=64)
    assert [item.level for item in inspection.levels] == ["P2", "P3"]
    assert inspection.image.shape == (48, 64, 3)
    expected = backbone.feature_pyramid(["P3"]).predict(inspection.image[None], verbose=0)
    np.testing.assert_allclose(
        inspection.levels[1].features, expected["P3"][0], rtol=1e-4, atol=1e-5
    )
    first, second = inspection.levels
    assert 0 < first.effective < first.theoretical < second.theoretical
    assert inspection.picture().size == (3 * 370 + 10, 270 + 36)
    assert inspection.to_json()["levels"][1]["stride"] == 8


@one_backend
def test_wrong_arguments_of_inspect_model(tmp_path):
    with pytest.raises(ValueError, match="exported file does not have"):
        inspect_model(tmp_path / "model.xml", np.zeros((8, 8, 3), "uint8"))
    with pytest.raises(ValueError, match="Received: none"):
        inspect_model(backbone_of(), np.zeros((8, 8, 3), "uint8"), [])
    with pytest.raises(ValueError, match="P9"):
        inspect_model(backbone_of(), np.zeros((8, 8, 3), "uint8"), ["P9"])
