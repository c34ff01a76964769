"""Conversion of datasets between formats."""

import numpy as np
import pytest
from PIL import Image

from annotation_files import (
    CONTENT,
    WRITERS,
    assert_content,
    coco,
    voc_xml,
    write_coco,
    write_image,
    write_json,
    write_voc,
    write_yolo,
)
from cspdarknet.data import load_classification_dataset, load_detection_dataset, read_dataset
from cspdarknet.data.writers import convert_dataset
from cspdarknet.data.writers import write as writing
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend

SPLITS = {"train": ["a", "c"], "val": ["b"]}


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("to", ["coco", "voc", "yolo"])
@pytest.mark.parametrize("write", WRITERS)
def test_every_format_becomes_every_other(tmp_path, write, to):
    source = write(tmp_path / "source", SPLITS)
    written = convert_dataset(source, tmp_path / "new", to)
    assert written.images == {"train": 2, "validation": 1}
    assert (written.boxes, written.class_names) == (3, ("cell", "worm"))
    splits = load_detection_dataset(written.path)
    assert not splits.problems
    assert splits.class_names == ("cell", "worm")
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    for dataset in (splits.train, splits.validation):
        assert_content(dataset)
    (original,) = source.rglob("a.jpg")
    assert splits.train.paths[0].read_bytes() == original.read_bytes()


def test_the_order_of_the_classes_is_kept_in_voc(tmp_path):
    write_yolo(tmp_path / "source", SPLITS)
    (tmp_path / "source/classes.txt").write_text("worm\ncell\nägg 2\n")
    convert_dataset(tmp_path / "source", tmp_path / "voc", "voc")
    assert read_dataset(tmp_path / "voc").class_names == ("worm", "cell", "ägg 2")
    # Another list of names beside the annotations is not one of their classes.
    (tmp_path / "voc/classes.txt").write_text("cat\ndog\n")
    annotations = read_dataset(tmp_path / "voc")
    assert annotations.class_names is None
    assert "classes.txt is not used" in [p.reason for p in annotations.problems]


def test_ignored_boxes_are_kept_where_the_format_can_mark_them(tmp_path):
    write_voc(tmp_path / "source", SPLITS)
    (tmp_path / "source/Annotations/a.xml").write_text(voc_xml(CONTENT["a"], difficult=1))
    for to in ("coco", "voc"):
        written = convert_dataset(tmp_path / "source", tmp_path / to, to)
        assert read_dataset(written.path).splits["train"][0].ignored == [True, True]
        assert not written.problems
    written = convert_dataset(tmp_path / "source", tmp_path / "yolo", "yolo")
    assert written.boxes == 1
    (problem,) = written.problems
    assert (problem.kind, problem.path.name) == ("ignored box", "a.jpg")
    assert problem.reason == "2 ignored boxes left out"


def test_images_of_the_same_name_get_different_names(tmp_path):
    for folder, color in (("train/x", "red"), ("train/y", "green")):
        path = tmp_path / "source" / folder / "1.PNG"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (80, 60), color).save(path)
    content = coco(["a", "b"])
    for image, name in zip(content["images"], ["x/1.PNG", "y/1.PNG"], strict=True):
        image["file_name"] = name
    write_json(tmp_path / "source/train.json", content)
    convert_dataset(tmp_path / "source", tmp_path / "new", "yolo")
    assert files_below(tmp_path / "new") == [
        "data.yaml",
        *("images/train/1-2.PNG", "images/train/1.PNG", "labels/train/1-2.txt"),
        "labels/train/1.txt",
    ]
    images = {image.path.name: image for image in read_dataset(tmp_path / "new").splits["train"]}
    assert images["1.PNG"].names == ["cell", "worm"]
    assert images["1-2.PNG"].names == ["cell"]
    pixel = Image.open(tmp_path / "new/images/train/1-2.PNG").getpixel((0, 0))
    assert pixel == (0, 128, 0)


def test_links_share_the_content(tmp_path):
    source = write_coco(tmp_path / "source", SPLITS)
    convert_dataset(source, tmp_path / "copied", "voc")
    convert_dataset(source, tmp_path / "linked", "voc", link=True)
    original = source / "train2017/a.jpg"
    assert original.samefile(tmp_path / "linked/JPEGImages/a.jpg")
    assert not original.samefile(tmp_path / "copied/JPEGImages/a.jpg")


def test_class_folders_from_a_table(tmp_path):
    rows = ["path,label,split"]
    for i in range(4):
        write_image(tmp_path / f"source/{i % 2}/x.{'png' if i < 2 else 'jpg'}", (9, 9 + i))
        rows.append(f"{i % 2}/x.{'png' if i < 2 else 'jpg'},{'cat' if i < 2 else 'dog'},train")
    (tmp_path / "source/labels.csv").write_text("\n".join(rows))
    written = convert_dataset(tmp_path / "source", tmp_path / "new", "folder")
    assert (written.images, written.boxes) == ({"train": 4}, 0)
    assert files_below(tmp_path / "new/train") == [
        *("cat/x-2.png", "cat/x.png", "dog/x-2.jpg", "dog/x.jpg")
    ]
    assert load_classification_dataset(tmp_path / "new", 0.5).class_names == ("cat", "dog")


