"""Photos with boxes: every form of data set, what may be wrong in it, and the letterbox."""

import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data.detection.annotations import part_of
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.detection.find import (
    load_detection_dataset,
    load_detection_split,
    split_detection_dataset,
)
from cspdarknet.data.formats.voc import parse_xml
from cspdarknet.yolox.letterbox import fitted, letterbox, resize, taps
from support import GOLDEN, SHARED, needs_golden

pytestmark = pytest.mark.one_backend

WIDTH, HEIGHT = 80, 60
SIDES = ("xmin", "ymin", "xmax", "ymax")
# Of two photos of 80 x 60: the classes, and left, top, right, bottom of their boxes.
CONTENT = {
    "a": [("cell", (8, 6, 40, 36)), ("worm", (0, 30, 20, 60))],
    "b": [("cell", (60, 15, 80, 45))],
    "c": [],
}


def write_photo(path, size=(WIDTH, HEIGHT), **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "navy").save(path, **kwargs)
    return path


# Writers of the forms: the parts map to the names of their photos.


def voc_xml(boxes, size=(WIDTH, HEIGHT), difficult=0):
    objects = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(f"<{k}>{v}</{k}>" for k, v in zip(SIDES, box, strict=True))
        + "</bndbox></object>"
        for name, box in boxes
    )
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>stale.jpg</filename>{size}{objects}</annotation>"


def write_voc(folder, parts):
    lists = folder / "ImageSets/Main"
    for path in (lists, folder / "Annotations"):
        path.mkdir(parents=True, exist_ok=True)
    for part, names in parts.items():
        (lists / f"{part}.txt").write_text("\n".join(names))
        for name in names:
            write_photo(folder / f"JPEGImages/{name}.jpg")
            (folder / f"Annotations/{name}.xml").write_text(voc_xml(CONTENT[name]))
    return folder


def write_voc_beside(folder, parts):
    for part, names in parts.items():
        for name in names:
            write_photo(folder / part / f"{name}.jpg")
            (folder / part / f"{name}.xml").write_text(voc_xml(CONTENT[name]))
    return folder


