"""The files of a dataset, and how references find them."""

import json

import pytest

from cspdarknet.data.files import DatasetFiles, as_name, read_text

pytestmark = pytest.mark.one_backend


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def located(folder, references, near="", split=None):
    paths = DatasetFiles(folder).locate(references, near, split)
    return [path and path.relative_to(folder).as_posix() for path in paths]


def test_files_are_listed_without_hidden_ones_and_with_broken_links(tmp_path):
    touch(
        tmp_path, "b.JPG", "a.png", ".c.png", "d.txt", "more/e.tif", ".git/f.png", "__MACOSX/g.jpg"
    )
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "missing.png")
    files = DatasetFiles(tmp_path)
    assert files.names == ["a.png", "b.JPG", "d.txt", "link.png", "more/e.tif"]
    assert files.images == ["a.png", "b.JPG", "link.png", "more/e.tif"]
    assert files.below("more") == ["more/e.tif"]
    assert files.subfolders == {"": ["more"]}


def test_images_of_every_suffix_that_stands_for_one(tmp_path):
    names = [f"a.{suffix}" for suffix in ("jfif", "jpe", "avif", "mpo", "pgm", "tga", "HEIC")]
    touch(tmp_path, *names, "a.xml", "a.pdf", "jpg")
    assert DatasetFiles(tmp_path).images == sorted(names)


def test_references_are_relative_to_the_folder_of_most_of_them(tmp_path):
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "other/b.jpg", "annotations/x.json")
    assert located(tmp_path, ["a.jpg", "b.jpg"], "annotations") == ["images/a.jpg", "images/b.jpg"]


def test_among_images_of_one_name_the_split_decides(tmp_path):
    names = [f"data/{split}_images/{name}.jpg" for split in ("train", "val") for name in "ab"]
    touch(tmp_path, *names)
    for split, folder in (("train", "train_images"), ("validation", "val_images")):
        expected = [f"data/{folder}/{name}.jpg" for name in "ab"]
        assert located(tmp_path, ["a.jpg", "b.jpg"], "labels", split) == expected
    assert located(tmp_path, [r"x\data\VAL_images\A.jpg"]) == ["data/val_images/a.jpg"]


def test_several_images_that_fit_equally_are_none(tmp_path):
    touch(tmp_path, "x/1/a.jpg", "x/2/a.jpg", "x/3/b.jpg")
    assert located(tmp_path, ["b.jpg", "a.jpg"], "y") == ["x/3/b.jpg", None]
    assert located(tmp_path, ["a.jpg"], "y") == [None]


def test_missing_images_have_a_path_for_the_message(tmp_path):
    touch(tmp_path, "images/a.jpg")
    assert located(tmp_path, ["a.jpg", "b.jpg", "x" * 5000, "null\0"], "annotations") == [
        *("images/a.jpg", "images/b.jpg"),
        *("images/" + "x" * 5000, "images/null\0"),
    ]


@pytest.mark.parametrize("file", ["boxes.json", "annotations/instances_val2017.json"])
def test_images_near_a_file_that_is_named(tmp_path, file):
    touch(tmp_path, file, "val2017/b.jpg", "images/a.jpg")
    files = DatasetFiles(tmp_path / file)
    near = file.rpartition("/")[0]
    assert files.locate(["a.jpg"], near) == [tmp_path / "images/a.jpg"]
    assert files.locate(["b.jpg"], near) == [tmp_path / "val2017/b.jpg"]
    assert files.with_suffix(".json") == [file]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_of_windows(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("Zürich\n", encoding=encoding)
    assert read_text(tmp_path / "a.txt") == "Zürich\n"


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\x00\x81")
    with pytest.raises(ValueError, match="is not text in UTF-8"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is not a JSON file"):
        DatasetFiles(tmp_path).json("a.json")
    with pytest.raises(ValueError, match="There is no folder or file"):
        DatasetFiles(tmp_path / "missing")


def test_json_is_parsed_once(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("[1]")
    files, calls = DatasetFiles(tmp_path), []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text: calls.append(text) or loads(text))
    assert files.json("a.json") is files.json("a.json")
    assert len(calls) == 1


def test_names_are_text_or_numbers():
    assert as_name(3) == "3"
    for value in (True, None, ["a"], {}):
        with pytest.raises(ValueError, match="names must be text"):
            as_name(value)


def test_an_image_of_the_same_name_in_another_folder_is_not_meant(tmp_path):
    touch(tmp_path, "all/cat/1.jpg", "all/dog/1.jpg", "all/dog/2.jpg", "one/a.jpg", "two/b.jpg")
    references = ["cat/1.jpg", "dog/1.jpg", "cat/2.jpg", "C:\\photos\\cat\\2.jpg"]
    found = located(tmp_path, references)
    assert found[:3] == ["all/cat/1.jpg", "all/dog/1.jpg", "all/cat/2.jpg"]
    assert not DatasetFiles(tmp_path).locate(references, "")[3].exists()
    # Of a folder of another machine, nothing is known.
    assert located(tmp_path, ["birds/2.jpg", "/home/me/b.jpg"]) == ["all/dog/2.jpg", "two/b.jpg"]


def test_images_beside_a_file_are_its_images(tmp_path):
    """Frames of videos have the same names in each folder."""
    touch(tmp_path, "v1/0.jpg", "v2/0.jpg", "v2/1.jpg", "v2/2.jpg")
    assert located(tmp_path, ["0.jpg", "1.jpg", "2.jpg"], "v1") == [
        "v1/0.jpg",
        "v1/1.jpg",
        "v1/2.jpg",
    ]


def test_a_missing_image_of_a_split_is_not_taken_from_another(tmp_path):
    touch(tmp_path, "train/a.jpg", "train/b.jpg", "val/a.jpg", "annotations/val.json")
    found = located(tmp_path, ["a.jpg", "b.jpg"], "annotations", "validation")
    assert found == ["val/a.jpg", "val/b.jpg"]
    # Files without a split are read as those of the training split.
    found = located(tmp_path, ["b.jpg", "a.jpg"], "annotations", "train")
    assert found == ["train/b.jpg", "train/a.jpg"]


def test_composed_and_decomposed_letters_are_the_same(tmp_path):
    touch(tmp_path, "images/Ku\u0308he/1.jpg", "images/a\u0308.jpg")
    assert located(tmp_path, ["\u00e4.jpg", "K\u00fche/1.jpg"]) == [
        "images/a\u0308.jpg",
        "images/Ku\u0308he/1.jpg",
    ]
