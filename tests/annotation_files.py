"""Small datasets of boxes for tests, written in each format that is read."""

import json

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 80, 60
SIDES = ("xmin", "ymin", "xmax", "ymax")
# The images by name, each of 80 x 60 pixels: class, and left, top, right and bottom of each box.
CONTENT = {
    "a": [("cell", (8, 6, 40, 36)), ("worm", (0, 30, 20, 60))],
    "b": [("cell", (60, 15, 80, 45))],
    "c": [],
}


def write_image(path, size=(WIDTH, HEIGHT), **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "navy").save(path, **kwargs)
    return path


# Writers of the formats. `splits` maps the name of each split to the names of its images.


def voc_xml(boxes, size=(WIDTH, HEIGHT), difficult=0):
    objects = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(f"<{k}>{v}</{k}>" for k, v in zip(SIDES, box, strict=True))
        + "</bndbox></object>"
        for name, box in boxes
    )
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>stale.jpg</filename>{size}{objects}</annotation>"


def write_voc(folder, splits):
    lists = folder / "ImageSets/Main"
    for path in (lists, folder / "Annotations"):
        path.mkdir(parents=True, exist_ok=True)
    for split, names in splits.items():
        (lists / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            write_image(folder / f"JPEGImages/{name}.jpg")
            (folder / f"Annotations/{name}.xml").write_text(voc_xml(CONTENT[name]))
    return folder


def write_voc_beside(folder, splits):
    for split, names in splits.items():
        for name in names:
            write_image(folder / split / f"{name}.jpg")
            (folder / split / f"{name}.xml").write_text(voc_xml(CONTENT[name]))
    return folder


def coco(names):
    ids = {"cell": 3, "worm": 90}
    categories = [{"id": ids[name], "name": name} for name in ("worm", "cell")]
    images = [
        {"id": i, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
        for i, name in enumerate(names, 7)
    ]
    annotations = [
        {
            "id": 1,
            "image_id": i,
            "category_id": ids[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "iscrowd": 0,
        }
        for i, name in enumerate(names, 7)
        for label, (x1, y1, x2, y2) in CONTENT[name]
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_coco(folder, splits):
    for split, names in splits.items():
        for name in names:
            write_image(folder / f"{split}2017/{name}.jpg")
        write_json(folder / f"annotations/instances_{split}2017.json", coco(names))
        write_json(folder / f"annotations/captions_{split}2017.json", {"captions": []})
    return folder


def write_roboflow_coco(folder, splits):
    for split, names in splits.items():
        for name in names:
            write_image(folder / split / f"{name}.jpg")
        content = coco(names)
        group = {"id": 0, "name": "things", "supercategory": "none"}
        for category in content["categories"]:
            category["supercategory"] = "things"
        content["categories"].append(group)
        write_json(folder / split / "_annotations.coco.json", content)
    return folder


def yolo_lines(name):
    for label, (x1, y1, x2, y2) in CONTENT[name]:
        x, y, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        index = ("cell", "worm").index(label)
        yield f"{index} {x / WIDTH:.6f} {y / HEIGHT:.6f} {w / WIDTH:.6f} {h / HEIGHT:.6f}"


def write_labels(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_yolo(folder, splits):
    for split, names in splits.items():
        for name in names:
            write_image(folder / f"images/{split}/{name}.jpg")
            if CONTENT[name]:
                write_labels(folder / f"labels/{split}/{name}.txt", yolo_lines(name))
    (folder / "classes.txt").write_text("cell\nworm\n")
    return folder


def write_yolo_config(folder, splits):
    write_yolo(folder, splits)
    (folder / "classes.txt").unlink()
    lines = ["path: /nowhere/on/this/machine", "names: {1: worm, 0: cell}", "test: ../test/images"]
    (folder / "data.yaml").write_text("\n".join(lines + [f"{p}: images/{p}" for p in splits]))
    return folder


def write_roboflow_yolo(folder, splits):
    for split, names in splits.items():
        for name in names:
            write_image(folder / split / f"images/{name}.jpg")
            write_labels(folder / split / f"labels/{name}.txt", yolo_lines(name))
    lines = ["names: [cell, worm]", "nc: 2"] + [f"{p}: ../{p}/images" for p in splits]
    (folder / "data.yaml").write_text("\n".join(lines))
    return folder


WRITERS = [
    write_voc,
    write_voc_beside,
    write_coco,
    write_roboflow_coco,
    write_yolo,
    write_yolo_config,
    write_roboflow_yolo,
]


def assert_content(dataset):
    for i, path in enumerate(dataset.paths):
        expected = CONTENT[path.stem]
        boxes = np.array([box for _, box in expected], "float32").reshape(-1, 4)
        np.testing.assert_allclose(dataset.boxes[i], boxes, atol=1e-3)
        assert [dataset.class_names[k] for k in dataset.labels[i]] == [name for name, _ in expected]
        assert (dataset.boxes[i].dtype, dataset.labels[i].dtype) == (np.float32, np.int32)
        assert dataset.ignored[i].tolist() == [False] * len(expected)
