"""Image sizes: squares, and pairs of height and width."""

import pytest

from cspdarknet._image_size import check_image_size, parse_image_size, scaled, to_text

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("size", "expected"), [(64, 64), ([64, 64], 64), ((64, 96), (64, 96)), ([96, 64], (96, 64))]
)
def test_sizes(size, expected):
    assert check_image_size(size, 32) == expected
    assert parse_image_size(to_text(expected)) == expected


@pytest.mark.parametrize("size", [0, -32, 64.0, True, "64", None, (64,), (64, 96, 3), (64, 2**20)])
def test_other_values(size):
    with pytest.raises(ValueError, match=r"must be an integer, at least 1.*or a pair.*Received: "):
        check_image_size(size)


def test_a_size_that_is_no_multiple_names_one_that_is():
    with pytest.raises(
        ValueError, match=r"a multiple of 32.*Received: .*\(100, 640\).*\(96, 640\)"
    ):
        check_image_size((100, 640), 32)
    with pytest.raises(ValueError, match="choose 32, for example"):
        check_image_size(5, 32)


@pytest.mark.parametrize("text", ["", "x", "384x", "a", "1x2x3", "-3", "38.5", "0", "384x0"])
def test_other_texts(text):
    with pytest.raises(ValueError, match=r"mage.size.* must be"):
        parse_image_size(text)


def test_a_scaled_size_keeps_its_ratio():
    assert [scaled((384, 640), f / 12, 32) for f in (6, 12, 24)] == [
        (192, 320),
        (384, 640),
        (768, 1280),
    ]
    assert scaled((64, 640), 0.01, 32) == (32, 320)
    assert scaled(416, 0.5, 32) == 208 // 32 * 32
