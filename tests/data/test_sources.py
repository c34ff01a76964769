"""Datasets that are not a folder: of Hugging Face and PyTorch, tables, and Parquet files.

The packages are not needed: fakes have the interface that the real classes share.
"""

import io
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import (
    load_classification_dataset,
    load_classification_split,
    load_detection_dataset,
    load_detection_split,
    load_regression_dataset,
    read_dataset,
    recognized_task,
)
from cspdarknet.data.sources import hugging_face
from cspdarknet.data.sources.rows import find_columns
from cspdarknet.data.writers import convert_dataset

pytestmark = pytest.mark.one_backend


def pixels(i, size=(30, 20)):
    return np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3)).astype("uint8")


def encoded(i, format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels(i)).save(file, format, **options)
    return file.getvalue()


# Fakes.


def of_module(module):
    """Set the module of a class, by which its package is recognized."""

    def change(cls):
        cls.__module__ = module
        return cls

    return change


class ClassLabel:
    def __init__(self, names):
        self.names = names


class List:
    def __init__(self, feature):
        self.feature = feature


class HubImage:
    def __init__(self, decode=True):
        self.decode = decode


HubImage.__name__ = "Image"


@of_module("datasets.arrow_dataset")
class HubDataset:
    """Rows by column, as `datasets.Dataset` has them; images must not be decoded."""

    def __init__(self, columns, features, formatted=True, is_decoded=True):
        self.columns, self.features = columns, features
        self.formatted, self.is_decoded = formatted, is_decoded

    def with_format(self, kind):
        assert kind is None
        return HubDataset(self.columns, self.features, False, self.is_decoded)

    def select_columns(self, names):
        columns = {name: self.columns[name] for name in names}
        return HubDataset(columns, self.features, self.formatted, self.is_decoded)

    def cast_column(self, name, feature):
        return HubDataset(self.columns, self.features, self.formatted, feature.decode)

    def __iter__(self):
        assert not self.formatted
        assert not self.is_decoded
        for row in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, row, strict=True))


def hub_classes(count=6, labels=(0, 1), format="PNG"):
    images = [{"bytes": encoded(i, format), "path": None} for i in range(count)]
    labels = [labels[i % len(labels)] for i in range(count)]
    features = {"img": HubImage(), "label": ClassLabel(["zebra", "ant", "bee"]), "id": None}
    return HubDataset({"img": images, "label": labels, "id": list(range(count))}, features)


def hub_boxes(feature, objects):
    images = [{"bytes": encoded(i), "path": "x/a.PNG"} for i in range(3)]
    features = {"image": HubImage(), "objects": feature}
    return HubDataset({"image": images, "objects": [objects] * 3}, features)