def coco(names, ids=(3, 90), **changes):
    categories = [{"id": ids[1], "name": "worm"}, {"id": ids[0], "name": "cell"}]
    images = [
        {"id": i, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
        for i, name in enumerate(names, 7)
    ]
    annotations = [
        {
            "id": 1,
            "image_id": i,
            "category_id": ids[("cell", "worm").index(label)],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "iscrowd": 0,
        }
        for i, name in enumerate(names, 7)
        for label, (x1, y1, x2, y2) in CONTENT[name]
    ]
    return {"images": images, "annotations": annotations, "categories": categories} | changes


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_coco(folder, parts):
    for part, names in parts.items():
        for name in names:
            write_photo(folder / f"{part}2017/{name}.jpg")
        write_json(folder / f"annotations/instances_{part}2017.json", coco(names))
        write_json(folder / f"annotations/captions_{part}2017.json", {"captions": []})
    return folder


def write_roboflow_coco(folder, parts):
    for part, names in parts.items():
        for name in names:
            write_photo(folder / part / f"{name}.jpg")
        content = coco(names)
        group = {"id": 0, "name": "things", "supercategory": "none"}
        for category in content["categories"]:
            category["supercategory"] = "things"
        content["categories"].append(group)
        write_json(folder / part / "_annotations.coco.json", content)
    return folder


def yolo_lines(name):
    for label, (x1, y1, x2, y2) in CONTENT[name]:
        x, y, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        index = ("cell", "worm").index(label)
        yield f"{index} {x / WIDTH:.6f} {y / HEIGHT:.6f} {w / WIDTH:.6f} {h / HEIGHT:.6f}"


def write_labels(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_yolo(folder, parts):
    for part, names in parts.items():
        for name in names:
            write_photo(folder / f"images/{part}/{name}.jpg")
            if CONTENT[name]:
                write_labels(folder / f"labels/{part}/{name}.txt", yolo_lines(name))
    (folder / "classes.txt").write_text("cell\nworm\n")
    return folder


def write_yolo_config(folder, parts):
    write_yolo(folder, parts)
    (folder / "classes.txt").unlink()
    lines = ["path: /nowhere/on/this/machine", "names: {1: worm, 0: cell}", "test: ../test/images"]
    (folder / "data.yaml").write_text("\n".join(lines + [f"{p}: images/{p}" for p in parts]))
    return folder


def write_roboflow_yolo(folder, parts):
    for part, names in parts.items():
        for name in names:
            write_photo(folder / part / f"images/{name}.jpg")
            write_labels(folder / part / f"labels/{name}.txt", yolo_lines(name))
    lines = ["names: [cell, worm]", "nc: 2"] + [f"{p}: ../{p}/images" for p in parts]
    (folder / "data.yaml").write_text("\n".join(lines))
    return folder


FORMS = [
    write_voc,
    write_voc_beside,
    write_coco,
    write_roboflow_coco,
    write_yolo,
    write_yolo_config,
    write_roboflow_yolo,
]


def assert_content(photos):
    for i, path in enumerate(photos.paths):
        expected = CONTENT[path.stem]
        boxes = np.array([box for _, box in expected], "float32").reshape(-1, 4)
        np.testing.assert_allclose(photos.boxes[i], boxes, atol=1e-3)
        assert [photos.class_names[k] for k in photos.labels[i]] == [name for name, _ in expected]
        assert (photos.boxes[i].dtype, photos.labels[i].dtype) == (np.float32, np.int64)
        assert photos.ignored[i].tolist() == [False] * len(expected)


@pytest.mark.parametrize("write", FORMS)
def test_every_form_gives_the_same_photos(tmp_path, write):
    splits = load_detection_dataset(write(tmp_path, {"train": ["a", "c"], "val": ["b"]}))
    assert splits.class_names == ("cell", "worm")
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    assert [path.stem for path in splits.validation.paths] == ["b"]
    assert splits.test is None
    assert splits.problems == ()
    for photos in (splits.train, splits.validation):
        assert_content(photos)
        assert all(path.is_file() for path in photos.paths)
    np.testing.assert_array_equal(splits.train.counts, [1, 1])


@pytest.mark.parametrize("write", [write_voc, write_coco, write_yolo])
def test_a_detector_is_evaluated_on_the_part_that_was_kept_apart(tmp_path, write):
    write(tmp_path, {"train": ["a"], "val": ["c"], "test": ["b"]})
    name, photos, problems = load_detection_split(tmp_path, ("worm", "cell"))
    assert (name, problems) == ("test", ())
    assert [path.stem for path in photos.paths] == ["b"]
    assert_content(photos)
    with pytest.raises(ValueError, match="unknown class 'cell'"):
        load_detection_split(tmp_path, ("worm",))


def test_a_single_json_file(tmp_path):
    for name in CONTENT:
        write_photo(tmp_path / f"images/{name}.jpg")
    write_json(tmp_path / "boxes.json", coco(CONTENT))
    for data in (tmp_path, tmp_path / "boxes.json"):
        part = load_detection_split(data, ("cell", "worm"))
        assert part.name == "all"
        assert_content(part.photos)
    write_json(tmp_path / "boxes.json", {"name": "no data set"})
    with pytest.raises(ValueError, match="not in the form of COCO: KeyError"):
        load_detection_dataset(tmp_path)


def test_boxes_that_are_not_counted(tmp_path):
    content = coco(["a"])
    content["annotations"][1]["iscrowd"] = 1
    write_photo(tmp_path / "a.jpg")
    write_json(tmp_path / "a.json", content)
    photos = load_detection_split(tmp_path, ("cell", "worm")).photos
    assert photos.ignored[0].tolist() == [False, True]
    np.testing.assert_array_equal(photos.counts, [1, 0])
    write_voc(tmp_path / "voc", {"test": ["b"]})
    (tmp_path / "voc/Annotations/b.xml").write_text(voc_xml(CONTENT["b"], difficult=1))
    photos = load_detection_split(tmp_path / "voc", ("cell",)).photos
    assert photos.ignored[0].tolist() == [True]


def test_a_polygon_becomes_the_box_around_it(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"]})
    write_labels(tmp_path / "labels/train/b.txt", ["1 0.25 0.5 0.5 0.75 0.375 0.1"])
    photos = load_detection_split(tmp_path, ("cell", "worm")).photos
    np.testing.assert_allclose(photos.boxes[1], [[20, 6, 40, 45]], rtol=1e-6)


def test_lists_of_photos_and_labels_beside_them(tmp_path):
    for name in "ab":
        write_photo(tmp_path / f"images/{name}.jpg")
        write_labels(tmp_path / f"images/{name}.txt", yolo_lines(name))
    (tmp_path / "train.txt").write_text("./images/a.jpg\n\n")
    (tmp_path / "val.txt").write_text("images/b.jpg\n")
    (tmp_path / "a_model.yaml").write_text("depth: 0.33")
    (tmp_path / "cells.yml").write_text("names: [cell, worm]\ntrain: [train.txt]\nval: val.txt")
    for data in (tmp_path, tmp_path / "cells.yml"):
        splits = load_detection_dataset(data)
        assert_content(splits.train)
        assert [path.stem for path in splits.validation.paths] == ["b"]
        assert len(splits.validation.boxes[0]) == 1


def test_boxes_are_those_of_the_upright_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write_yolo(tmp_path, {"train": ["a"]})
    write_photo(tmp_path / "images/train/a.jpg", size=(HEIGHT, WIDTH), exif=exif)
    assert_content(load_detection_split(tmp_path, ("cell", "worm")).photos)


def test_a_share_of_each_kind_of_photo_is_set_aside():
    labels = [[0, 0, 1]] * 4 + [[0]] * 20 + [[]] * 8
    photos = DetectionDataset(
        ("common", "rare"),
        tuple(f"{i}.jpg" for i in range(32)),
        tuple(np.zeros((len(k), 4), "float32") for k in labels),
        tuple(np.array(k, "int64") for k in labels),
        tuple(np.zeros(len(k), bool) for k in labels),
    )
    train, aside = split_detection_dataset(photos, 0.25, seed=0)
    assert sorted(train.paths + aside.paths) == sorted(photos.paths)
    np.testing.assert_array_equal(aside.counts, [2 + 5, 1])
    assert sum(not len(k) for k in aside.labels) == 2
    assert split_detection_dataset(photos, 0.25, seed=0)[1].paths == aside.paths
    assert split_detection_dataset(photos, 0.25, seed=1)[1].paths != aside.paths


def test_the_fingerprint_tells_boxes_not_where_the_photos_are(tmp_path):
    here = load_detection_dataset(
        write_yolo(tmp_path / "here", {"train": ["a", "b"], "val": ["c"]})
    )
    there = load_detection_dataset(
        write_yolo(tmp_path / "there", {"train": ["a", "b"], "val": ["c"]})
    )
    assert here.train.fingerprint == there.train.fingerprint
    assert here.train.take([1, 0]).fingerprint != here.train.fingerprint
    moved = [boxes + 1 for boxes in here.train.boxes]
    changed = DetectionDataset(
        here.class_names, here.train.paths, tuple(moved), here.train.labels, here.train.ignored
    )
    assert changed.fingerprint != here.train.fingerprint


# What is wrong in data sets.

WRONG_BOXES = [
    ((-30, 6, 40, 36), "leaves the photo", (0, 6, 40, 36)),
    ((100, 6, 140, 36), "is outside the photo", None),
    ((40, 6, 40, 36), "has no area", None),
    ((40, 36, 8, 6), "has no area", None),
    (("nan", 6, 40, 36), "is no box of numbers", None),
]


@pytest.mark.parametrize(("box", "what", "fixed"), WRONG_BOXES)
def test_boxes_that_cannot_be_right(tmp_path, box, what, fixed):
    write_voc(tmp_path, {"train": ["a"], "val": ["b"]})
    boxes = [("cell", box), ("cell", (1, 2, 30, 40))]
    (tmp_path / "Annotations/a.xml").write_text(voc_xml(boxes))
    with pytest.raises(ValueError, match=f"1 problems in 1 files(.|\n)*{what}(.|\n)*'fix'"):
        load_detection_dataset(tmp_path)
    splits = load_detection_dataset(tmp_path, on_problem="fix")
    kept = ([fixed] if fixed else []) + [(1, 2, 30, 40)]
    np.testing.assert_array_equal(splits.train.boxes[0], kept)
    ((path, text),) = ((problem.path.name, problem.what) for problem in splits.problems)
    assert path == "a.jpg"
    assert what in text


def test_numbers_may_be_rounded(tmp_path):
    write_voc(tmp_path, {"train": ["a"], "val": ["b"]})
    (tmp_path / "Annotations/a.xml").write_text(voc_xml([("cell", (-1, 0.5, 81, 60.9))]))
    boxes = load_detection_dataset(tmp_path, class_names=["cell"]).train.boxes[0]
    np.testing.assert_array_equal(boxes, [[0, 0.5, 80, 60]])


def spoil_missing(folder):
    (folder / "JPEGImages/b.jpg").unlink()


def spoil_photo(folder):
    (folder / "JPEGImages/b.jpg").write_text("no photo")


def spoil_size(folder):
    (folder / "Annotations/b.xml").write_text(voc_xml(CONTENT["b"], size=(HEIGHT, WIDTH)))


def spoil_xml(folder):
    (folder / "Annotations/b.xml").write_text("<annotation><object>")


def spoil_root(folder):
    (folder / "Annotations/b.xml").write_text("<note/>")


def spoil_encoding(folder):
    text = '<?xml version="1.0" encoding="klingon"?><annotation/>'
    (folder / "Annotations/b.xml").write_text(text)


def spoil_entities(folder):
    text = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation/>'
    (folder / "Annotations/b.xml").write_text(text)


def spoil_list(folder):
    (folder / "Annotations/b.xml").unlink()


def spoil_repeat(folder):
    (folder / "ImageSets/Main/val.txt").write_text("c\nb\n")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (spoil_missing, "no such photo"),
        (spoil_photo, "no image"),
        (spoil_size, "80 x 60 pixels, its annotation says 60 x 80; was it annotated lying"),
        (spoil_xml, "no XML"),
        (spoil_root, "begins with <note>, not with <annotation>"),
        (spoil_encoding, "no XML"),
        (spoil_entities, "declares a document type"),
        (spoil_list, "has no XML file"),
        (spoil_repeat, "more than once"),
    ],
)
def test_photos_that_cannot_be_used(tmp_path, spoil, what):
    write_voc(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    spoil(tmp_path)
    with pytest.raises(ValueError, match=what):
        load_detection_dataset(tmp_path)
    splits = load_detection_dataset(tmp_path, on_problem="fix")
    found = [path.stem for path in splits.train.paths + splits.validation.paths]
    assert found == (["a", "b", "c"] if spoil is spoil_repeat else ["a", "c"])
    assert len(splits.problems) == 1


def test_annotations_of_coco_that_lead_nowhere(tmp_path):
    content = coco(["a", "b"])
    content["annotations"] += [
        {"id": 8, "image_id": 1000, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 9, "image_id": 7, "category_id": 55, "bbox": [1, 1, 5, 5]},
        {"id": 10, "image_id": 7, "category_id": 3},
        {"id": 11, "image_id": 7, "category_id": 3, "bbox": ["x", 1, 5]},
        {"id": 12, "image_id": 7, "category_id": 3, "bbox": "1234"},
        {"id": 13, "image_id": 7, "category_id": 3, "bbox": [False, True, 5, 5]},
        {"id": 14, "image_id": 7, "category_id": 3, "bbox": [1, 1, 10**400, 5]},
    ]
    for name in "ab":
        write_photo(tmp_path / f"{name}.jpg")
    write_json(tmp_path / "a.json", content)
    splits = load_detection_dataset(tmp_path, on_problem="fix", validation_split=0.5)
    texts = [problem.what for problem in splits.problems]
    assert len(texts) == 7
    assert sum("no box of numbers" in text for text in texts) == 5
    for what in ("image 1000 that is not listed", "'with id 55'"):
        assert any(what in text for text in texts)


@pytest.mark.parametrize("kind", ["images", "categories"])
def test_an_id_that_stands_for_two_things(tmp_path, kind):
    content = coco(["a", "b"])
    content[kind].append(content[kind][0] | {"file_name": "c.jpg", "name": "other"})
    write_json(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=f"1 ids of {kind} are given twice, such as"):
        load_detection_dataset(tmp_path, on_problem="fix")


def test_classes_of_the_same_name(tmp_path):
    write_yolo(tmp_path / "yolo", {"train": ["a", "b"]})
    (tmp_path / "yolo/classes.txt").write_text("cell\nworm\ncell\n")
    content = coco(["a", "b"])
    content["categories"][0]["name"] = "cell"
    write_json(tmp_path / "coco/a.json", content)
    for data in (tmp_path / "yolo", tmp_path / "coco"):
        with pytest.raises(ValueError, match=r"the same name: cell\."):
            load_detection_dataset(data)
    (tmp_path / "yolo/classes.txt").write_text("cell\nworm\n")
    with pytest.raises(ValueError, match=r"the same name: a, b\."):
        load_detection_dataset(tmp_path / "yolo", class_names=list("aabb"))


def test_names_of_files_that_cannot_be(tmp_path):
    content = coco(["a", "b", "c"])
    for name in "ab":
        write_photo(tmp_path / f"{name}.jpg")
    for name in ("x" * 5000 + ".jpg", "null\0.jpg"):
        content["images"][2]["file_name"] = name
        write_json(tmp_path / "a.json", content)
        (problem,) = load_detection_dataset(
            tmp_path, on_problem="fix", validation_split=0.5
        ).problems
        assert "no image" in problem.what
    content["images"][2]["file_name"] = ["c.jpg"]
    write_json(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match="names must be text"):
        load_detection_dataset(tmp_path)


def test_a_list_of_photos_with_names_that_cannot_be(tmp_path):
    for name in "ab":
        write_photo(tmp_path / f"{name}.jpg")
        write_labels(tmp_path / f"{name}.txt", yolo_lines(name))
    lines = ["a.jpg", "b.jpg", "x" * 5000 + ".jpg", "/"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("names: [cell, worm]\ntrain: train.txt")
    splits = load_detection_dataset(tmp_path, on_problem="fix", validation_split=0.5)
    assert len(splits.train) == len(splits.validation) == 1
    assert len(splits.problems) == 2


def test_a_link_to_a_photo_is_the_same_photo(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    (tmp_path / "images/val/d.jpg").symlink_to(tmp_path / "images/train/a.jpg")
    (problem,) = load_detection_dataset(tmp_path, on_problem="fix").problems
    assert (problem.path.name, problem.what) == ("d.jpg", "described more than once")


def test_sizes_with_a_fraction(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    xml = voc_xml(CONTENT["a"], size=("80.0", "60.0"))
    (tmp_path / "Annotations/a.xml").write_text(xml)
    assert_content(load_detection_dataset(tmp_path).train)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_all_bounds(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    write_labels(tmp_path / "labels/train/b.txt", ["0 0.5 0.5 1e308 1e308", "0 0.5 0.5 0.2 0.2"])
    splits = load_detection_dataset(tmp_path, on_problem="fix")
    assert ["no box of numbers" in problem.what for problem in splits.problems] == [True]
    assert len(splits.train.boxes[1]) == 1


def test_lines_that_are_not_in_the_form_of_yolo(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    for line in ("0 0.5 0.5 0.2", "0 0.5 0.5 0.2 0.2 0.9", "cell 0.5 0.5 0.2 0.2", "0 a b c d"):
        write_labels(tmp_path / "labels/train/b.txt", ["0 0.5 0.5 0.2 0.2", line])
        with pytest.raises(ValueError, match=r"b\.jpg: its text file is not .* YOLO: line 2"):
            load_detection_dataset(tmp_path)
    write_labels(tmp_path / "labels/train/b.txt", ["7 0.5 0.5 0.2 0.2"])
    with pytest.raises(ValueError, match="unknown class 'number 7'"):
        load_detection_dataset(tmp_path)


def test_data_that_cannot_be_used(tmp_path):
    with pytest.raises(ValueError, match="is no data set with boxes: expected"):
        load_detection_dataset(tmp_path)
    with pytest.raises(ValueError, match="There is no folder or file"):
        load_detection_dataset(tmp_path / "missing")
    with pytest.raises(ValueError, match="validation_split"):
        load_detection_dataset(tmp_path, validation_split=0)
    write_yolo(tmp_path, {"train": ["c"], "val": ["a"]})
    with pytest.raises(ValueError, match="no photo with boxes to train on"):
        load_detection_dataset(tmp_path)
    write_yolo(tmp_path / "one", {"train": ["a"]})
    with pytest.raises(ValueError, match="single photo"):
        load_detection_dataset(tmp_path / "one")
    with pytest.raises(ValueError, match="'stop' or 'fix'"):
        load_detection_dataset(tmp_path, on_problem="ignore")
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(ValueError, match="names of the classes"):
        load_detection_dataset(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train")
    with pytest.raises(ValueError, match="needs `names`"):
        load_detection_dataset(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/other\nnames: [cell, worm]")
    with pytest.raises(ValueError, match="no folder or list of photos"):
        load_detection_dataset(tmp_path)


def test_a_yaml_file_runs_nothing(tmp_path):
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.system ['true']")
    with pytest.raises(ValueError, match="ConstructorError"):
        load_detection_dataset(tmp_path)


BOMB = "".join(
    f"{name}: &{name} [{', '.join([item] * 9)}]\n"
    for name, item in zip(
        "abcdefghij", ["text"] + [f"*{name}" for name in "abcdefghi"], strict=True
    )
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{item}'] * 9)}]}}\n"
    for item, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("names: cell", "must be a list or a mapping. Found: str"),
        ("names: [yes, no]", "must be text .* Found: bool"),
        ("names: [[cell], worm]", "must be text .* Found: list"),
        ("names: {0: cell, '0': worm}", "a number twice"),
        ("names: {.inf: cell}", "OverflowError"),
        ("names: [cell]\ntrain: {a: b}", "must be text .* Found: dict"),
        ("names: [cell]\npath: [a]", "must be text .* Found: list"),
        ("names: [cell]\ntrain: " + "x" * 5000, "File name too long"),
        ("names:", "must be a list or a mapping. Found: NoneType"),
        ("- names:", "AttributeError"),
        (BOMB + "names: [*j]", "must be text .* Found: list"),
        (BOMB + "names: [cell]\ntrain: [*j]", "must be text .* Found: list"),
        (MERGES + "names: [cell]", "ConstructorError"),
    ],
)
def test_a_yaml_file_that_describes_no_data_set(tmp_path, config, what):
    (tmp_path / "data.yaml").write_text(config)
    with pytest.raises(ValueError, match=f"(?s)does not describe a data set.*{what}"):
        load_detection_dataset(tmp_path)


def test_a_large_xml_file_is_refused(tmp_path):
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(ValueError, match="larger than"):
        parse_xml(tmp_path / "a.xml")


def test_names_of_parts():
    names = ("train2017", "instances_val2017", "VALID", "test-dev", "trainval", "photos")
    assert [part_of(name) for name in names] == [
        *("train", "validation", "validation", "test"),
        *(None, None),
    ]


@pytest.mark.skipif(not (SHARED / "data/bccd").is_dir(), reason="the BCCD photos are not there")
def test_real_photos_of_blood():
    splits = load_detection_dataset(SHARED / "data/bccd", on_problem="fix")
    assert [len(splits.train), len(splits.validation)] == [205, 87]
    assert splits.class_names == ("Platelets", "RBC", "WBC")
    np.testing.assert_array_equal(splits.train.counts, [209, 2381, 214])
    texts = [str(problem) for problem in splits.problems]
    assert len(texts) == 2
    assert all("has no area" in text for text in texts)


# The letterbox.


@needs_golden
def test_the_letterbox_is_that_of_yolox_to_the_last_bit():
    reference = np.load(GOLDEN / "nano_real/io.npz")
    photo = Image.open(GOLDEN / "nano_real/images" / str(reference["names"][0])).convert("RGB")
    square, ratio = letterbox(np.asarray(photo), 416)
    assert ratio == reference["ratios"][0]
    np.testing.assert_array_equal(square[..., ::-1].transpose(2, 0, 1), reference["input"][0])


def test_resizing_by_hand():
    row = np.array([0, 100], "uint8").reshape(1, 2, 1).repeat(3, axis=2)
    # Centers of four pixels over two: at -1/4 (the border), 1/4, 3/4 and 5/4 (the border).
    np.testing.assert_array_equal(resize(row, 1, 4)[0, :, 0], [0, 25, 75, 100])
    np.testing.assert_array_equal(resize(row.transpose(1, 0, 2), 4, 1)[:, 0, 0], [0, 25, 75, 100])
    # Without smoothing, of four pixels only the middle two count.
    row = np.array([0, 40, 80, 255], "uint8").reshape(1, 4, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(resize(row, 1, 1)[0, 0], [60, 60, 60])


def test_resizing_to_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (23, 31, 3), "uint8")
    np.testing.assert_array_equal(resize(image, 23, 31), image)


def test_taps_keep_the_brightness():
    for length_in, length_out in ((640, 416), (7, 416), (1999, 640), (1, 5)):
        for clamp in (True, False):
            lower, upper, weight_lower, weight_upper = taps(length_in, length_out, clamp)
            assert (weight_lower + weight_upper == 2048).all()
            assert lower.min() >= 0
            assert upper.max() < length_in


def test_sides_are_cut_off_to_whole_pixels():
    assert fitted(576, 720, 416)[:2] == (332, 415)
    assert fitted(480, 640, 416) == (312, 416, 0.65)
    assert fitted(4, 9000, 416)[:2] == (1, 416)


def test_images_of_another_form():
    for wrong in (np.zeros((4, 4), "uint8"), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), "uint8")):
        with pytest.raises(ValueError, match="uint8 array"):
            letterbox(wrong, 32)
