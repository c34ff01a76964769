"""File formats, and what `export` may replace."""

from pathlib import Path

import pytest

from cspdarknet.export.formats import FORMATS, check_replaceable, format_of, move_into_place

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("name", FORMATS)
def test_format_by_suffix(name):
    path = Path(f"folder.d/model{FORMATS[name].suffix}")
    assert format_of(path, name) == name
    assert format_of(path) == ("saved_model" if name == "triton" else name)


@pytest.mark.parametrize(("path", "name"), [("m.txt", None), ("m.onnx", "litert"), ("m", "tf")])
def test_unknown_formats_and_other_suffixes(path, name):
    with pytest.raises(ValueError, match="`format` must be one of onnx"):
        format_of(Path(path), name)


def test_folders_with_other_content_are_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_text("an earlier export")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    for path in ("images", "link", "images/..", "."):
        with pytest.raises(ValueError, match="choose another path"):
            check_replaceable(Path(path), "saved_model")
    for path in ("empty", "model", "new"):
        check_replaceable(Path(path), "saved_model")


def test_files_with_other_content_are_not_replaced(tmp_path):
    (tmp_path / "a.onnx").mkdir()
    (tmp_path / "b.bin").write_text("weights of another model")
    (tmp_path / "c.xml").write_text("an earlier export")
    (tmp_path / "c.bin").write_text("its weights")
    for name, format in (("a.onnx", "onnx"), ("b.xml", "openvino")):
        with pytest.raises(ValueError, match="choose another path"):
            check_replaceable(tmp_path / name, format)
    for name, format in (("c.xml", "openvino"), ("b.onnx", "onnx"), ("d.xml", "openvino")):
        check_replaceable(tmp_path / name, format)


def test_folders_are_replaced_as_a_whole(tmp_path):
    for folder, name in (("model", "old"), ("temporary/model", "new")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text(name)
    move_into_place(tmp_path / "temporary/model", tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["new"]
