"""Pyramid levels: which runs are accepted, and what follows from them."""

import pytest

from cspdarknet.yolox.levels import Pyramid, check_levels

pytestmark = pytest.mark.one_backend

NAMES = ("P2", "P3", "P4", "P5", "P6")
RUNS = [NAMES[i:j] for i in range(5) for j in range(i + 1, 6)]
YOLOX_NECK = ("p5_lateral", "p4_csp", "p4_lateral", "p3_csp", "n3_down", "n4_csp", "n4_down")


@pytest.mark.parametrize("stages", [3, 4, 5])
def test_the_deepest_three_levels_are_the_default(stages):
    pyramid = Pyramid.of(None, stages)
    assert pyramid.levels == NAMES[stages - 3 : stages]
    assert pyramid.is_yolox
    assert pyramid == Pyramid.of(list(pyramid.levels), stages)
    assert pyramid.neck_blocks == (*YOLOX_NECK, "n5_csp")  # whatever its levels are
    assert (pyramid.fused, pyramid.num_extra) == (pyramid.levels, 0)
    assert pyramid.largest_stride == pyramid.strides[-1] == 2 ** (stages + 1)


@pytest.mark.parametrize("run", RUNS)
def test_each_run_is_fused_with_the_last_stage(run):
    pyramid = Pyramid.of(list(run), 4)
    assert pyramid.levels == run
    assert pyramid.strides == tuple(2 ** int(level[1]) for level in run)
    last = "P6" if run[-1] == "P6" else "P5"
    assert pyramid.fused == NAMES[NAMES.index(run[0]) : NAMES.index(last) + 1]
    assert pyramid.largest_stride == 2 ** int(last[1])
    assert pyramid.num_extra == (last == "P6")
    assert pyramid.is_yolox == (run == NAMES[1:4])
    bottom_up = [block for block in pyramid.neck_blocks if block.startswith("n")]
    assert len(bottom_up) == 2 * (len(run) - 1)


def test_blocks_and_channels_of_more_levels():
    assert Pyramid.of(["P2", "P3"], 4).neck_blocks == (
        *("p5_lateral", "p4_csp", "p4_lateral", "p3_csp", "p3_lateral", "p2_csp"),
        *("n2_down", "n3_csp"),
    )
    assert Pyramid.of(["P5", "P6"], 4).neck_blocks == (
        *("p6_conv", "p6_lateral", "p5_csp", "n5_down", "n6_csp"),
    )
    assert Pyramid.of(["P3"], 4).channels([8, 16, 32, 64]) == [16, 32, 64]
    two_extra = Pyramid.of(["P4", "P5", "P6"], 3)
    assert (two_extra.num_extra, two_extra.channels([8, 16, 32])) == (2, [32, 32, 32])


@pytest.mark.parametrize(
    ("levels", "remedy"),
    [
        (["P3", "P2"], r"pass \('P2', 'P3'\)"),
        (["P2", "P3", "P3"], "give P3 once"),
        (["P2", "P5"], "add P3, P4"),
        (["P1", "P2"], "'P1' is not one of them"),
        (["P6", "P7"], "'P7' is not one of them"),
        (["p3"], "'p3' is not one of them"),
        ([3, 4], "3 is not one of them"),
        ([["P3"]], r"\['P3'\] is not one of them"),
        ([], r"Received: levels=\(\)"),
        ("P3", "Received: levels='P3'"),
        ({"P3", "P4"}, "Received: levels={"),
        (3, "Received: levels=3"),
    ],
)
def test_anything_else_is_refused_with_rule_and_remedy(levels, remedy):
    rule = "`levels` must be one or more consecutive pyramid levels of P2 to P6, the largest"
    with pytest.raises(ValueError, match=rule) as error:
        check_levels(levels)
    with pytest.raises(ValueError, match=remedy):
        Pyramid.of(levels, 4)
    assert len(str(error.value)) < 300


def test_the_error_of_a_long_list_is_short():
    for levels in (["P2"] * 10**5, ["x" * 10**6], [f"P{n}" for n in range(2, 10**5)]):
        with pytest.raises(ValueError, match="must be one or more") as error:
            check_levels(levels)
        assert len(str(error.value)) < 400


def test_deeper_backbones_have_levels_beyond_p6():
    assert check_levels(["P6", "P7"], num_stages=6) == ("P6", "P7")
