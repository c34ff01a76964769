"""Listing of image files."""

import pytest
from PIL import Image

from cspdarknet.images import files, find_images

pytestmark = pytest.mark.one_backend


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images/more").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "more/a.JPG", "notes.txt"):
        (tmp_path / "images" / name).touch()
    return tmp_path / "images"


def keys(files):
    return [str(file.key) for file in files]


def test_folders_are_searched_in_order(folder):
    for source in (folder, str(folder), [folder]):
        assert keys(find_images(source)) == ["a.JPG", "b.png", "more/a.JPG"]
    assert keys(find_images([folder / "b.png", folder / "more"])) == ["b.png", "a.JPG"]


def test_the_same_file_twice_is_listed_once(folder):
    assert len(find_images([folder / "a.JPG", folder / "a.JPG"])) == 1


def test_results_of_an_earlier_run_are_left_out(folder):
    out = folder / "results"
    out.mkdir()
    (out / "a.JPG.png").touch()
    for marker in (None, "features.json"):
        with pytest.raises(ValueError, match="holds images: choose another folder"):
            find_images(folder, out, marker)
    (out / "features.json").touch()
    assert keys(find_images(folder, out, "features.json")) == ["a.JPG", "b.png", "more/a.JPG"]


@pytest.mark.parametrize(
    ("sources", "out", "message"),
    [
        (["none"], None, "There is no file or folder none"),
        (["{}/empty"], None, "must hold files of .jpg.*Received: .*empty, which holds no image"),
        (["{}/a.JPG", "{}/more"], None, "would write the same result a.JPG"),
        (["{}"], "{}", "holds images: choose another folder"),
        (["{}/more"], "{}/more", "holds images: choose another folder"),
    ],
)
def test_sources_that_cannot_be_used(folder, sources, out, message):
    (folder / "empty").mkdir()
    sources, out = [s.format(folder) for s in sources], out and out.format(folder)
    with pytest.raises(ValueError, match=message):
        find_images(sources, out)


def test_names_that_differ_in_case_only(tmp_path, monkeypatch):
    """They have two results, but not on file systems that ignore case."""
    for name in ("one/a.png", "two/A.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    sources, out = [tmp_path / "one", tmp_path / "two"], tmp_path / "new/out"
    ignores_case = (tmp_path / "ONE").exists()
    assert files.ignores_case(out) == ignores_case
    if not ignores_case:
        assert keys(find_images(sources, out)) == ["a.png", "A.png"]
    monkeypatch.setattr(files, "ignores_case", lambda folder: True)
    assert keys(find_images(sources)) == ["a.png", "A.png"]
    with pytest.raises(ValueError, match=r"would write the same result A\.png"):
        find_images(sources, out)


def test_linked_folders_are_followed_once(tmp_path):
    for name in ("a.png", "store/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "folder").mkdir()
    for name in ("store", ".hidden"):
        (tmp_path / "folder" / name).symlink_to(tmp_path / "store")
    (tmp_path / "folder/cycle").symlink_to(tmp_path / "folder")
    assert [file.key.as_posix() for file in find_images(tmp_path / "folder")] == ["store/b.png"]
