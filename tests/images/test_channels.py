"""Images of any number of channels and up to 16 bits."""

import io

import numpy as np
import pytest
from PIL import Image

from cspdarknet.images import (
    ImageError,
    array_of_channels,
    center_crop,
    crop_channels,
    image_size,
    open_picture,
    pixels_of,
    read_channels,
    read_image,
    suffix_of,
    without_cached_arrays,
)

tifffile = pytest.importorskip("tifffile")
pytestmark = pytest.mark.one_backend

RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 65536, (20, 30, 5)).astype("uint16")
BYTES = (WIDE >> 8).astype("uint8")


def write_tiff(path, array, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)


@pytest.mark.parametrize("layout", ["pages", "planar", "contiguous", "imagej", "big"])
def test_every_layout_of_a_tiff(tmp_path, layout):
    path = tmp_path / "field.tif"
    first = np.ascontiguousarray(WIDE.transpose(2, 0, 1))
    if layout == "pages":
        write_tiff(path, first, compression="zlib")
    elif layout == "planar":
        write_tiff(path, first, planarconfig="separate")
    elif layout == "contiguous":
        write_tiff(path, WIDE, planarconfig="contig", compression="lzw")
    elif layout == "imagej":
        tifffile.imwrite(path, first, imagej=True)
    else:
        write_tiff(path, first, bigtiff=True, tile=(16, 16))
    expected = WIDE.astype("float32") / 257
    np.testing.assert_array_equal(read_channels(path, 5), expected)
    np.testing.assert_array_equal(read_channels(path.read_bytes(), None), expected)
    assert image_size(path) == (30, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_upright(tmp_path, orientation):
    path, tag = tmp_path / "field.tif", [(274, "H", 1, orientation, True)]
    write_tiff(path, BYTES, planarconfig="contig", extratags=tag)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(BYTES[..., :3]).save(tmp_path / "a.png", exif=exif)
    upright = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read_channels(path, 5)[..., :3], upright)
    assert image_size(path) == (upright.shape[1], upright.shape[0])


def test_white_is_zero_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", WIDE[..., 0], photometric="miniswhite")
    expected = (65535 - WIDE[..., :1]).astype("float32") / 257
    np.testing.assert_array_equal(read_channels(tmp_path / "a.tif", 1), expected)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("1", 1), ("P", 3)]
)
def test_a_png_has_the_channels_of_its_mode(tmp_path, mode, channels):
    image = Image.fromarray(BYTES[..., :4], "RGBA").convert("RGB" if mode == "P" else mode)
    image = image.convert(mode)
    image.save(tmp_path / "a.png")
    kept = image.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    expected = np.asarray(kept).reshape(20, 30, channels)
    np.testing.assert_array_equal(read_channels(tmp_path / "a.png", channels), expected)
    np.testing.assert_array_equal(array_of_channels(image, channels), expected)


def test_16_bits_of_a_gray_png_are_kept(tmp_path):
    Image.fromarray(WIDE[..., 0]).save(tmp_path / "a.png")
    pixels = read_channels(tmp_path / "a.png", 1)
    np.testing.assert_array_equal(np.rint(pixels[..., 0] * 257), WIDE[..., 0])


def test_a_cmyk_image_is_rgb(tmp_path):
    Image.fromarray(BYTES[..., :4], "CMYK").save(tmp_path / "a.jpg")
    assert read_channels(tmp_path / "a.jpg", None).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (BYTES, "uint8"),
        (WIDE, "float32"),
        (np.asfortranarray(WIDE), "float32"),
        (WIDE.astype(">u2"), "float32"),
        (BYTES.astype("float64"), "float32"),
        (BYTES.astype("int64"), "float32"),
        (BYTES > 9, "uint8"),
    ],
)
def test_arrays_in_files_and_in_memory(tmp_path, array, dtype):
    np.save(tmp_path / "a.npy", array)
    pixels = read_channels(tmp_path / "a.npy", 5)
    assert pixels.dtype == dtype
    expected = array * 255.0 if array.dtype == bool else array / (257 if array.max() > 255 else 1)
    np.testing.assert_allclose(pixels, expected, rtol=1e-6)
    np.testing.assert_array_equal(array_of_channels(array, 5), pixels)
    assert image_size(tmp_path / "a.npy") == (30, 20)
    assert suffix_of(tmp_path / "a.npy") == suffix_of(io.BytesIO(b"\x93NUMPY\1\0")) == ".npy"


