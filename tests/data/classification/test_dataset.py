"""Photos with labels: where they are found, how they are split, changed and fed."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    check_images,
    evaluation_batches,
    load_classification_dataset,
    training_batches,
)
from cspdarknet.data.classification.augment import (
    OPERATIONS,
    cutmix,
    mixup,
    rand_augment,
    random_resized_crop,
)
from cspdarknet.data.classification.dataset import load_classification_split
from cspdarknet.images import ImageError, center_crop, open_image
from photo_sets import COLORS, write_photos

pytestmark = pytest.mark.one_backend

# Finding and splitting.


def test_a_folder_of_classes_is_split_by_class_and_seed(tmp_path):
    write_photos(tmp_path, per_class=10)
    splits = load_classification_dataset(tmp_path, validation_split=0.2, seed=1)
    assert splits.class_names == ("blue", "green", "red")
    np.testing.assert_array_equal(splits.train.counts, [8, 8, 8])
    np.testing.assert_array_equal(splits.validation.counts, [2, 2, 2])
    assert not set(splits.train.paths) & set(splits.validation.paths)
    for path, label in zip(splits.train.paths, splits.train.labels, strict=True):
        assert path.parent.name == splits.class_names[label]
    again = load_classification_dataset(tmp_path, validation_split=0.2, seed=1)
    assert again.validation.paths == splits.validation.paths
    other = load_classification_dataset(tmp_path, validation_split=0.2, seed=2)
    assert other.validation.paths != splits.validation.paths


def test_the_fingerprint_tells_photos_not_where_they_are(tmp_path, monkeypatch):
    write_photos(tmp_path / "a", 3)
    monkeypatch.chdir(tmp_path)
    there, here = load_classification_dataset(tmp_path / "a"), load_classification_dataset("a")
    assert here.train.fingerprint == there.train.fingerprint
    (tmp_path / "a/red/0.png").rename(tmp_path / "a/red/9.png")
    assert load_classification_dataset("a").train.fingerprint != there.train.fingerprint


@pytest.mark.parametrize("name", ["validation", "val", "Valid"])
def test_parts_of_a_data_set(tmp_path, name):
    write_photos(tmp_path / "train", 3)
    write_photos(tmp_path / name, 2)
    write_photos(tmp_path / "test", 1)
    splits = load_classification_dataset(tmp_path)
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [9, 6, 3]
    assert len(load_classification_split(tmp_path, tuple(COLORS))) == 3  # the test part


def test_a_csv_file(tmp_path):
    write_photos(tmp_path / "all", 2)
    rows = ["file,class,split"]
    for name in COLORS:
        rows += [f"all/{name}/0.png,{name},train", f"all/{name}/1.png,{name},val"]
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    splits = load_classification_dataset(tmp_path / "photos.csv")
    assert [len(splits.train), len(splits.validation), splits.test] == [3, 3, None]
    assert splits.train.paths[0] == tmp_path / "all/blue/0.png"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 'path'"),
        ("path\na.png", "column 'label'"),
        ("path,label,split\na.png,x,dev", "one of train, validation, test"),
        ("path,label\na.png,", "line 2"),
        ("path,label\na.png,x\nb.png,x", "single class"),
        ("path,label\na.png,x\na.png,y", "twice"),
    ],
)
def test_a_csv_file_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_classification_dataset(tmp_path / "a.csv")


def test_data_that_cannot_be_used(tmp_path):
    with pytest.raises(ValueError, match="neither a folder"):
        load_classification_dataset(tmp_path / "missing")
    with pytest.raises(ValueError, match="no photo to train on"):
        load_classification_dataset(tmp_path)
    write_photos(tmp_path / "train", 1)
    with pytest.raises(ValueError, match="single photo"):
        load_classification_dataset(tmp_path)
    write_photos(tmp_path / "val", 1)
    (tmp_path / "val/red").rename(tmp_path / "val/pink")
    with pytest.raises(ValueError, match="pink"):
        load_classification_dataset(tmp_path)
    with pytest.raises(ValueError, match="the model knows blue"):
        load_classification_split(tmp_path, ["blue"])
    with pytest.raises(ValueError, match="validation_split"):
        load_classification_dataset(tmp_path, validation_split=1.5)


def test_a_class_with_one_photo_keeps_it_for_training(tmp_path):
    write_photos(tmp_path, 4)
    for i in range(3):
        (tmp_path / f"red/{i}.png").unlink()
    splits = load_classification_dataset(tmp_path)
    np.testing.assert_array_equal(splits.train.counts, [3, 3, 1])


# Files of all kinds.


def write_odd_files(folder):
    """One file of each kind that data sets of the wild hold; return those that are no photos."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), "uint8"))
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.save(folder / "misnamed.png", format="JPEG")
    photo.convert("RGBA").save(folder / "alpha.png")
    photo.convert("LA").save(folder / "gray_alpha.png")
    photo.convert("1").save(folder / "bits.png")
    photo.convert("P").save(folder / "palette.gif")
    Image.fromarray(np.full((30, 40), 40_000, "uint16")).save(folder / "16bit.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "rotated.jpg", exif=exif)
    good = folder / "misnamed.png"
    (folder / "truncated.jpg").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no photo at all")
    write_bomb(folder / "bomb.png")
    return {"truncated.jpg", "empty.jpg", "text.jpg", "bomb.png"}


def write_bomb(path):
    """A few kilobytes that claim to be 60000 x 60000 pixels."""
    Image.new("1", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)


def test_files_that_are_no_photos_are_named_and_left_out(tmp_path):
    write_photos(tmp_path, 3)
    bad = write_odd_files(tmp_path / "red")
    photos = load_classification_dataset(tmp_path).train
    good, skipped = check_images(photos, workers=2)
    found = {item.path.name for item in skipped}
    assert found == bad & {path.name for path in photos.paths}
    assert found
    assert all(item.reason for item in skipped)
    assert len(good) + len(skipped) == len(photos)
    assert not found & {path.name for path in good.paths}


def test_odd_files_that_are_photos_are_read(tmp_path):
    bad = write_odd_files(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        if path.name in bad:
            with pytest.raises(ImageError):
                open_image(path, 64)
        else:
            assert center_crop(open_image(path, 64), 32).shape == (32, 32, 3)


def test_a_file_that_breaks_during_the_training_weighs_nothing(tmp_path):
    photos = load_classification_dataset(write_photos(tmp_path, 4)).train
    photos.paths[0].write_bytes(b"")
    source = ClassificationSource(photos, ClassificationAugmentation(), batch_size=len(photos))
    ((images, _, weights),) = training_batches(source, 32, 0, 1)
    assert (weights == 0).sum() == 1
    assert list(source.failures) == [photos.paths[0]]
    assert (images[weights == 0] == 128).all()


# ClassificationAugmentation.


def test_every_operation_of_rand_augment_keeps_the_form_and_does_something():
    image = Image.fromarray(np.random.default_rng(0).integers(60, 200, (32, 48, 3), "uint8"))
    for operation in OPERATIONS:
        changed = operation(image, 0.7)
        assert (changed.size, changed.mode) == (image.size, "RGB")
        assert np.asarray(changed).tolist() != np.asarray(image).tolist()


def test_crops_show_what_they_say():
    rng = np.random.default_rng(0)
    columns = np.tile(np.arange(200, dtype="uint8"), (100, 1))
    image = Image.fromarray(np.stack([columns] * 3, -1))
    for _ in range(50):
        pixels = np.asarray(random_resized_crop(image, 16, (0.5, 1.0), (0.9, 1.1), rng))
        assert pixels.shape == (16, 16, 3)
        # A crop of half to all of 200 x 100 that is nearly square shows 94 to 105 columns.
        assert 70 <= int(pixels[0, -1, 0]) - int(pixels[0, 0, 0]) <= 105
    thin = Image.new("RGB", (1, 400))
    assert random_resized_crop(thin, 16, (0.5, 1.0), (0.9, 1.1), rng).size == (16, 16)


def test_no_magnitude_leaves_geometry_alone():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), "uint8"))
    for operation in OPERATIONS[:9]:
        np.testing.assert_array_equal(np.asarray(operation(image, 0.0)), np.asarray(image))
    assert rand_augment(image, 0, 1.0, np.random.default_rng(0)) is image


