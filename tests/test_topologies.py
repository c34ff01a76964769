"""The table of the family: stems, widths, and channels inside attention."""

from fractions import Fraction

import pytest

from cspdarknet.presets.sizes import SIZES
from cspdarknet.topologies import TOPOLOGIES, Architecture, Bottleneck

pytestmark = pytest.mark.one_backend


def network(size):
    found = SIZES[size]
    return Architecture(found.stackwise_channels, found.stackwise_depth, name=found.topology)


# Published with timm: channels of the stem, and (inner channels, channels inside the attention).
@pytest.mark.parametrize(
    ("size", "stem", "attention"),
    [
        ("cs3darknet_m", [(24, 3, 2), (48, 3, 1)], [(48, 0), (96, 0), (192, 0), (384, 0)]),
        ("cs3darknet_focus_x", [(80, 6, 2)], [(80, 0), (160, 0), (320, 0), (640, 0)]),
        ("darknet53", [(32, 3, 1)], [(32, 0), (64, 0), (128, 0), (256, 0), (512, 0)]),
        ("cspdarknet53", [(32, 3, 1)], [(32, 0), (64, 0), (128, 0), (256, 0), (512, 0)]),
        (
            "cs3sedarknet_l",
            [(32, 3, 2), (64, 3, 1)],
            [(64, 16), (128, 32), (256, 64), (512, 128)],
        ),
        ("cs3sedarknet_x", [(40, 3, 2), (80, 3, 1)], [(80, 8), (160, 8), (320, 24), (640, 40)]),
        (
            "cs3se_edgenet_x",
            [(40, 3, 2), (80, 3, 1)],
            [(120, 32), (240, 64), (480, 120), (960, 240)],
        ),
    ],
)
def test_stems_and_attention(size, stem, attention):
    found = network(size)
    assert found.stem == stem
    shapes = [(stage.bottleneck, stage.branch) for stage in found.stages()]
    assert [(b.inner(width), b.attention(width)) for b, width in shapes] == attention


@pytest.mark.parametrize(
    ("size", "levels", "pyramid_channels"),
    [
        ("tiny", [2, 3, 4, 5], [48, 96, 192, 384]),
        ("cs3darknet_s", [2, 3, 4, 5], [64, 128, 256, 512]),
        ("darknetaa53", [1, 2, 3, 4, 5], [128, 256, 512, 1024]),
    ],
)
def test_levels(size, levels, pyramid_channels):
    found = network(size)
    assert [stage.level for stage in found.stages()] == levels
    assert found.pyramid_channels == pyramid_channels


def test_widths_of_the_downsampling():
    keep = [stage.down_filters for stage in network("cs3darknet_l").stages()]
    grow = [stage.down_filters for stage in network("cspdarknet53").stages()]
    assert (keep, grow) == ([64, 128, 256, 512], [64, 128, 256, 512, 1024])


def test_only_the_last_stage_of_yolox_pools():
    last = {
        name: [s.spp for s in Architecture([8, 8], [1, 1], name=name).stages()]
        for name in TOPOLOGIES
    }
    assert last.pop("yolox") == [False, True]
    assert set(map(tuple, last.values())) == {(False, False)}


def test_attention_is_at_least_one_multiple():
    assert Bottleneck(attention_ratio=Fraction(1, 16)).attention(16) == 8
    assert Bottleneck().attention(1024) == 0
