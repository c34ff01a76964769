"""The aliases: KerasCV's five sizes, and both ways of calling them."""

import pytest

import cspdarknet
from cspdarknet.models import CSPDarkNetBackbone

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("name", "channels"), [("Tiny", 48), ("S", 64), ("M", 96), ("L", 128), ("XL", 170)]
)
def test_aliases(name, channels):
    alias = getattr(cspdarknet.models, f"CSPDarkNet{name}Backbone")
    model = alias()
    assert type(model) is CSPDarkNetBackbone
    assert issubclass(alias, CSPDarkNetBackbone)
    assert model.stackwise_channels[0] == channels
    assert model.include_rescaling


def test_both_ways_of_calling_an_alias():
    alias = cspdarknet.models.CSPDarkNetTinyBackbone
    # As in KerasCV's code ...
    model = alias(False, (64, 32, 3))
    assert not model.include_rescaling
    assert model.input_shape == (None, 64, 32, 3)
    assert model.stackwise_channels == [48, 96, 192, 384]
    # ... and as on its documentation page.
    model = alias([16, 32], [1, 1], True, True)
    assert (model.stackwise_channels, model.use_depthwise) == ([16, 32], True)
    model = alias(stackwise_channels=[48, 96, 192, 384], stackwise_depth=[1, 3, 3, 1], name="t")
    assert (model.name, model.count_params()) == ("t", 2_380_416)


def test_aliases_refuse_what_the_backbone_refuses():
    with pytest.raises(ValueError, match="foo"):
        cspdarknet.models.CSPDarkNetTinyBackbone(foo=1)
    with pytest.raises(TypeError, match="at most"):
        cspdarknet.models.CSPDarkNetTinyBackbone(True, (32, 32, 3), None, 1)
    with pytest.raises(TypeError, match="two values"):
        cspdarknet.models.CSPDarkNetTinyBackbone(True, include_rescaling=False)