def test_three_channels_of_16_bits_are_rgb(tmp_path):
    np.save(tmp_path / "a.npy", WIDE[..., :3])
    tifffile.imwrite(tmp_path / "a.tif", WIDE[..., :3], photometric="rgb")
    expected = np.rint(WIDE[..., :3] / 257).astype("uint8")
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy"), expected)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), expected, atol=1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (WIDE, "must have the 4 channels of the model. Received: 5 channels.*--channels 5"),
        (np.zeros((2, 3, 4, 5), "uint8"), r"\(height, width\) or \(height, width, channels\)"),
        (np.zeros(5, "uint8"), r"\(height, width\) or \(height, width, channels\)"),
        (np.zeros((20, 0, 4), "uint8"), "0 x 20 pixels"),
        (np.zeros((4, 20, 3000), "uint8"), "3000 channels"),
        (np.array([[["a"]]]), "of numbers"),
        (np.full((2, 2, 4), np.nan), "numbers in 0..255. Received: float64 from nan"),
        (np.full((2, 2, 4), 4000.0), "Received: float64 from 4000 to 4000: scale them to uint16"),
        (np.full((2, 2, 4), -9), "Received: int64 from -9"),
        (np.full((2, 2, 4), 1j), "of numbers"),
        (np.full((2, 2, 4), {}), "of numbers"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ImageError, match=f"a.npy: .*{message}"):
        read_channels(tmp_path / "a.npy", 4)


def test_damaged_arrays(tmp_path):
    np.save(tmp_path / "a.npy", BYTES)
    write_tiff(tmp_path / "a.tif", BYTES, planarconfig="contig")
    for name in ("a.npy", "a.tif"):
        content = (tmp_path / name).read_bytes()
        for length in (0, 4, 7, 9, len(content) // 2):
            (tmp_path / "b").write_bytes(content[:length])
            with pytest.raises(ImageError, match=r"b: (damaged|not an image|no such)"):
                read_channels(tmp_path / "b", 5)


def test_a_header_that_claims_more_than_is_accepted(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 4)}
    )
    (tmp_path / "a.npy").write_bytes(header.getvalue())
    with pytest.raises(ImageError, match="1000000 x 1000000 pixels"):
        read_channels(tmp_path / "a.npy", 4)


def test_several_axes_of_a_tiff(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((2, 3, 20, 30), "uint8"))
    with pytest.raises(ImageError, match="one axis of channels are read"):
        read_channels(tmp_path / "a.tif", 3)


def test_without_tifffile(tmp_path, monkeypatch):
    write_tiff(tmp_path / "a.tif", WIDE, planarconfig="contig")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ImageError, match=r"a.tif: .* needs tifffile: run `pip install"):
        read_channels(tmp_path / "a.tif", 5)


def test_resizing_is_that_of_rgb_images(tmp_path):
    """Of channels that are alike, a model gets the pixels that it gets of the gray RGB image."""
    rgb = np.ascontiguousarray(np.repeat(BYTES[..., :1], 3, axis=2))
    for size in (16, (16, 24), (40, 20)):
        cropped = crop_channels(BYTES[..., :1], size)
        np.testing.assert_array_equal(cropped, center_crop(Image.fromarray(rgb), size)[..., :1])
    shrunk = pixels_of(BYTES[..., :1], 1, longer_side=15)
    np.testing.assert_array_equal(shrunk, pixels_of(rgb, 3, longer_side=15)[..., :1])
    assert pixels_of(WIDE, 5, longer_side=15).max() <= 255


def test_pictures_to_look_at(tmp_path):
    np.save(tmp_path / "a.npy", WIDE)
    np.testing.assert_array_equal(
        np.asarray(open_picture(tmp_path / "a.npy")), np.rint(WIDE[..., :3] / 257)
    )
    np.save(tmp_path / "a.npy", WIDE[..., :2])
    gray = np.asarray(open_picture(tmp_path / "a.npy"))
    np.testing.assert_array_equal(gray, np.repeat(np.rint(WIDE[..., :1] / 257), 3, axis=2))
    (tmp_path / "a.npy").write_bytes(b"nothing")
    with pytest.raises(ImageError, match="not an image"):
        open_picture(tmp_path / "a.npy")


def test_arrays_beside_images_are_copies_of_them():
    names = ["a/1.JPG", "a/1.npy", "a/2.npy", "b/1.npy"]
    assert without_cached_arrays(names) == ["a/1.JPG", "a/2.npy", "b/1.npy"]