@pytest.mark.parametrize("name", ["a/b", ".a", "__MACOSX", "a" * 300])
def test_classes_that_no_folder_can_be_named_after(tmp_path, name):
    write_image(tmp_path / "source/1.png")
    (tmp_path / "source/labels.csv").write_text(f'path,label\n1.png,"{name}"\n')
    with pytest.raises(ValueError, match=r"class folders can hold them\. Received: .*Rename"):
        convert_dataset(tmp_path / "source", tmp_path / "new", "folder")
    assert not (tmp_path / "new").exists()


def test_classes_that_xml_cannot_hold(tmp_path):
    write_coco(tmp_path / "source", {"train": ["a", "b"]})
    (path,) = tmp_path.rglob("instances*")
    path.write_text(path.read_text().replace('"worm"', '"wo\\u0001rm"'))
    convert_dataset(tmp_path / "source", tmp_path / "coco", "coco")
    with pytest.raises(ValueError, match="Pascal VOC can hold them"):
        convert_dataset(tmp_path / "source", tmp_path / "voc", "voc")


@pytest.mark.parametrize(
    ("to", "match"),
    [
        ("folder", "detection can be written as coco, voc, yolo. Received: to='folder'"),
        ("png", "`to` must be one of 'coco', 'voc', 'yolo', 'folder'"),
    ],
)
def test_formats_of_the_other_task(tmp_path, to, match):
    write_coco(tmp_path / "source", SPLITS)
    with pytest.raises(ValueError, match=match):
        convert_dataset(tmp_path / "source", tmp_path / "new", to)
    if to == "folder":
        write_class_folders(tmp_path / "labeled", per_class=1)
        with pytest.raises(ValueError, match="classification can be written as folder"):
            convert_dataset(tmp_path / "labeled", tmp_path / "new", "coco")


def test_the_destination_is_new_and_outside_the_source(tmp_path):
    source = write_coco(tmp_path / "source", SPLITS)
    (tmp_path / "link").symlink_to(source)
    for name in ("source/new", "link/new", "source"):
        with pytest.raises(ValueError, match=r"must not be inside the source|is not empty"):
            convert_dataset(source, tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert convert_dataset(source, tmp_path / "empty").boxes == 3
    with pytest.raises(ValueError, match=r"new or an empty folder\. Received: .* is not empty"):
        convert_dataset(source, tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="which is a file"):
        convert_dataset(source, tmp_path / "file")


def test_nothing_is_left_of_a_failed_conversion(tmp_path, monkeypatch):
    source = write_coco(tmp_path / "source", SPLITS)
    before = sorted(tmp_path.iterdir())

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writing.ImageFiles, "copy", fail)
        with pytest.raises(ValueError, match="cannot be written: No space left on device"):
            convert_dataset(source, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before

    # A dataset that would be read otherwise than it was meant is refused, too.
    writer = writing.WRITERS["yolo"]

    def write_less(folder, splits, images):
        splits = {split: dataset.take([0]) for split, dataset in splits.items()}
        return writer.write(folder, splits, images)

    monkeypatch.setitem(writing.WRITERS, "yolo", writer._replace(write=write_less))
    with pytest.raises(ValueError, match="the train split differs"):
        convert_dataset(source, tmp_path / "new", "yolo")
    assert sorted(tmp_path.iterdir()) == before


def test_problems_stop_a_conversion_or_are_fixed_and_listed(tmp_path):
    source = write_voc(tmp_path / "source", SPLITS)
    boxes = [("cell", (-9, 6, 40, 36)), ("cell", (-8, 6, 40, 36)), ("cell", (9, 9, 9, 9))]
    (source / "Annotations/a.xml").write_text(voc_xml(boxes))
    (source / "JPEGImages/b.jpg").write_text("no image")
    with pytest.raises(ValueError, match="4 problems"):
        convert_dataset(source, tmp_path / "new")
    written = convert_dataset(source, tmp_path / "new", on_problem="fix")
    assert written.images == {"train": 2}
    assert sorted(problem.kind for problem in written.problems) == [
        *("box beyond image", "invalid box", "repeated box", "unreadable image")
    ]
    image = next(i for i in read_dataset(tmp_path / "new").splits["train"] if i.boxes)
    np.testing.assert_array_equal(image.boxes, [(0, 6, 40, 36)])


def test_a_missing_image_of_a_table(tmp_path):
    write_image(tmp_path / "source/1.png")
    rows = "path,label\n1.png,a\n2.png,b\n"
    (tmp_path / "source/labels.csv").write_text(rows)
    with pytest.raises(ValueError, match=r"2\.png: there is no such image"):
        convert_dataset(tmp_path / "source", tmp_path / "new", "folder")
    written = convert_dataset(tmp_path / "source", tmp_path / "new", "folder", on_problem="fix")
    assert written.images == {"train": 1}


def test_images_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "source/images/a.jpg", (80, 60), exif=exif)
    (tmp_path / "source/labels").mkdir()
    (tmp_path / "source/labels/a.txt").write_text("0 0.5 0.25 1 0.5")
    (tmp_path / "source/classes.txt").write_text("cell")
    for to in ("coco", "voc"):
        convert_dataset(tmp_path / "source", tmp_path / to, to)
        (image,) = read_dataset(tmp_path / to).splits["train"]
        assert (image.size, image.boxes) == ((60, 80), [(0, 0, 60, 40)])