@of_module("pandas.core.frame")
class DataFrame:
    def __init__(self, columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return np.array(self._columns[name], object)


@of_module("polars.lazyframe.frame")
class LazyFrame:
    def __init__(self, frame):
        self.collect = lambda: frame


@pytest.fixture
def parquet(monkeypatch):
    """A fake of `pyarrow.parquet`, for rows and metadata that a test sets."""
    module = types.ModuleType("pyarrow.parquet")
    module.rows, module.metadata = [], None

    class ParquetFile:
        def __init__(self, path):
            if not module.rows:
                raise OSError("no footer")
            self.schema_arrow = types.SimpleNamespace(
                names=list(module.rows[0]), metadata=module.metadata
            )

        def iter_batches(self, count, columns):
            rows = [{name: row[name] for name in columns} for row in module.rows]
            yield types.SimpleNamespace(to_pylist=lambda: rows)

    module.ParquetFile = ParquetFile
    monkeypatch.setitem(sys.modules, "pyarrow", types.ModuleType("pyarrow"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", module)
    return module


# Hugging Face.


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_dataset_of_hugging_face(tmp_path, format):
    source = hub_classes(format=format)
    splits = load_classification_dataset(source, images_folder=tmp_path / "images")
    # The order of the declared classes, of which one has no image.
    assert splits.class_names == ("zebra", "ant")
    assert len(splits.train) + len(splits.validation) == 6
    assert splits.format == "Hugging Face dataset: columns img and label"
    for dataset in (splits.train, splits.validation):
        for path, label in zip(dataset.paths, dataset.labels, strict=True):
            index = int(path.stem)
            assert path == tmp_path / f"images/train/{index:08d}.{format.lower()}"
            assert path.read_bytes() == encoded(index, format)
            assert label == index % 2
    # The same folder may be written again.
    load_classification_dataset(source, images_folder=tmp_path / "images")


def test_splits_and_unlabeled_images():
    source = {"train": hub_classes(), "test": hub_classes(labels=(-1, 1)), "valid": hub_classes(4)}
    splits = load_classification_dataset(source)
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [6, 4, 3]
    assert [problem.kind for problem in splits.problems] == ["unlabeled image"] * 3
    name, dataset, _ = load_classification_split(source, ("ant", "zebra"))
    assert (name, dataset.labels.tolist()) == ("test", [0, 0, 0])
    with pytest.raises(ValueError, match="keys of a dict of datasets must be train, validation"):
        load_classification_dataset({"unsupervised": hub_classes()})


@pytest.mark.parametrize("is_list", [True, False])
def test_boxes_of_hugging_face(is_list):
    boxes, classes = [[1, 2, 10.5, 12], [5, 5, 20, 10]], [1, 0]
    names = ClassLabel(["worm", "cell"])
    if is_list:
        feature = List({"bbox": None, "category": names})
        objects = [{"bbox": b, "category": k} for b, k in zip(boxes, classes, strict=True)]
    else:
        feature = {"bbox": None, "category": List(names)}
        objects = {"bbox": boxes, "category": classes}
    source = hub_boxes(feature, objects)
    assert recognized_task(source) == "detection"
    splits = load_detection_dataset(source)
    assert splits.class_names == ("worm", "cell")
    np.testing.assert_array_equal(splits.train.boxes[0], [(1, 2, 11.5, 14), (5, 5, 25, 15)])
    assert splits.train.labels[0].tolist() == [1, 0]
    assert splits.train.paths[0].suffix == ".png"
    with pytest.raises(ValueError, match=r"column of classes .* Received the columns: image, obj"):
        load_classification_dataset(source)


def test_a_dataset_of_the_hub(tmp_path, monkeypatch):
    def load_dataset(name, revision=None):
        if name == "owner/missing":
            raise FileNotFoundError("Dataset 'owner/missing' doesn't exist on the Hub\nmore")
        assert (name, revision) == ("owner/name", "v1")
        return {"train": hub_classes()}

    fake = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setattr(hugging_face, "require", lambda *_: fake)
    for address in ("hf://datasets/owner/name@v1", "hf:/datasets/owner/name@v1"):
        assert recognized_task(address) == "classification"
        assert len(read_dataset(address).splits["train"]) == 6
    with pytest.raises(ValueError, match="cannot be loaded: Dataset 'owner/missing' doesn't exist"):
        read_dataset("hf://datasets/owner/missing")
    for address in ("hf://datasets/name", "hf://datasets/../../name/x", "hf://datasets"):
        with pytest.raises(ValueError, match=r"must be hf://datasets/owner/name"):
            read_dataset(address)


@pytest.mark.parametrize(
    ("source", "package", "extra"),
    [("hf://datasets/a/b", "datasets", "datasets"), ("a.parquet", "pyarrow.parquet", "parquet")],
)
def test_missing_packages_are_named_with_their_extra(tmp_path, monkeypatch, source, package, extra):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.parquet").touch()
    for name in ("datasets", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"needs {package}: run .*cspdarknet\[{extra}\]"):
        read_dataset(source)


# Parquet files.


def test_a_parquet_file_of_hugging_face(tmp_path, parquet):
    parquet.rows = [
        {"image": {"bytes": encoded(i), "path": f"{i}.png"}, "label": i % 2} for i in range(6)
    ]
    features = (
        '{"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["b", "a"]}}'
    )
    parquet.metadata = {b"huggingface": f'{{"info": {{"features": {features}}}}}'.encode()}
    path = tmp_path / "validation-00000-of-00001.parquet"
    path.touch()
    annotations = read_dataset(path)
    assert recognized_task(path) == "classification"
    assert [image.class_name for image in annotations.splits["validation"]] == ["b", "a"] * 3
    assert annotations.class_names == ("b", "a")
    parquet.metadata = {b"huggingface": b"no JSON"}
    with pytest.raises(ValueError, match="is not a Parquet file, or is damaged"):
        read_dataset(path)


def test_a_parquet_file_of_paths(tmp_path, parquet):
    for i in range(4):
        Image.fromarray(pixels(i)).save(tmp_path / f"{i}.png")
    parquet.rows = [{"file": f"{i}.png", "class": "ab"[i % 2], "n": 0} for i in range(4)]
    (tmp_path / "t.PARQUET").touch()
    splits = load_classification_dataset(tmp_path / "t.PARQUET", 0.5)
    assert splits.class_names == ("a", "b")
    assert {path.parent for path in splits.train.paths} == {tmp_path}
    parquet.rows = []
    with pytest.raises(ValueError, match="damaged: no footer"):
        read_dataset(tmp_path / "t.PARQUET")
    with pytest.raises(ValueError, match="There is no file"):
        read_dataset(tmp_path / "no.parquet")


# Tables.


def frame(tmp_path, **columns):
    for i in range(6):
        Image.fromarray(pixels(i)).save(tmp_path / f"{i}.png")
    return DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(6)], **columns})


