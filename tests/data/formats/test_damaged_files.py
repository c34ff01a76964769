"""Files of every format with random damage: the readers raise a `ValueError`, or name problems."""

import json
import random
import re

import pytest

from annotation_files import (
    write_coco,
    write_createml,
    write_cvat,
    write_darknet,
    write_keras_lists,
    write_labelme,
    write_retinanet,
    write_roboflow_csv,
    write_roboflow_darknet,
    write_via,
    write_voc,
    write_yolo,
)
from cspdarknet.data import load_detection_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import FORMATS

pytestmark = pytest.mark.one_backend

WRITERS = [
    *(write_coco, write_createml, write_cvat, write_darknet, write_keras_lists, write_labelme),
    *(
        write_retinanet,
        write_roboflow_csv,
        write_roboflow_darknet,
        write_via,
        write_voc,
        write_yolo,
    ),
]
CASES = 25
VALUES = [
    *(None, True, 0, -1, 1e999, float("nan"), 10**400, 1.5, "", "x", "1", "nan", "1e400", "\ud800"),
    *("a\0b", "x" * 5000, "../../a.jpg", "a.jpg", [], {}, [[]], [None], {"a": 1}, [1, 2]),
    *(["a.jpg"], {"name": "rect"}, [[1, 2], [3, 4]], {"filename": "a.jpg", "regions": []}),
]
INSERTED = [
    *(b",", b"\n", b"=", b"<", b">", b'"', b" ", b"\0", b"nan", b"inf", b"1e400", b"-", b"9" * 400),
    *(
        b"\xff\xfe",
        b"a.jpg",
        b"<!DOCTYPE a>",
        b"&a;",
        b"</image>",
        b"<track/>",
        b"../",
        b"\xef\xbb\xbf",
    ),
]


def damaged_json(rng, value, depth=0):
    if rng.random() < 0.04 + 0.03 * depth:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if rng.random() > 0.04}
        return {key: damaged_json(rng, item, depth + 1) for key, item in kept.items()}
    if isinstance(value, list):
        return [damaged_json(rng, item, depth + 1) for item in value if rng.random() > 0.04]
    return value


def damaged_text(rng, content):
    for _ in range(rng.randint(1, 5)):
        start = rng.randrange(len(content) + 1)
        numbers = list(re.finditer(rb"[\d.]+", content))
        if numbers and rng.random() < 0.5:
            start, end = rng.choice(numbers).span()
            content = content[:start] + rng.choice(INSERTED) + content[end:]
        elif rng.random() < 0.5:
            content = content[:start] + rng.choice(INSERTED) + content[start:]
        else:
            content = content[:start] + content[start + rng.randint(1, 30) :]
    return content


def damaged(rng, path):
    content = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.8:
        return json.dumps(damaged_json(rng, json.loads(content))).encode()
    return damaged_text(rng, content)


@pytest.mark.parametrize("write", WRITERS)
def test_readers_raise_value_errors_only(tmp_path, write):
    rng = random.Random(write.__name__)
    write(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    contents = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix != ".jpg"}
    contents = {path: contents[path] for path in sorted(contents)}
    read = 0
    for _ in range(CASES):
        path = rng.choice(list(contents))
        path.write_bytes(damaged(rng, path))
        for source in (tmp_path, path):
            for format in FORMATS:
                format.match(DatasetFiles(source))
        for source, name in ((tmp_path, None), (path, None), (tmp_path, rng.choice(FORMATS).name)):
            try:
                read += bool(load_detection_dataset(source, on_problem="fix", format=name))
            except ValueError:
                continue
        path.write_bytes(contents[path])
    assert read  # not all damage makes a dataset useless
