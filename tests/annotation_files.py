"""Small datasets of boxes for tests, written in each format that is read."""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from cspdarknet.data import pack_dataset

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


# Writers of formats whose files list many images, and of Darknet and LabelMe.


def write_images(folder, splits, pattern="{split}/{name}.jpg"):
    for split, names in splits.items():
        for name in names:
            write_image(folder / pattern.format(split=split, name=name))


def write_darknet(folder, splits):
    """`obj.data` as CVAT and the guides of Darknet have it, with lists in `data`."""
    write_images(folder, splits, "data/obj/{name}.jpg")
    keys = {"train": "train", "val": "valid", "test": "test"}
    lines = ["classes = 2", *(f"{keys[s]} = data/{s}.txt" for s in splits)]
    write_labels(folder / "data/obj.data", [*lines, "names = data/obj.names", "backup = backup/"])
    write_labels(folder / "data/obj.names", ["cell", "worm"])
    for split, names in splits.items():
        write_labels(folder / f"data/{split}.txt", [f"data/obj/{name}.jpg" for name in names])
        for name in names:
            write_labels(folder / f"data/obj/{name}.txt", yolo_lines(name))
    return folder


def write_roboflow_darknet(folder, splits):
    write_images(folder, splits)
    for split, names in splits.items():
        write_labels(folder / split / "_darknet.labels", ["cell", "worm"])
        for name in names:
            write_labels(folder / split / f"{name}.txt", yolo_lines(name))
    return folder


def csv_rows(names, prefix=""):
    return [
        f"{prefix}{name}.jpg,{WIDTH},{HEIGHT},{label},{','.join(map(str, box))}"
        for name in names
        for label, box in CONTENT[name]
    ]


def write_roboflow_csv(folder, splits):
    write_images(folder, splits)
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    for split, names in splits.items():
        write_labels(folder / split / "_annotations.csv", [header, *csv_rows(names)])
    return folder


def retinanet_rows(names, prefix=""):
    for name in names:
        for label, box in CONTENT[name]:
            yield f"{prefix}{name}.jpg,{','.join(map(str, box))},{label}"
        if not CONTENT[name]:
            yield f"{prefix}{name}.jpg,,,,,"


def write_retinanet(folder, splits):
    write_images(folder, splits, "images/{name}.jpg")
    for split, names in splits.items():
        write_labels(folder / f"{split}.csv", retinanet_rows(names, "images/"))
    write_labels(folder / "classes.csv", ["worm,1", "cell,0"])
    return folder


def cvat_xml(names, shapes=None, labels=("cell", "worm"), **attributes):
    """`CVAT for images`: `shapes` replaces the boxes of the images that it has."""
    tags = "".join(f"<label><name>{label}</name></label>" for label in labels)
    extra = "".join(f' {key}="{value}"' for key, value in attributes.items())
    images = ""
    for i, name in enumerate(names):
        content = (shapes or {}).get(name)
        if content is None:
            content = "".join(
                f'<box label="{label}" occluded="0" xtl="{x1:.2f}" ytl="{y1:.2f}" '
                f'xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0"></box>'
                for label, (x1, y1, x2, y2) in CONTENT[name]
            )
        images += f'<image id="{i}" name="{name}.jpg" width="{WIDTH}" height="{HEIGHT}"{extra}>'
        images += f"{content}</image>"
    meta = f"<meta><task><labels>{tags}</labels></task></meta>"
    return f"<?xml version='1.0'?><annotations><version>1.1</version>{meta}{images}</annotations>"


def write_cvat(folder, splits):
    write_images(folder, splits, "{split}/images/{name}.jpg")
    for split, names in splits.items():
        (folder / split / "annotations.xml").write_text(cvat_xml(names))
    return folder


def via_regions(name, attribute="class"):
    return [
        {
            "shape_attributes": {
                "name": "rect",
                **{"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
            },
            "region_attributes": {attribute: label},
        }
        for label, (x1, y1, x2, y2) in CONTENT[name]
    ]


def via(names):
    return {
        f"{name}.jpg631": {
            "filename": f"{name}.jpg",
            "size": 631,
            "regions": via_regions(name),
            "file_attributes": {},
        }
        for name in names
    }


def write_via(folder, splits):
    write_images(folder, splits)
    for split, names in splits.items():
        write_json(folder / split / "via_region_data.json", via(names))
    return folder


def createml(names):
    return [
        {
            "image": f"{name}.jpg",
            "annotations": [
                {
                    "label": label,
                    "coordinates": {
                        **{"x": (x1 + x2) / 2, "y": (y1 + y2) / 2},
                        **{"width": x2 - x1, "height": y2 - y1},
                    },
                }
                for label, (x1, y1, x2, y2) in CONTENT[name]
            ],
        }
        for name in names
    ]


def write_createml(folder, splits):
    write_images(folder, splits)
    for split, names in splits.items():
        write_json(folder / split / "_annotations.createml.json", createml(names))
    return folder


def labelme(name):
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            # The corners in the order in which they were clicked.
            {"label": label, "points": [[x2, y1], [x1, y2]], "shape_type": "rectangle"}
            for label, (x1, y1, x2, y2) in CONTENT[name]
        ],
        "imagePath": f"{name}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def write_labelme(folder, splits):
    write_images(folder, splits)
    for split, names in splits.items():
        for name in names:
            write_json(folder / split / f"{name}.json", labelme(name))
    return folder


def keras_lines(names, prefix=""):
    for name in names:
        boxes = [
            f"{','.join(map(str, box))},{('cell', 'worm').index(label)}"
            for label, box in CONTENT[name]
        ]
        yield " ".join([f"{prefix}{name}.jpg", *boxes])


def write_keras_lists(folder, splits):
    write_images(folder, splits, "my images/{name}.jpg")
    for split, names in splits.items():
        write_labels(folder / f"{split}.txt", keras_lines(names, "my images/"))
    write_labels(folder / "model_data/my_classes.txt", ["cell", "worm"])
    return folder


def write_packed_boxes(folder, splits):
    with tempfile.TemporaryDirectory() as source:
        pack_dataset(write_coco(Path(source), splits), folder)
    return folder


def write_packed_classes(folder, splits):
    with tempfile.TemporaryDirectory() as source:
        for split in splits:
            for i, label in enumerate(("cat", "dog", "cat", "dog")):
                write_image(Path(source) / split / label / f"{i}.png")
        pack_dataset(source, folder, "parquet")
    return folder
