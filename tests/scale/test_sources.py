"""The inputs of bulk jobs, listed from folders, lists and shards."""

import os

import pytest

from cspdarknet.scale.sources import find_inputs

fsspec = pytest.importorskip("fsspec", reason="bulk jobs need fsspec")

pytestmark = pytest.mark.one_backend


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """A folder with images, shards, and what is neither."""
    url = str(tmp_path / "data") if request.param == "local" else f"memory:/{tmp_path}"
    names = ["b.jpg", "a/c.PNG", "0.tar", "1.parquet", "notes.md", ".hidden.jpg", "a/.h/d.jpg"]
    for name in names:
        with fsspec.open(f"{url}/{name}", "wb", auto_mkdir=True) as file:
            file.write(b"1")
    return url


def test_a_folder(folder):
    inputs = find_inputs(folder)
    assert [item.key for item in inputs] == ["0.tar", "1.parquet", "a/c.PNG", "b.jpg"]
    for item in inputs:
        with fsspec.open(item.path) as file:
            assert file.read() == b"1"


def test_files_and_folders_with_the_same_input_have_it_once(folder):
    assert [item.key for item in find_inputs([folder, f"{folder}/b.jpg"])] == [
        *("0.tar", "1.parquet", "a/c.PNG", "b.jpg")
    ]


def test_two_inputs_of_one_key_are_refused(folder):
    with fsspec.open(f"{folder}/list.txt", "w") as file:
        file.write("c.PNG")
    with pytest.raises(ValueError, match=r"the same key c.PNG"):
        find_inputs([f"{folder}/a", f"{folder}/list.txt"])


def test_a_list(folder):
    lines = ["b.jpg", "", "https://example.com/d.jpg", "  /abs/e.jpg\r", "b.jpg"]
    with fsspec.open(f"{folder}/list.txt", "w") as file:
        file.write("\n".join(lines))
    inputs = find_inputs(f"{folder}/list.txt")
    assert [item.key for item in inputs] == ["/abs/e.jpg", "b.jpg", "https://example.com/d.jpg"]
    assert inputs[0].path == "/abs/e.jpg"
    assert inputs[1].path.endswith(f"{folder.removeprefix('memory:')}/b.jpg")


def test_a_url_is_not_requested():
    url = "http://127.0.0.1:9/a.jpg"
    pytest.importorskip("aiohttp", reason="web addresses need aiohttp")
    assert [item.path for item in find_inputs(url)] == [url]


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"1")
    (item,) = find_inputs(tmp_path)
    assert item.key.encode() == rb"caf\udce9.jpg"
    assert item.path == str(tmp_path / name)


@pytest.mark.parametrize(
    ("files", "source", "message"),
    [
        ({}, "no.jpg", "There is no file or folder"),
        ({}, "no.txt", "There is no file"),
        ({"notes.md": "1"}, "", "holds none"),
        ({"list.txt": "\n\n"}, "list.txt", "empty"),
    ],
)
def test_sources_without_images(tmp_path, files, source, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        find_inputs(tmp_path / source)
