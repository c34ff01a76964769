"""Files that the tests of several commands share."""

from fractions import Fraction

import pytest

from cspdarknet.inference.video import write_video
from fake_detector import paint


@pytest.fixture
def video(tmp_path):
    """Twelve frames in which a red square moves to the right, four pixels per frame."""
    pytest.importorskip("av", reason="videos need PyAV")
    frames = (paint((48, 81), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]) for i in range(12))
    write_video(tmp_path / "clip.mp4", frames, Fraction(10))
    return tmp_path / "clip.mp4"