def batch(count=4, size=8):
    images = np.arange(count, dtype="float32")[:, None, None, None] * np.ones((1, size, size, 3))
    labels = np.eye(count, dtype="float32")
    return images.astype("float32"), labels


def test_mixup_blends_photos_as_it_blends_labels():
    images, labels = mixup(batch(), 0.4, np.random.default_rng(0))
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(images[:, 0, 0, 0], labels @ np.arange(4), rtol=1e-5)


def test_cutmix_shares_labels_by_area():
    for seed in range(20):
        images, labels = cutmix(batch(), 1.0, np.random.default_rng(seed))
        for i in range(4):
            shown = [(images[i] == value).mean() for value in range(4)]
            np.testing.assert_allclose(labels[i], shown, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_area": (0.0, 1.0)},
        {"crop_area": (0.8, 0.5)},
        {"crop_aspect": (2.0, 1.0)},
        {"flip": 2},
        {"rand_augment": -1},
        {"mix": 0.5, "mixup_alpha": 0, "cutmix_alpha": 0},
    ],
)
def test_augmentations_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClassificationAugmentation(**wrong)


# Batches.


def source_of(tmp_path, **kwargs):
    photos = load_classification_dataset(write_photos(tmp_path, 5)).train
    return ClassificationSource(
        photos, ClassificationAugmentation(mix=0.5), batch_size=4, seed=3, **kwargs
    )


