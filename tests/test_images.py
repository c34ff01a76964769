"""Reading photos: every kind of file that people have, and files that are none."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.images import ImageError, read_image

pytestmark = pytest.mark.one_backend

RED = np.zeros((20, 30, 3), "uint8") + np.array([200, 30, 40], "uint8")


def saved(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_plain(tmp_path):
    path = saved(tmp_path, Image.fromarray(RED), "a.png")
    photo = read_image(path)
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, RED)


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
    photo = read_image(path)
    assert photo.shape == (40, 10, 3)
    assert photo[:20, :, 0].min() == 255
    assert photo[20:].max() == 0


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA", "PA"])
def test_modes(tmp_path, mode):
    image = Image.fromarray(np.full((8, 8, 3), 255, "uint8")).convert(mode)
    suffix = "tif" if mode in ("CMYK", "YCbCr", "PA") else "png"
    if mode == "PA":
        image = image.convert("RGBA")
    photo = read_image(saved(tmp_path, image, f"a.{suffix}"))
    assert photo.shape == (8, 8, 3)
    assert photo.min() >= 250


def test_16_bits(tmp_path):
    values = np.linspace(0, 65535, 256).astype("uint16").reshape(16, 16)
    photo = read_image(saved(tmp_path, Image.fromarray(values), "a.png"))
    np.testing.assert_array_equal(photo[..., 0].ravel(), np.arange(256))


def test_16_bits_are_16_bits_however_dark(tmp_path):
    values = np.full((4, 4), 200, "uint16")
    assert read_image(saved(tmp_path, Image.fromarray(values), "a.png")).max() == 1


@pytest.mark.parametrize(("largest", "factor"), [(1.0, 255), (200.0, 1), (65535.0, 1 / 257)])
def test_floats(tmp_path, largest, factor):
    values = np.linspace(0, largest, 64, dtype="float32").reshape(8, 8)
    photo = read_image(saved(tmp_path, Image.fromarray(values), "a.tif"))
    np.testing.assert_allclose(photo[..., 0], values * factor, atol=0.51)


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
    photo = read_image(saved(tmp_path, Image.fromarray(pixels), "a.png"))
    assert tuple(photo[0, 0]) == (255, 0, 0)
    assert tuple(photo[3, 3]) == (255, 255, 255)


def test_the_content_counts_not_the_suffix(tmp_path):
    path = saved(tmp_path, Image.fromarray(RED), "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(path), RED)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (5, 5), color) for color in ("red", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert tuple(read_image(path)[0, 0]) == (255, 0, 0)


def test_no_photo(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a photo")
    data = saved(tmp_path, Image.fromarray(RED).resize((300, 200)), "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    for name, message in [
        ("empty.jpg", "not an image"),
        ("text.jpg", "not an image"),
        ("cut.jpg", "damaged"),
        ("none.jpg", "no such file"),
        (".", "damaged"),
    ]:
        with pytest.raises(ImageError, match=message):
            read_image(tmp_path / name)


def test_decompression_bomb(tmp_path):
    path = saved(tmp_path, Image.new("1", (20_000, 20_000)), "bomb.png")
    assert path.stat().st_size < 200_000
    with pytest.raises(ImageError, match="pixels"):
        read_image(path)