@pytest.mark.parametrize("wrap", [lambda frame: frame, LazyFrame])
def test_a_data_frame(tmp_path, wrap):
    split = ["train"] * 4 + ["val", None]
    source = wrap(frame(tmp_path, Label=["b", "a"] * 3, split=split))
    splits = load_classification_dataset(source)
    assert splits.class_names == ("a", "b")
    assert [path.name for path in splits.train.paths] == [
        "0.png",
        "1.png",
        "2.png",
        "3.png",
        "5.png",
    ]
    assert [path.name for path in splits.validation.paths] == ["4.png"]
    assert splits.train.labels.tolist() == [1, 0, 1, 0, 0]


def test_numbers_as_classes_of_a_data_frame(tmp_path):
    source = frame(tmp_path, label=[10.0, 2.0, 10.0, 2.0, float("nan"), 2.0])
    splits = load_classification_dataset(source, 0.5)
    assert splits.class_names == ("2", "10")
    assert [problem.path.name for problem in splits.problems] == ["4.png"]
    with pytest.raises(ValueError, match=r"data frame, row 0: A label must be a whole number"):
        load_classification_dataset(frame(tmp_path, label=[1.5] * 6))
    with pytest.raises(ValueError, match=r"row 1: the split must be .* Received: 'x'"):
        load_classification_dataset(frame(tmp_path, label=["a"] * 6, split=["train", "x"] * 3))
    with pytest.raises(ValueError, match=r"column of images .* Received the columns: a"):
        load_classification_dataset(DataFrame({"a": [1], 7: [2]}))


# Sequences.


class Pairs:
    """The interface of `torch.utils.data.Dataset`: indices and a length."""

    def __init__(self, pairs, **attributes):
        self.pairs = pairs
        vars(self).update(attributes)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        if isinstance(self.pairs[i], Exception):
            raise self.pairs[i]
        return self.pairs[i]


