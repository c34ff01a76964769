"""`cspdarknet data convert`, `split` and `pack`."""

import pytest
from typer.testing import CliRunner

from annotation_files import voc_xml, write_coco, write_voc
from cspdarknet.cli import app
from cspdarknet.cli.choices import PACKED_FORMATS
from cspdarknet.data import read_dataset
from image_datasets import write_class_folders, write_multi_label_dataset

pytestmark = pytest.mark.one_backend


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)], env={"COLUMNS": "200"})


def test_convert(tmp_path):
    source = write_coco(tmp_path / "source", {"train": ["a", "c"], "val": ["b"]})
    result = run("convert", source, tmp_path / "new", "--to", "yolo", "--link")
    assert result.exit_code == 0, result.output
    assert "3 images (2 train, 1 validation), 3 boxes, 2 classes: " in result.output
    assert "files of other kinds (not read): 1" in result.output
    assert "captions_train2017.json" in result.output
    assert read_dataset(tmp_path / "new").format.startswith("YOLO")
    image = tmp_path / "new/images/train/a.jpg"
    assert image.samefile(source / "train2017/a.jpg")


def test_problems_of_the_source(tmp_path):
    source = write_voc(tmp_path / "source", {"train": ["a"]})
    boxes = [("cell", (9, 9, 9, 9)), ("cell", (1, 2, 30, 40))]
    (source / "Annotations/a.xml").write_text(voc_xml(boxes))
    arguments = ("convert", source, tmp_path / "new", "--to", "coco")
    result = run(*arguments)
    assert "1 problem in 1 file" in str(result.exception)
    assert "--on-problem fix" in str(result.exception)
    result = run(*arguments, "--on-problem", "fix")
    assert "boxes without an area, or not of finite numbers (left out): 1" in result.output


def test_split(tmp_path):
    source = write_class_folders(tmp_path / "source", per_class=10)
    result = run("split", source, tmp_path / "new", "--seed", "1")
    assert "30 images (24 train, 3 validation, 3 test), 3 classes: " in result.output
    result = run(
        *("split", source, tmp_path / "other", "--fractions", "0.5,0.5", "--group", r"^\d"),
        *("--to", "folder", "--by", "random"),
    )
    assert result.exit_code == 0, result.exception
    splits = read_dataset(tmp_path / "other").splits
    names = [{image.path.stem for image in images} for images in splits.values()]
    assert not names[0] & names[1]


@pytest.mark.parametrize("to", PACKED_FORMATS)
def test_pack(tmp_path, to):
    """A packed dataset is checked, described, trained on and packed again like the folder."""
    source, packed = write_class_folders(tmp_path / "source", per_class=4), tmp_path / "packed"
    result = run("pack", source, packed, "--to", to, "--shard-size", "1")
    assert "12 images (12 train), 3 classes, in 1 shard, 0." in result.output
    again = run("pack", source, packed, "--to", to, "--shard-size", "1")
    assert "in 1 shard, 1 of them written before" in again.output
    result = run("check", packed, "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.exception
    assert f"packed classes: pack.json lists 1 shard of {to}" in result.output
    assert "A training would start." in result.output
    result = run("stats", packed, "--out", tmp_path / "page", "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.exception


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fractions", "a,b"], "`--fractions` must be numbers such as 0.8,0.1,0.1"),
        (["--fractions", "0.9,0.9"], "of sum 1"),
        (["--group", "x"], "does not match 6 of 6 names"),
    ],
)
def test_invalid_options(tmp_path, arguments, message):
    source = write_class_folders(tmp_path / "source", per_class=2)
    result = run("split", source, tmp_path / "new", *arguments)
    assert message in str(result.exception)
    assert not (tmp_path / "new").exists()


def test_clear_cache(tmp_path):
    file = tmp_path / "cache/ab/cd.rgb"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(1_500_000))
    assert "1 decoded image removed, 1.5 MB." in run("clear-cache", tmp_path / "cache").output
    assert not file.exists()


def test_split_of_several_classes_and_of_numbers(tmp_path):
    source = write_multi_label_dataset(tmp_path / "pets", count=10)
    result = run("split", source, tmp_path / "new", "--labels", "multi", "--fractions", "0.8,0.2")
    assert result.exit_code == 0, result.exception
    assert "10 images (7 train, 3 validation), 3 classes: " in result.output
    assert "(multi-label)" in result.output
    names = [path.name for path in sorted(source.glob("*.png"))]
    rows = [f"{name},{i},{i / 2}" for i, name in enumerate(names)]
    (source / "_classes.csv").unlink()
    (source / "ages.csv").write_text("\n".join(["path,age,weight", *rows]))
    result = run("split", source, tmp_path / "numbers", "--task", "regression")
    assert f"{len(names)} images" in result.output
    assert "2 columns: " in result.output
