"""The reader of CVAT."""

import pytest

from annotation_files import CONTENT, cvat_xml, write_cvat, write_image
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.cvat import CVAT
from cspdarknet.data.formats.format import NAMED, RELATED
from cspdarknet.data.formats.xml import BEGINNING_BYTES, root_tag

pytestmark = pytest.mark.one_backend


def read(folder, xml):
    for name in CONTENT:
        write_image(folder / f"images/{name}.jpg")
    (folder / "annotations.xml").write_text(xml)
    return CVAT.read(DatasetFiles(folder))


def test_boxes_sizes_and_classes(tmp_path):
    xml = cvat_xml("abc", labels=("worm", "cell", "egg"))
    annotations = read(tmp_path, xml)
    a, b, c = annotations.splits["train"]
    assert a.path == tmp_path / "images/a.jpg"
    assert (a.boxes, a.names) == ([(8, 6, 40, 36), (0, 30, 20, 60)], ["cell", "worm"])
    assert (b.boxes, b.size) == ([(60, 15, 80, 45)], (80, 60))
    assert c.boxes == []
    assert annotations.class_names == ("worm", "cell", "egg")
    assert annotations.problems == []
    assert annotations.used == {tmp_path / "annotations.xml"}


def test_subsets_are_splits(tmp_path):
    for subset, name in (("Train", "a"), ("Validation", "b"), ("Validation", "a")):
        write_image(tmp_path / f"images/{subset}/{name}.jpg")
    images = "".join(
        cvat_xml(names, subset=subset).split("</meta>")[1].removesuffix("</annotations>")
        for names, subset in (("a", "Train"), ("ba", "Validation"))
    )
    (tmp_path / "annotations.xml").write_text(f"<annotations><meta/>{images}</annotations>")
    splits = CVAT.read(DatasetFiles(tmp_path)).splits
    paths = {k: [i.path.relative_to(tmp_path).as_posix() for i in v] for k, v in splits.items()}
    assert paths == {
        "train": ["images/Train/a.jpg"],
        "validation": ["images/Validation/b.jpg", "images/Validation/a.jpg"],
    }
    (problem,) = read(tmp_path / "other", cvat_xml("a", subset="part 7")).problems
    assert "the subset must be train, validation or test. Received: 'part 7'" in problem.reason


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<polygon label="cell" points="8,30;40.0,6;20,36"/>', (8, 6, 40, 36)),
        ('<ellipse label="cell" cx="30" cy="20" rx="10" ry="5"/>', (20, 15, 40, 25)),
        ('<ellipse label="cell" cx="30" cy="20" rx="10" ry="5" rotation="90"/>', (25, 10, 35, 30)),
        ('<mask label="cell" rle="1, 2" left="8" top="6" width="32" height="30"/>', (8, 6, 40, 36)),
        (
            '<box label="cell" xtl="10" ytl="20" xbr="50" ybr="40" rotation="270.0"/>',
            (20, 10, 40, 50),
        ),
    ],
)
def test_shapes(tmp_path, shape, box):
    (image,) = read(tmp_path, cvat_xml("a", {"a": shape})).splits["train"]
    assert image.boxes == [pytest.approx(box)]
    assert image.names == ["cell"]


def test_shapes_without_a_box_are_named_once(tmp_path):
    shapes = {"a": '<points label="eye" points="1,2"/>' * 3, "b": '<tag label="blurred"/>'}
    meta = "<label><name>eye</name><type>points</type></label></labels>"
    xml = cvat_xml("abc", shapes).replace("</labels>", meta)
    annotations = read(tmp_path, xml)
    assert len(annotations.splits["train"]) == 3
    assert annotations.class_names == ("cell", "worm")
    texts = [(problem.kind, problem.reason) for problem in annotations.problems]
    assert texts == [
        ("annotation without box", "3 annotations of type points"),
        ("annotation without box", "1 annotation of type tag"),
    ]


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ('<box label="cell" xtl="1" ytl="2" xbr="30"/>', "`ybr` must be a number. Received: None"),
        ('<box label="cell" xtl="1" ytl="2" xbr="nan" ybr="4"/>', "`xbr` must be a number"),
        ('<box xtl="1" ytl="2" xbr="30" ybr="4"/>', "`label` is missing"),
        ('<polygon label="cell" points="1,2;3"/>', "must be pairs of numbers"),
        ('<polygon label="cell" points="1,2;3,x"/>', "a point must be a number. Received: 'x'"),
        ('<polygon label="cell" points="1,2"/>', "two points or more"),
        ('<polygon label="cell"/>', "must be pairs of numbers"),
        ('<star label="cell"/>', "must be one of box, polygon, ellipse, mask. Received: star"),
    ],
)
def test_shapes_that_cannot_be_read(tmp_path, shape, what):
    annotations = read(tmp_path, cvat_xml("abc", {"a": shape}))
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", "a.jpg")
    assert problem.reason.startswith("shape 1: ")
    assert what in problem.reason
    assert [image.path.stem for image in annotations.splits["train"]] == ["b", "c"]


def test_videos(tmp_path):
    track = '<track id="0" label="cell"><box frame="0" xtl="1"/></track></annotations>'
    with pytest.raises(ValueError, match=r"no images, but 1 track of a video: export .* `CVAT for"):
        read(tmp_path, cvat_xml("").replace("</annotations>", track))
    (problem,) = read(tmp_path, cvat_xml("a").replace("</annotations>", track)).problems
    assert problem.stops
    assert "1 track of a video" in problem.reason


@pytest.mark.parametrize(
    ("xml", "what"),
    [
        (cvat_xml("a")[:-20], "not XML"),
        (cvat_xml("a", labels=("cell", "cell")), "several classes of the same name: cell"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, xml, what):
    with pytest.raises(ValueError, match=what) as error:
        read(tmp_path, xml)
    assert "annotations.xml" in str(error.value)


def test_other_xml_files(tmp_path):
    write_cvat(tmp_path, {"train": ["a"]})
    (tmp_path / "other.xml").write_text("<annotation/>")
    (tmp_path / "entities.xml").write_text('<!DOCTYPE annotations [<!ENTITY a "b">]><annotations/>')
    files = DatasetFiles(tmp_path)
    assert CVAT.match(files).certainty == RELATED
    assert CVAT.read(files).used == {tmp_path / "train/annotations.xml"}
    assert CVAT.match(DatasetFiles(tmp_path / "train/annotations.xml")).certainty == NAMED
    for name in ("other.xml", "entities.xml"):
        assert CVAT.match(DatasetFiles(tmp_path / name)) is None
        with pytest.raises(ValueError, match="has no file in this format"):
            CVAT.read(DatasetFiles(tmp_path / name))


def test_only_the_beginning_of_a_file_is_read_to_recognize_it(tmp_path):
    for text, tag in (
        (f"<a>{'x' * BEGINNING_BYTES}", "a"),
        (f"<!--{'x' * BEGINNING_BYTES}--><a/>", None),
        ("", None),
        ("text", None),
    ):
        (tmp_path / "a.xml").write_text(text)
        assert root_tag(tmp_path / "a.xml") == tag
    assert root_tag(tmp_path / "missing.xml") is None
