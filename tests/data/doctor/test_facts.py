"""Facts about image files: size, checksum, perceptual hash, and whether they can be decoded."""

import os

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from annotation_files import write_image
from cspdarknet.data.doctor.facts import read_facts
from doctor_images import picture

pytestmark = pytest.mark.one_backend


def bits(a, b):
    return (a.hash ^ b.hash).bit_count()


def test_copies_have_similar_hashes_and_other_images_have_not(tmp_path):
    image = picture(0)
    variants = {
        "original.png": image,
        "recompressed.jpg": image,
        "smaller.jpg": image.resize((120, 90)),
        "brighter.jpg": ImageEnhance.Brightness(image).enhance(1.1),
    }
    for name, variant in variants.items():
        options = {"quality": 40} if name.endswith("jpg") else {}
        variant.save(tmp_path / name, **options)
    facts = [read_facts(tmp_path / name) for name in variants]
    assert max(bits(facts[0], other) for other in facts) <= 4
    others = []
    for seed in range(1, 6):
        picture(seed).save(tmp_path / "other.png")
        others.append(read_facts(tmp_path / "other.png"))
    assert min(bits(facts[0], other) for other in others) > 12
    assert facts[0].size == (240, 180)
    assert len({item.digest for item in facts}) == 4


def test_the_size_is_that_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_image(tmp_path / "a.jpg", size=(80, 60), exif=exif)
    assert read_facts(path).size == (60, 80)


def test_images_of_a_single_color(tmp_path):
    noise = np.random.default_rng(0).integers(120, 124, (60, 80, 3)).astype("uint8")
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    transparent = Image.new("RGBA", (80, 60), (10, 20, 30, 0))
    transparent.save(tmp_path / "transparent.png")
    dotted = Image.new("RGB", (80, 60), "white")
    dotted.paste("black", (40, 30, 44, 34))
    dotted.save(tmp_path / "dotted.png")
    names = ("noise.jpg", "transparent.png", "dotted.png")
    assert [read_facts(tmp_path / name).is_uniform for name in names] == [True, True, False]


def test_images_of_other_channels(tmp_path):
    path = tmp_path / "field.npy"
    field = np.full((60, 80, 4), 300, "uint16")
    np.save(path, field)
    facts = read_facts(path, 4)
    assert (facts.size, facts.error, facts.is_uniform) == ((80, 60), "", True)
    assert "use a model that was trained with `--channels 4`" in read_facts(path).error
    field[9:40, 9:40, 3] = 400  # less than one step of 8 bits, in a channel that is not shown
    np.save(path, field)
    assert not read_facts(path, 4).is_uniform


def test_files_that_cannot_be_decoded(tmp_path):
    picture(0).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "folder.jpg").mkdir()
    half, text, folder, missing = (
        read_facts(tmp_path / f"{name}.jpg") for name in ("half", "text", "folder", "missing")
    )
    assert half.size == (240, 180)
    assert half.error.startswith("damaged")
    assert (text.size, text.error) == (None, "not an image.")
    assert (folder.error, missing.error) == ("not a file.", "no such file.")
    assert read_facts(tmp_path / "a\0b.jpg").error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_facts(tmp_path / "pipe.jpg").error == "not a file."
