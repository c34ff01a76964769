"""The reader of Pascal VOC."""

import pytest

from annotation_files import CONTENT, assert_content, voc_xml, write_voc
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.data.formats.voc import parse_xml, read_voc

pytestmark = pytest.mark.one_backend


def test_difficult_objects_are_ignored(tmp_path):
    write_voc(tmp_path, {"test": ["b"]})
    (tmp_path / "Annotations/b.xml").write_text(voc_xml(CONTENT["b"], difficult=1))
    dataset = load_detection_split(tmp_path, ("cell",)).dataset
    assert dataset.ignored[0].tolist() == [True]


def test_sizes_with_a_fraction(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    xml = voc_xml(CONTENT["a"], size=("80.0", "60.0"))
    (tmp_path / "Annotations/a.xml").write_text(xml)
    assert_content(load_detection_dataset(tmp_path).train)


def test_the_list_of_a_class_is_not_that_of_a_split(tmp_path):
    write_voc(tmp_path, {"train": ["a", "b"], "cell_val": ["b"]})
    assert list(read_voc(tmp_path).splits) == ["train"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<annotation><object>", "not XML"),
        ("<note/>", "begins with <note>, not with <annotation>"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not XML"),
        ('<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation/>', "declares a document type"),
        (voc_xml([("cell", ("one", 6, 40, 36))]), "not in the Pascal VOC format"),
        (None, "has no XML file"),
    ],
)
def test_xml_files_that_cannot_be_read_are_problems(tmp_path, text, what):
    write_voc(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    file = tmp_path / "Annotations/b.xml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    annotations = read_voc(tmp_path)
    assert [image.path.stem for image in annotations.splits["train"]] == ["a"]
    (problem,) = annotations.problems
    assert problem.path.stem == "b"
    assert what in problem.reason


def test_a_large_xml_file_is_refused(tmp_path):
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(ValueError, match="larger than"):
        parse_xml(tmp_path / "a.xml")
