"""`Tiles`: windows that cover every image of any size, and rejected options."""

import numpy as np
import pytest

from cspdarknet.tiles import Tiles, check_tiles

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("overlap", [0.05, 0.2, 0.5, 0.9])
def test_spans_cover_every_side_evenly(overlap):
    tiles = Tiles(40, overlap)
    for length in range(1, 400):
        spans = tiles.spans(length)
        starts, ends = (np.array(column) for column in zip(*spans, strict=True))
        assert (starts[0], ends[-1]) == (0, length)
        assert (ends - starts == min(40, length)).all()
        if length > 40:
            assert (ends[:-1] - starts[1:] >= 40 * overlap).all()
            assert (np.diff(starts) > 0).all()
            assert np.ptp(np.diff(starts)) <= 1


@pytest.mark.parametrize("size", [(7, 5), (32, 32), (33, 32), (150, 20), (99, 131)])
def test_windows_cover_every_pixel_and_lie_inside(size):
    counts = np.zeros(size, int)
    for left, top, right, bottom in Tiles(32, 0.25).windows(*size):
        part = counts[top:bottom, left:right]
        assert part.shape == (min(32, size[0]), min(32, size[1]))
        part += 1
    assert counts.min() == 1


def test_no_more_tiles_than_needed():
    assert len(Tiles(640, 0.2).windows(640, 640)) == 1
    assert len(Tiles(640, 0.2).windows(640, 1152)) == 2  # 2 * 640 - 128
    assert len(Tiles(640, 0.2).windows(640, 1153)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "`size` must be an integer, at least 32"),
        ({"size": 31}, "`size` must be an integer, at least 32"),
        ({"size": 640.0}, "`size` must be an integer"),
        ({"size": 10**9}, "`size` must be an integer"),
        ({"overlap": 0}, "`overlap` must be a fraction .* in 0.05..0.9"),
        ({"overlap": 1}, "`overlap` must be a fraction"),
        ({"overlap": 20}, "Received: overlap=20"),
        ({"overlap": float("nan")}, "`overlap` must be a fraction"),
        ({"overlap": "0.2"}, "`overlap` must be a fraction"),
        ({"with_whole": "yes"}, "`with_whole` must be True or False"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Tiles(**options)


def test_other_objects_are_not_tiles():
    assert check_tiles(None) is None
    with pytest.raises(ValueError, match=r"`tiles` must be Tiles, such as Tiles\(size=640\)"):
        check_tiles(640)
