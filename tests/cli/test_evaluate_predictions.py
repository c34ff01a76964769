"""`cspdarknet evaluate --predictions`, and the choice of classes."""

import json

import pytest

from cspdarknet.cli.evaluate_predictions import category_names
from cspdarknet.data import convert_dataset
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from image_datasets import BOXED_COLORS, write_yolo_dataset
from support import randomize, run_command

pytestmark = pytest.mark.one_backend
pytest.importorskip("pycocotools")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "preset"
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    names = tuple(BOXED_COLORS)
    model = YOLOXDetector(backbone, 2, class_names=names, image_size=64, max_detections=300)
    randomize(model).save_to_preset(path)
    return path


@pytest.fixture
def data(tmp_path):
    return write_yolo_dataset(tmp_path / "data", count=3)


def metrics_in(folder):
    return json.loads((folder / "evaluation.json").read_text())


def test_detections_in_a_file_have_the_metrics_of_their_model(detector, data, tmp_path):
    """`detect` with the thresholds of an evaluation, then `evaluate`."""
    low = ("--score-threshold", "0.001", "--max-detections", "300", "--runtime", "keras")
    files = ("--json", tmp_path / "a.json", "--coco-results", tmp_path / "b.json")
    assert run_command("detect", detector, data / "images", *low, *files).exit_code == 0
    result = run_command(
        "evaluate", detector, data, "--runtime", "keras", "--out", tmp_path / "model"
    )
    assert result.exit_code == 0, result.output
    expected = metrics_in(tmp_path / "model")
    ids = ",".join(f"{i}={name}" for i, name in enumerate(BOXED_COLORS, 1))
    for name, options in (("a.json", ()), ("b.json", ("--class-names", ids))):
        out = tmp_path / f"{name}.out"
        command = ("evaluate", data, "--predictions", tmp_path / name, "--out", out, *options)
        result = run_command(*command)
        assert result.exit_code == 0, (result.output, result.exception)
        metrics = metrics_in(out)
        assert metrics["map"] == pytest.approx(expected["map"], abs=1e-4)
        assert metrics["confusion"] == expected["confusion"]
        assert "3 images: all images of" in result.output


def test_the_ids_of_the_dataset_are_found(data, tmp_path):
    convert_dataset(data, tmp_path / "coco", "coco")
    (file,) = (tmp_path / "coco/annotations").glob("*.json")
    content = json.loads(file.read_text())
    rows = [
        {**{key: a[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for a in content["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(rows))
    command = ("evaluate", tmp_path / "coco", "--predictions", tmp_path / "results.json")
    result = run_command(*command, "--thresholds", "f1")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "mAP 1.000" in result.output
    one = run_command(*command, "--classes", "blue")
    assert "mAP 1.000" in one.output
    table = one.output.split("mAP")[0]
    assert "blue" in table
    assert "red" not in table


def test_one_class_of_a_model(detector, data, tmp_path):
    for options in ((), ("--classes", "red"), ("--classes", "1,red")):
        name = "".join(options) or "all"
        result = run_command("evaluate", detector, data, *options, "--out", tmp_path / name)
        assert result.exit_code == 0, (result.output, result.exception)
    by_name = {c["name"]: c for c in metrics_in(tmp_path / "all")["classes"]}
    (red,) = metrics_in(tmp_path / "--classesred")["classes"]
    assert red["ap"] == pytest.approx(by_name["red"]["ap"], abs=1e-6)
    assert red["boxes"] == by_name["red"]["boxes"]
    result = run_command("evaluate", detector, data, "--classes", "green")
    assert "`classes` must be classes of the model: " in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m", "{d}", "--predictions", "a.json"), "takes the place of MODEL"),
        (("{d}",), "needs MODEL and DATA, or DATA and `--predictions FILE`"),
        (("m", "{d}", "--coco-annotations", "a.json"), "is for `--predictions`"),
        (("{d}", "--predictions", "a.json", "--runtime", "keras"), "Received: --runtime: leave it"),
        (("{d}", "--predictions", "no.json"), "no.json must be a JSON file"),
        (("{d}", "--predictions", "a.json", "--class-names", "red"), "such as 0=cat,1=dog"),
    ],
)
def test_errors(data, arguments, message):
    arguments = [argument.replace("{d}", str(data)) for argument in arguments]
    result = run_command("evaluate", *arguments)
    assert isinstance(result.exception, ValueError), result.output
    assert message in str(result.exception)


def test_classes_of_classifiers_and_thresholds_of_some_classes(detector, data):
    options = ("--classes", "red", "--thresholds", "f1", "--save-thresholds")
    result = run_command("evaluate", detector, data, *options)
    assert "all classes and the model's own image size" in str(result.exception)


def test_names_of_categories():
    assert category_names(None) is None
    assert category_names("1= red ,2=light blue") == {1: "red", 2: "light blue"}
    for wrong in ("", "red", "a=red", "1=", "1=red,"):
        with pytest.raises(ValueError, match="must have the ids of the categories"):
            category_names(wrong)
