"""Batches of images from everything that a detector's `predict` accepts."""

import keras
import numpy as np
import pytest
from PIL import Image

from cspdarknet.images import ImageError
from cspdarknet.models.image_batches import image_batches, is_images, letterbox_batch

pytestmark = pytest.mark.one_backend


@pytest.fixture
def batch():
    """Three images of different values."""
    values = np.array([10, 20, 30], "uint8").reshape(3, 1, 1, 1)
    return np.broadcast_to(values, (3, 4, 6, 3)).copy()


class UnknownLength(list):
    """An iterable without a length, like a streamed dataset."""

    def __len__(self):
        raise TypeError("unknown")


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: x.astype("float32"),
        lambda x: keras.ops.convert_to_tensor(x.astype("float32")),
        lambda x: list(x),
        lambda x: [x[0].tolist(), *x[1:]],
        lambda x: iter([x[:2], x[2:]]),
        lambda x: [(x, {"boxes": 0})],
        lambda x: [[x[0], x[1]], [x[2]]],
        lambda x: UnknownLength([x]),
        lambda x: iter(x),
    ],
)
def test_every_form(batch, form):
    batches = list(image_batches(form(batch), 2, None))
    assert [len(images) for images in batches] == [2, 1]
    for image, expected in zip(batches[0] + batches[1], batch, strict=True):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, expected)


def test_one_image_in_every_form(tmp_path, batch):
    image = Image.fromarray(batch[1])
    image.save(tmp_path / "a.png")
    path, array = tmp_path / "a.png", batch[1]
    for x in (str(path), path, [path], iter([path]), image, [image], array, array.tolist()):
        ((pixels,),) = image_batches(x, 8, None)
        np.testing.assert_array_equal(pixels, array)


def test_files_are_read_when_they_are_due(tmp_path, batch):
    Image.fromarray(batch[0]).save(tmp_path / "a.png")
    batches = image_batches([tmp_path / "a.png", "no.png"], 1, None)
    assert len(next(batches)) == 1
    with pytest.raises(ImageError, match=r"no\.png"):
        next(batches)


def test_images_of_different_sizes():
    images = [np.zeros((5, 7, 3), "uint8"), np.zeros((2, 1, 3))]
    (batches,) = image_batches(images, 8, None)
    assert [image.shape for image in batches] == [(5, 7, 3), (2, 1, 3)]


def test_steps(batch):
    assert [len(images) for images in image_batches(batch, 2, 1)] == [2]
    assert [len(images) for images in image_batches(iter([batch, batch]), 8, 1)] == [3]


def test_what_counts_as_images(batch):
    assert is_images(batch)
    assert is_images(list(batch))
    assert is_images([])
    assert not is_images([batch])
    assert not is_images(iter(batch))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((10, 10)), r"images \(n, height, width, 3\).*\(10, 10\)"),
        (np.zeros((10, 10, 4)), r"\(height, width, 3\)"),
        (7, "`x` must be an image, .* or their paths. Received: x of type int"),
        ("no.png", "no.png: no such file"),
        (["no.png"], "no.png: no such file"),
        ([np.zeros((10, 10))], r"\(height, width, 3\)"),
        ([np.zeros((10, 10, 4))], r"\(height, width, 3\)"),
        ([np.zeros((0, 10, 3))], r"\(height, width, 3\)"),
        ([np.full((10, 10, 3), np.nan)], "finite numbers.*NaN"),
        ([np.full((10, 10, 3), 60_000, "uint16")], "0..255. Received: 60000 to 60000"),
        ([np.full((10, 10, 3), -300)], "0..255. Received: -300"),
        ([np.full((10, 10, 3), "x")], "finite numbers"),
    ],
)
def test_bad_images(x, message):
    with pytest.raises(ValueError, match=message):
        list(image_batches(x, 8, None))


def test_images_of_0_to_1_are_warned_about():
    with pytest.warns(UserWarning, match="must be in 0..255"):
        list(image_batches([np.full((10, 10, 3), 0.5)], 8, None))


def test_a_letterboxed_batch_is_filled_up():
    images = [np.full((4, 8, 3), 7, "uint8"), np.full((2, 1, 3), 9, "uint8")]
    batch = letterbox_batch(images, 8, 3, "channels_last")
    assert batch["image_sizes"].tolist() == [[4, 8], [2, 1], [8, 8]]
    assert batch["images"].dtype == np.float32
    assert batch["images"][:, 0, 0, 0].tolist() == [7, 9, 114]
    assert (batch["images"][0, 4:] == 114).all()
    first = letterbox_batch(images, 8, 3, "channels_first")
    np.testing.assert_array_equal(first["images"].transpose(0, 2, 3, 1), batch["images"])