def test_batches_are_the_same_whenever_they_are_asked_for(tmp_path):
    source = source_of(tmp_path)
    whole = list(training_batches(source, 32, 0, 6))
    tail = list(training_batches(source, 32, 4, 2))
    for expected, found in zip(whole[4:], tail, strict=True):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(whole[0][0], whole[3][0])


def test_each_pass_shows_every_photo_once_in_another_order(tmp_path):
    photos = load_classification_dataset(write_photos(tmp_path, 5)).train
    seen = []

    class Recorder(ClassificationSource):
        def load(self, index, size, rng):
            seen.append(index)
            return super().load(index, size, rng)

    source = Recorder(photos, ClassificationAugmentation(), batch_size=len(photos), workers=1)
    list(training_batches(source, 32, 0, 3))
    passes = [seen[i : i + len(photos)] for i in range(0, len(seen), len(photos))][:3]
    assert all(sorted(p) == list(range(len(photos))) for p in passes)
    assert passes[0] != passes[1]


def test_processes_share_each_batch(tmp_path):
    source = source_of(tmp_path)
    plain = ClassificationSource(source.photos, ClassificationAugmentation(), 4, 3)
    shares = [
        ClassificationSource(source.photos, ClassificationAugmentation(), 4, 3, process=(i, 2))
        for i in (0, 1)
    ]
    whole = list(training_batches(plain, 32, 0, 3))
    parts = [list(training_batches(share, 32, 0, 3)) for share in shares]
    for expected, first, second in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(expected[0][0::2], first[0])
        np.testing.assert_array_equal(expected[0][1::2], second[0])


def test_class_weights_are_the_weights_of_the_photos(tmp_path):
    source = source_of(tmp_path)
    weighted = ClassificationSource(
        source.photos, ClassificationAugmentation(), 4, class_weights=np.array([1, 2, 4], "float32")
    )
    for _, labels, weights in training_batches(weighted, 32, 0, 3):
        np.testing.assert_array_equal(weights, labels @ [1, 2, 4])


def test_a_mixture_keeps_the_weight_of_each_class(tmp_path):
    source = source_of(tmp_path)
    factors = np.array([1, 2, 4], "float32")
    mixing = ClassificationAugmentation(mix=1.0)
    plain = ClassificationSource(source.photos, mixing, 4, 3)
    weighted = ClassificationSource(source.photos, mixing, 4, 3, class_weights=factors)
    for a, b in zip(*(training_batches(s, 32, 0, 4) for s in (plain, weighted)), strict=True):
        # weight x label is what the loss of each class is multiplied by
        np.testing.assert_allclose(b[1] * b[2][:, None], a[1] * factors, rtol=1e-5)
        np.testing.assert_allclose(b[1].sum(axis=1), 1, rtol=1e-5)


def test_a_class_may_be_named_like_a_part(tmp_path):
    write_photos(tmp_path, 4)
    (tmp_path / "red").rename(tmp_path / "train")
    (tmp_path / "blue/.hidden").mkdir()
    (tmp_path / "blue/0.png").rename(tmp_path / "blue/.hidden/0.png")
    splits = load_classification_dataset(tmp_path)
    assert splits.class_names == ("blue", "green", "train")
    assert len(splits.train) + len(splits.validation) == 11


def test_evaluation_batches_keep_the_order_and_report_what_is_no_photo(tmp_path):
    photos = load_classification_dataset(write_photos(tmp_path, 5)).train
    photos.paths[4].write_bytes(b"")
    batches = list(evaluation_batches(photos.paths, 32, 5))
    assert [len(images) for images, _ in batches] == [5] * (len(photos) // 5) + (
        [len(photos) % 5] if len(photos) % 5 else []
    )
    errors = [error for _, found in batches for error in found]
    assert [i for i, error in enumerate(errors) if error] == [4]
    images = np.concatenate([images for images, _ in batches])
    expected = center_crop(open_image(photos.paths[7]), 32)
    np.testing.assert_array_equal(images[7], expected)
