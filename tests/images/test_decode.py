"""Reading of image files of every kind."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from cspdarknet import _pixels
from cspdarknet.images import (
    ImageError,
    as_image_array,
    center_crop,
    checks,
    image_size,
    open_image,
    read_image,
)
from fuzz.image_seeds import STUBS, with_chunk

pytestmark = pytest.mark.one_backend

RED = np.zeros((20, 30, 3), "uint8") + np.array([200, 30, 40], "uint8")


def saved(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_plain(tmp_path):
    path = saved(tmp_path, Image.fromarray(RED), "a.png")
    image = read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, RED)


def test_shrinks_but_never_enlarges(tmp_path):
    path = saved(tmp_path, Image.fromarray(RED).resize((600, 400)), "a.jpg")
    assert read_image(path, 150).shape == (100, 150, 3)
    assert read_image(path, 6000).shape == (400, 600, 3)
    assert read_image(str(path), 1).shape == (1, 1, 3)
    assert np.abs(read_image(path, 150).astype(int) - RED[0, 0]).max() <= 6


def test_exif_orientation(tmp_path):
    left_red = np.zeros((10, 40, 3), "uint8")
    left_red[:, :20, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    path = saved(tmp_path, Image.fromarray(left_red), "a.png", exif=exif)
    image = read_image(path)
    assert image.shape == (40, 10, 3)
    assert image[:20, :, 0].min() == 255
    assert image[20:].max() == 0


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA", "PA"])
def test_modes(tmp_path, mode):
    image = Image.fromarray(np.full((8, 8, 3), 255, "uint8")).convert(mode)
    suffix = "tif" if mode in ("CMYK", "YCbCr", "PA") else "png"
    if mode == "PA":
        image = image.convert("RGBA")
    image = read_image(saved(tmp_path, image, f"a.{suffix}"))
    assert image.shape == (8, 8, 3)
    assert image.min() >= 250


def test_16_bits(tmp_path):
    values = np.linspace(0, 65535, 256).astype("uint16").reshape(16, 16)
    image = read_image(saved(tmp_path, Image.fromarray(values), "a.png"))
    np.testing.assert_array_equal(image[..., 0].ravel(), np.arange(256))


def test_16_bits_are_16_bits_however_dark(tmp_path):
    values = np.full((4, 4), 200, "uint16")
    assert read_image(saved(tmp_path, Image.fromarray(values), "a.png")).max() == 1


@pytest.mark.parametrize(("largest", "factor"), [(1.0, 255), (200.0, 1), (65535.0, 1 / 257)])
def test_floats(tmp_path, largest, factor):
    values = np.linspace(0, largest, 64, dtype="float32").reshape(8, 8)
    image = read_image(saved(tmp_path, Image.fromarray(values), "a.tif"))
    np.testing.assert_allclose(image[..., 0], values * factor, atol=0.51)


def test_nan_pixels(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.full((4, 4), np.nan, "float32")), "a.tif")
    with pytest.raises(ImageError, match="NaN"):
        read_image(path)


def test_bad_longer_side(tmp_path):
    path = saved(tmp_path, Image.fromarray(RED), "a.png")
    with pytest.raises(ValueError, match="longer_side"):
        read_image(path, -5)


def test_transparent_pixels_become_white(tmp_path):
    pixels = np.zeros((4, 4, 4), "uint8")
    pixels[:2] = (255, 0, 0, 255)
    image = read_image(saved(tmp_path, Image.fromarray(pixels), "a.png"))
    assert tuple(image[0, 0]) == (255, 0, 0)
    assert tuple(image[3, 3]) == (255, 255, 255)


def test_the_content_counts_not_the_suffix(tmp_path):
    path = saved(tmp_path, Image.fromarray(RED), "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(path), RED)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (5, 5), color) for color in ("red", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert tuple(read_image(path)[0, 0]) == (255, 0, 0)


def test_files_that_are_not_images(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    data = saved(tmp_path, Image.fromarray(RED).resize((300, 200)), "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    for name, message in [
        ("empty.jpg", "not an image"),
        ("text.jpg", "not an image"),
        ("cut.jpg", "damaged"),
        ("none.jpg", "no such file"),
        (".", "not a file"),
    ]:
        with pytest.raises(ImageError, match=message):
            read_image(tmp_path / name)


def test_decompression_bomb(tmp_path):
    path = saved(tmp_path, Image.new("1", (20_000, 20_000)), "bomb.png")
    assert path.stat().st_size < 200_000
    with pytest.raises(ImageError, match="pixels"):
        read_image(path)


# Other steps.


def test_a_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (800, 400)), "a.jpg")
    assert open_image(path).size == (800, 400)
    assert open_image(path, longer_side=150).size == (200, 100)
    assert open_image(path, shorter_side=150).size == (400, 200)


def test_bytes_are_read_like_the_file(tmp_path):
    path = saved(tmp_path, Image.effect_noise((640, 480), 50), "a.jpg", quality=95)
    content = path.read_bytes()
    for sides in ({}, {"longer_side": 100}, {"shorter_side": 64}):
        expected = np.asarray(open_image(path, **sides))
        np.testing.assert_array_equal(open_image(content, **sides), expected)
    for bad in (b"", b"not an image", content[:200], STUBS["eps"]):
        with pytest.raises(ImageError, match="An image in memory: "):
            read_image(bad)


def test_the_center_crop_is_the_middle_square(tmp_path):
    stripes = np.zeros((20, 60, 3), "uint8")
    stripes[:, 20:40] = RED[0, 0]
    crop = center_crop(Image.fromarray(stripes), 10)
    assert crop.shape == (10, 10, 3)
    np.testing.assert_array_equal(crop[:, 2:-2], RED[:10, :6])  # the border is interpolated


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "Received: None"),
        ([[1, 2], [1]], "Received: not an array"),
        (np.zeros((8, 8)), r"Received: the shape \(8, 8\)"),
        (np.zeros((0, 8, 3)), r"Received: the shape \(0, 8, 3\)"),
        (np.full((2, 2, 3), "x"), "Received: <U1"),
        (np.full((2, 2, 3), np.nan), "Received: NaN or infinite values in float64"),
        (np.full((2, 2, 3), 300), "Received: 300 to 300"),
    ],
)
def test_objects_that_are_not_images(item, message):
    with pytest.raises(ImageError, match=message):
        as_image_array(item)


def test_arrays_of_any_dtype():
    np.testing.assert_array_equal(as_image_array(RED.astype("float32") + 0.2), RED)
    assert as_image_array(RED) is RED
    with pytest.warns(UserWarning, match="no value above 1"):
        as_image_array(RED / 255)


# Damaged and hostile files.


def test_formats_that_pillow_cannot_decode_by_itself(tmp_path):
    """Their size may be 0, and EPS would be drawn by Ghostscript."""
    for name, content in STUBS.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(content)
        for read in (read_image, image_size, lambda path: open_image(path, shorter_side=32)):
            try:
                read(path)
            except ImageError as error:
                assert str(error).startswith(f"{path}: ")  # noqa: PT017
    with pytest.raises(ImageError, match=r"eps\.jpg: a file in the format EPS, which is not read"):
        read_image(tmp_path / "eps.jpg")


@pytest.mark.parametrize("error", [RuntimeError, ZeroDivisionError, KeyError, NotImplementedError])
def test_any_error_of_a_decoder_is_a_damaged_image(tmp_path, monkeypatch, error):
    def fail(_):
        raise error("line 1\nline 2" + 1000 * "x")

    path = saved(tmp_path, Image.fromarray(RED), "a.png")
    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(ImageError, match="damaged") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < len(str(path)) + 250


def test_a_damaged_avif(tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = saved(tmp_path, Image.fromarray(RED), "a.avif").read_bytes()
    (tmp_path / "a.avif").write_bytes(data[:-40] + bytes(40))
    with pytest.raises(ImageError, match=r"a\.avif: damaged"):
        read_image(tmp_path / "a.avif")


def png_with(kind, data):
    """A PNG with a chunk behind its header."""
    content = io.BytesIO()
    Image.fromarray(RED).save(content, "PNG")
    return with_chunk(content.getvalue(), kind, data)


@pytest.mark.parametrize(
    "content",
    [
        png_with(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)),
        png_with(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000))),
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3) + b"," + bytes(99),
        b"P6\n0 5\n255\n",
    ],
)
def test_files_that_claim_more_than_they_hold(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.jpg")


def test_formats_whose_decoders_copy_have_half_the_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "MAX_PIXELS", RED.size // 3)
    assert read_image(saved(tmp_path, Image.fromarray(RED), "a.png")).shape == RED.shape
    path = saved(tmp_path, Image.fromarray(RED), "a.webp")
    for read in (read_image, image_size):
        with pytest.raises(ImageError, match="30 x 20 pixels, and from 1 to 300 are accepted"):
            read(path)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"nonsense"])
def test_nonsense_for_exif_data_is_passed_over(tmp_path, exif):
    path = saved(tmp_path, Image.fromarray(RED), "a.jpg", exif=exif, quality=100)
    assert read_image(path).shape == RED.shape
    assert image_size(path) == (30, 20)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "I;16", "F", "CMYK"])
def test_an_image_of_several_strips_is_that_of_one(tmp_path, monkeypatch, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 23, 4), "uint8")
    if mode in ("I;16", "F"):
        image = Image.fromarray(pixels[..., 0].astype("uint16" if mode == "I;16" else "float32"))
    else:
        image = Image.fromarray(pixels).convert(mode)
    path = saved(tmp_path, image, "a.tif" if mode in ("F", "CMYK") else "a.png")
    whole = read_image(path)
    monkeypatch.setattr(_pixels, "STRIP_PIXELS", 100)
    np.testing.assert_array_equal(read_image(path), whole)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "ppm"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 5, 6, 7, 8])
def test_the_size_of_a_file_is_that_of_its_pixels(tmp_path, suffix, orientation):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", (9, 5)).save(tmp_path / f"a.{suffix}", exif=exif)
    width, height = image_size(tmp_path / f"a.{suffix}")
    assert read_image(tmp_path / f"a.{suffix}").shape == (height, width, 3)


def test_sizes_of_files_that_are_no_images(tmp_path):
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(ImageError, match=r"a\.jpg: not an image"):
        image_size(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"b\.jpg: no such file"):
        image_size(tmp_path / "b.jpg")


@pytest.mark.parametrize("magic", [b"P6", b"P4"])
@pytest.mark.parametrize("rest", [b"\n#%b\n4 4 255\n", b" 4 4#%b\n 255\n", b" 4 %b\n4 255\n"])
def test_a_ppm_header_without_an_end(tmp_path, magic, rest):
    """Pillow reads it byte by byte."""
    path = tmp_path / "a.ppm"
    for length, is_read in ((1000, True), (70_000, magic == b"P4" and rest.startswith(b" 4 4"))):
        path.write_bytes(magic + rest % (b" " * length) + bytes(48))
        for image in (path, path.read_bytes()):
            if is_read:
                assert read_image(image).shape == (4, 4, 3)
            else:
                with pytest.raises(ImageError, match="a header of more than 65536 bytes"):
                    read_image(image)
