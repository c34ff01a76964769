"""Images in strips: TIFFs of all kinds as they are decoded whole, in bounded memory."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.images import ImageError, read_image
from cspdarknet.inference import large_images
from cspdarknet.inference.large_images import LargeTiff, WholeImage, open_strips

tifffile = pytest.importorskip("tifffile")
pytestmark = pytest.mark.one_backend
HEIGHT, WIDTH = 150, 90


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype("uint8")


@pytest.fixture
def every_tiff_is_large(monkeypatch):
    monkeypatch.setattr(large_images, "MAX_PIXELS", 100)


def in_strips(path, height=40, step=30):
    """All rows, read in overlapping strips."""
    strips = LargeTiff(path)
    rows = np.zeros((*strips.size, 3), "uint8")
    for top in range(0, strips.size[0], step):
        bottom = min(top + height, strips.size[0])
        rows[top:bottom] = strips.rows(top, bottom)
    strips.close()
    return rows


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"tile": (32, 16)},
        {"tile": (32, 16), "compression": "zlib", "predictor": True},
        {"rowsperstrip": 64, "compression": "zlib"},
        {"tile": (16, 32), "planarconfig": "separate"},
        {"bigtiff": True, "tile": (64, 64)},
        {"byteorder": ">"},
        {"tile": (160, 96), "compression": "zlib"},
    ],
    ids=str,
)
def test_color(tmp_path, pixels, options):
    image = pixels
    if options.get("planarconfig") == "separate":
        image = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", **options)
    np.testing.assert_array_equal(in_strips(tmp_path / "a.tif"), pixels)


def test_jpeg_tiles_as_pillow_decodes_them(tmp_path, pixels):
    pytest.importorskip("imagecodecs")
    smooth = np.asarray(Image.fromarray(pixels).resize((10, 10)).resize((WIDTH, HEIGHT)))
    tifffile.imwrite(tmp_path / "a.tif", smooth, tile=(32, 32), compression="jpeg")
    found = in_strips(tmp_path / "a.tif").astype(int)
    assert abs(found - read_image(tmp_path / "a.tif")).max() <= 3


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_gray_deep_inverted_and_transparent(tmp_path, pixels, tile):
    gray = pixels[..., 0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray, tile=tile)
    np.testing.assert_array_equal(in_strips(path), np.repeat(gray[..., None], 3, 2))
    tifffile.imwrite(path, gray, tile=tile, photometric="miniswhite")
    np.testing.assert_array_equal(in_strips(path), np.repeat(255 - gray[..., None], 3, 2))
    tifffile.imwrite(path, pixels.astype("uint16") * 257, tile=tile, photometric="rgb")
    np.testing.assert_array_equal(in_strips(path), pixels)
    with_alpha = np.dstack([pixels, gray])
    tifffile.imwrite(path, with_alpha, tile=tile, photometric="rgb", extrasamples=["unassalpha"])
    assert abs(in_strips(path).astype(int) - read_image(path)).max() <= 1


def test_each_tile_of_the_file_is_decoded_once(tmp_path, pixels, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(32, 32), compression="zlib")
    decoded, original = [], LargeTiff._decoded
    monkeypatch.setattr(
        LargeTiff, "_decoded", lambda self, wanted: decoded.extend(wanted) or original(self, wanted)
    )
    in_strips(tmp_path / "a.tif")
    assert sorted(decoded) == list(range(5 * 3))


def test_the_buffer_is_a_strip_and_a_row_of_tiles(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib")
    strips = LargeTiff(tmp_path / "a.tif")
    for top in range(0, 120, 20):
        strips.rows(top, top + 30)
        assert len(strips._buffer) <= 30 + 16


def test_other_images_are_decoded_whole(tmp_path, pixels, every_tiff_is_large):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    for item in (str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), pixels):
        strips = open_strips(item)
        assert isinstance(strips, WholeImage)
        np.testing.assert_array_equal(strips.rows(10, 30), pixels[10:30])
    assert isinstance(open_strips(tmp_path / "a.tif"), LargeTiff)


def test_tiffs_that_are_not_read(tmp_path, pixels, every_tiff_is_large):
    path = tmp_path / "a.tif"
    for image, options, message in (
        (pixels.astype("float32"), {"photometric": "rgb"}, "float32, and 8 or 16 bits are read"),
        (np.zeros((HEIGHT, WIDTH, 5), "uint8"), {"photometric": "rgb"}, "5 channels"),
        (pixels, {"photometric": "cielab"}, "CIELAB, and gray and RGB are read"),
        (pixels, {"photometric": "rgb", "extratags": [(274, 3, 1, 6, True)]}, "orientation 6"),
    ):
        tifffile.imwrite(path, image, **options)
        with pytest.raises(ImageError, match=message) as error:
            open_strips(path)
        assert "Convert it to tiles of 8-bit RGB" in str(error.value)


def test_damaged_files(tmp_path, pixels, every_tiff_is_large):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, tile=(32, 32), compression="zlib")
    content = path.read_bytes()
    for length in (4, 8, 100, len(content) // 2, len(content) - 200):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=r"a\.tif: "):
            open_strips(path).rows(0, HEIGHT)


def test_without_tifffile(tmp_path, pixels, every_tiff_is_large, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ImageError, match=r"pip install 'cspdarknet\[large\]'"):
        open_strips(tmp_path / "a.tif")