class Tensor:
    """The interface of a tensor of PyTorch on a GPU."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def detach(self):
        return self

    def cpu(self):
        return self.values


def test_a_dataset_of_pytorch():
    pairs = [(Tensor(pixels(i).transpose(2, 0, 1) / np.float32(255)), i % 2) for i in range(6)]
    inner = Pairs(pairs, classes=["zebra", "ant"])
    for source in (inner, Pairs(pairs, dataset=inner)):  # a subset has no names of its own
        splits = load_classification_dataset(source)
        assert splits.class_names == ("zebra", "ant")
        for path, label in zip(splits.train.paths, splits.train.labels, strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels(int(path.stem)))
            assert label == int(path.stem) % 2


def test_boxes_of_torchvision():
    target = {"boxes": Tensor([[1.0, 2, 10, 12]]), "labels": Tensor([2]), "image_id": 7}
    empty = {"boxes": Tensor(np.zeros((0, 4))), "labels": Tensor(np.zeros(0, "int64"))}
    pairs = [(Image.fromarray(pixels(i)), target if i else empty) for i in range(4)]
    source = Pairs(pairs, categories=["background", "cell", "worm"])
    splits = load_detection_dataset({"train": source, "val": source})
    assert [len(boxes) for boxes in splits.train.boxes] == [0, 1, 1, 1]
    assert splits.train.boxes[1].tolist() == [[1, 2, 10, 12]]
    assert splits.class_names == ("background", "cell", "worm")
    name, dataset, _ = load_detection_split(source, ("worm",))
    assert (name, dataset.labels[1].tolist()) == ("all", [0])
    without_names = load_detection_dataset({"train": Pairs(pairs), "val": Pairs(pairs)})
    assert without_names.class_names == ("2",)


def test_boxes_of_coco_in_torchvision(tmp_path):
    target = [{"bbox": [1, 2, 9, 10], "category_id": 3, "iscrowd": 1}]
    categories = {7: {"name": "worm"}, 3: {"name": "cell"}}
    source = Pairs(
        [(Image.fromarray(pixels(i)), target if i else []) for i in range(3)],
        coco=types.SimpleNamespace(cats=categories),
    )
    annotations = read_dataset(source)
    assert annotations.class_names == ("cell", "worm")
    image = annotations.splits["train"][1]
    assert (image.boxes, image.names, image.ignored) == ([(1, 2, 10, 12)], ["cell"], [True])
    written = convert_dataset(source, tmp_path / "coco", "coco")
    assert (written.images, written.boxes) == ({"train": 3}, 2)


def test_pairs_of_many_kinds_of_images(tmp_path):
    Image.fromarray(pixels(0)).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.open(io.BytesIO(encoded(3, "TIFF", exif=exif)))
    images = [
        *(str(tmp_path / "a.png"), tmp_path / "a.png", encoded(0), pixels(0), turned),
        *(pixels(0)[..., 0], Image.fromarray(pixels(0)).convert("CMYK"), {"bytes": encoded(0)}),
    ]
    annotations = read_dataset([(image, "x") for image in images], images_folder=tmp_path / "new")
    paths = [image.path for image in annotations.splits["train"]]
    assert paths[:2] == [tmp_path / "a.png"] * 2
    for i in (2, 3, 7):
        np.testing.assert_array_equal(np.asarray(Image.open(paths[i])), pixels(0))
    np.testing.assert_array_equal(
        np.asarray(Image.open(paths[4])), np.rot90(pixels(3), 3)
    )  # upright
    assert np.asarray(Image.open(paths[5])).shape == (20, 30, 3)
    assert len(set(paths)) == len(images) - 1


def test_an_image_that_cannot_be_used_is_a_problem():
    pairs = [(pixels(i), "ab"[i % 2]) for i in range(4)] + [(np.full((5, 5, 3), 9e9), "a")]
    with pytest.raises(ValueError, match=r"list of pairs, item 4: .*finite numbers in 0\.\.255"):
        load_classification_dataset(pairs)
    splits = load_classification_dataset(pairs, 0.5, on_problem="fix")
    assert [problem.kind for problem in splits.problems] == ["unreadable image"]


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (5, "A dataset must be a folder, .* Received: int"),
        (None, "Received: NoneType"),
        (b"x", "Received: bytes"),
        (Pairs, "Received: type"),
        ({}, "must not be empty"),
        ([1, 2], r"Item 0 of the train split: it must be a pair \(image, target\)"),
        (["a.jpg"], "Received: str"),
        ([(1, 2, 3)], "Received: tuple of 3 values"),
        ([("a.jpg", [0.5, 1.0])], "A label must be a whole number or a name"),
        ([("a.jpg", [0, 1])], "read the dataset with labels='multi'"),
        ([("a.jpg", -2)], "A label must be a whole number or a name. Received: -2"),
        ([("a.jpg", {"boxes": [[1, 2, 3]], "labels": [1]})], r"of the shape \(1, 3\), and 1"),
        ([("a.jpg", {"boxes": [[1, 2, 3, 4]], "labels": []})], "and 0 classes"),
        ([("a.jpg", {"boxes": []})], "one of the keys"),
        ([("a.jpg", {"boxes": "x", "labels": "y"})], "Boxes must be numbers"),
        ([("a.jpg", "x"), ("b.jpg", {"boxes": [], "labels": []})], "Received: boxes"),
        (Pairs([KeyError("z")]), "Item 0 of the train split cannot be loaded: KeyError: 'z'"),
    ],
)
def test_what_is_not_a_dataset_is_refused(source, match):
    with pytest.raises(ValueError, match=match):
        load_classification_dataset(source)


def test_the_folder_of_images_is_new_or_ours(tmp_path):
    pairs = [(pixels(i), "ab"[i % 2]) for i in range(4)]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/00000000.png").write_bytes(b"a photograph")
    for folder in (tmp_path / "mine", tmp_path / "mine/00000000.png"):
        with pytest.raises(ValueError, match="`images_folder` must be a new or an empty folder"):
            read_dataset(pairs, images_folder=folder)
    assert (tmp_path / "mine/00000000.png").read_bytes() == b"a photograph"


def test_the_temporary_folder_is_removed_at_exit():
    code = (
        "import numpy as np\n"
        "from cspdarknet.data import read_dataset\n"
        "pairs = [(np.zeros((8, 8, 3), 'uint8'), 'a')]\n"
        "path = read_dataset(pairs).splits['train'][0].path\n"
        "assert path.is_file()\n"
        "print(path)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    path = result.stdout.strip()
    assert path.endswith("00000000.png")
    with pytest.raises(FileNotFoundError):
        Image.open(path)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ((["cat", "dog"], [], {"dog"}), (("cat", "dog"), (), ("dog",))),
        (([3, 1], [], 1), (("3", "1"), (), ("1",))),
        ((np.array([1, 1, 0]), np.array([0, 0, 0]), np.array([0, 0, 1.0])), (("0", "1"), (), "2")),
        (([True, True], [False, False], [False, True]), (("0", "1"), (), ("1",))),
        (("cat; dog", [], "stop sign"), (("cat", "dog"), (), ("stop sign",))),
        ((np.array(["dog"], object), np.zeros(0), "dog"), (("dog",), (), ("dog",))),
        ((np.array(["cat", "dog"], object), (), "dog"), (("cat", "dog"), (), ("dog",))),
    ],
)
def test_all_classes_of_an_image(targets, names):
    pairs = [(pixels(i), target) for i, target in enumerate(targets)]
    annotations = read_dataset(pairs, "classification", labels="multi")
    assert [image.class_names for image in annotations.splits["train"]] == [tuple(n) for n in names]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0, 1, 0], "must be different numbers"),
        (np.array([0, 2]), "a 0 or 1 for each class"),
        (np.zeros((2, 2)), "A label must be"),
        (["cat", 3], "A label must be"),
        ([None, {}], "A label must be"),
        (np.array([None, "cat"], object), "A label must be"),
        ([[1], [2, 3]], "An array is expected"),
    ],
)
def test_classes_that_cannot_be_read(target, message):
    with pytest.raises(ValueError, match=message):
        read_dataset([(pixels(0), target)], "classification", labels="multi")


@pytest.mark.parametrize("kind", ["Sequence", "List"])
def test_a_column_of_lists_of_classes_of_hugging_face(kind):
    names = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "labels": {"feature": names, "_type": kind}}
    columns = find_columns(features, "classification", "table")
    assert (columns.image, columns.target) == ("image", "labels")
    assert columns.class_names == {0: "cat", 1: "dog"}
    old = find_columns({**features, "labels": [names]}, "classification", "table")
    assert old.class_names == {0: "cat", 1: "dog"}


def flags(count=6):
    """A column of 0 and 1 for each of two classes; the last image is of none."""
    return {
        "cat": [int(i % 2 == 0) for i in range(count - 1)] + [0],
        "dog": [int(i < 3) for i in range(count - 1)] + [0],
    }


def test_a_column_for_each_class(tmp_path, parquet):
    """Of a data frame, a Parquet file and a dataset of Hugging Face."""
    columns = flags()
    images = [{"bytes": encoded(i), "path": None} for i in range(6)]
    hub = HubDataset({"img": images, **columns}, {"img": HubImage(), "cat": None, "dog": None})
    parquet.rows = [
        {"index": i, "image": image, "cat": bool(cat), "dog": dog}
        for i, (image, cat, dog) in enumerate(zip(images, *columns.values(), strict=True))
    ]
    (tmp_path / "pets.parquet").touch()
    for source in (frame(tmp_path, **columns), tmp_path / "pets.parquet", hub):
        splits = load_classification_dataset(source, 0.5, labels="multi")
        assert splits.class_names == ("cat", "dog")
        found = splits.train.counts + splits.validation.counts
        assert found.tolist() == [3, 3]
        assert len(splits.train) + len(splits.validation) == 6


def test_columns_that_are_none_of_classes(tmp_path):
    source = frame(tmp_path, **flags(), price=[1, 0, 7, 1, 0, 1])
    with pytest.raises(ValueError, match=r"row 2: each class .* Received: '7' in the column 'pri"):
        load_classification_dataset(source, labels="multi")
    with pytest.raises(ValueError, match="must have a column of images"):
        load_classification_dataset(source)
    missing = frame(tmp_path, cat=[1, 0, None, 1, 1, 0], split=["train", "val"] * 3)
    splits = load_classification_dataset(missing, labels="multi", on_problem="fix")
    assert [problem.path.name for problem in splits.problems] == ["2.png"]


def test_frames_of_different_columns(tmp_path):
    first, second = frame(tmp_path, **flags()), frame(tmp_path, cat=[1] * 6)
    for source in ({"train": first, "val": second}, {"train": second, "val": first}):
        with pytest.raises(ValueError, match=r"the same columns\. Received: dog, which not"):
            load_classification_dataset(source, labels="multi")
    with_splits = frame(tmp_path, **flags(), split=["train"] * 6)
    # An image of both splits remains in one.
    splits = load_classification_dataset({"train": with_splits, "val": first}, labels="multi")
    assert len(splits.train) + len(splits.validation) == 6


def test_numbers_of_hugging_face_and_of_a_parquet_file(tmp_path, parquet):
    images = [{"bytes": encoded(i), "path": None} for i in range(6)]
    ages, splits = [i / 4 for i in range(6)], ["train"] * 4 + ["validation"] * 2
    columns = {"photo": images, "age": ages, "split": splits}
    hub = HubDataset(columns, {"photo": HubImage(), "age": None, "split": None})
    parquet.rows = [{"path": f"{i}.png", "age": age, "index": i} for i, age in enumerate(ages)]
    for i in range(6):
        Image.fromarray(pixels(i)).save(tmp_path / f"{i}.png")
    (tmp_path / "pets.parquet").touch()
    for source in (hub, {"train": hub}, tmp_path / "pets.parquet"):
        loaded = load_regression_dataset(source, 0.34)
        assert loaded.class_names == ("age",)
        every = np.concatenate([loaded.train.targets, loaded.validation.targets])[:, 0]
        assert sorted(every.tolist()) == ages
    assert {path.parent for path in loaded.train.paths} == {tmp_path}
    assert load_regression_dataset(hub).validation.targets[:, 0].tolist() == ages[4:]
