"""`cspdarknet evaluate`."""

import json

import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from image_datasets import BOXED_COLORS, COLORS, write_class_folders, write_yolo_dataset
from support import TINY_NET, randomize, run_command

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "preset"
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    model = randomize(ImageClassifier(backbone, 3, class_names=tuple(COLORS), image_size=32))
    model.save_to_preset(path)
    return path


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "preset"
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    model = YOLOXDetector(backbone, 2, class_names=tuple(BOXED_COLORS), image_size=64)
    randomize(model).save_to_preset(path)
    return path


def metrics_in(folder):
    return json.loads((folder / "evaluation.json").read_text())


def test_a_classifier(classifier, tmp_path):
    images = write_class_folders(tmp_path / "images", 3)
    result = run_command("evaluate", classifier, images, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    metrics = metrics_in(tmp_path / "out")
    assert metrics["images"] == 9
    assert f"accuracy {metrics['accuracy']:.2%} of 9 images" in result.output
    assert (tmp_path / "out/report.html").exists()


def test_a_detector(detector, tmp_path):
    pytest.importorskip("pycocotools")
    data = write_yolo_dataset(tmp_path / "data", count=3)
    (data / "images/2.png").write_bytes(b"not an image")
    result = run_command("evaluate", detector, data, "--on-problem", "fix", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    metrics = metrics_in(tmp_path / "o")
    assert f"mAP {metrics['map']:.3f}" in result.output
    assert f"score threshold {metrics['score_threshold']:.2f}" in result.output
    assert "blue" in result.output
    assert f"images: all images of {data}" in result.output


def test_an_exported_file_has_the_metrics_of_its_model(classifier, tmp_path):
    pytest.importorskip("onnxruntime")
    images = write_class_folders(tmp_path / "images", 3)
    exported = run_command("export", classifier, tmp_path / "a.onnx")
    assert exported.exit_code == 0, exported.output
    for model, out in ((classifier, "model"), (tmp_path / "a.onnx", "file")):
        result = run_command("evaluate", model, images, "--out", tmp_path / out)
        assert result.exit_code == 0, result.output
    model, file = (metrics_in(tmp_path / out) for out in ("model", "file"))
    assert model["confusion"] == file["confusion"]
    assert model["loss"] == pytest.approx(file["loss"], abs=1e-4)


def test_images_of_the_training_are_warned_of(classifier, tmp_path):
    images = write_class_folders(tmp_path / "images", 1)
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"data": str(images)}))
    (run / "images.csv").write_text(
        f"split,path\ntrain,{images}/red/0.png\nvalidation,{images}/blue/0.png\n"
    )
    (run / "best").symlink_to(classifier)
    output = run_command("evaluate", run, images).output
    assert f"Warning: {run} was trained on 1 of these images" in output
    assert "Warning" not in run_command("evaluate", classifier, images).output


def test_a_model_whose_classes_have_no_names(tmp_path):
    """As the files of YOLOX: the names of the data are offered."""
    pytest.importorskip("pycocotools")
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    model = randomize(YOLOXDetector(backbone, 2, image_size=64))
    model.save_to_preset(tmp_path / "preset")
    data = write_yolo_dataset(tmp_path / "data", count=2)
    command = ("evaluate", tmp_path / "preset", data)
    assert "`--class-names blue,red`" in str(run_command(*command).exception)
    assert run_command(*command, "--class-names", "blue, red").exit_code == 0
    wrong = run_command(*command, "--class-names", "blue").exception
    assert "must name the 2 classes of the model" in str(wrong)
    out = tmp_path / "named"
    result = run_command("convert", tmp_path / "preset", out, "--class-names", "blue,red")
    assert result.exit_code == 0, result.output
    assert run_command("evaluate", out, data).exit_code == 0


def test_problems_are_left_out_and_said(detector, tmp_path):
    pytest.importorskip("pycocotools")
    data = write_yolo_dataset(tmp_path / "data", count=2)
    with (data / "labels/0.txt").open("a") as file:
        file.write("\n0 0.5 0.5 0 0.1")
    result = run_command("evaluate", detector, data)
    assert "boxes without an area, or not of finite numbers: 1 (left out)" in result.output


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("csp_darknet_tiny", "{}", "must be for classification or detection"),
        ("{p} --last", "{}", "is for the run folder of a training"),
        ("{p}", "missing", "missing"),
        ("{p}", "{}/blue", "blue"),
    ],
)
def test_errors(classifier, tmp_path, model, data, message):
    images = write_class_folders(tmp_path / "images", 1)
    model, *options = model.replace("{p}", str(classifier)).split()
    result = run_command("evaluate", model, data.replace("{}", str(images)), *options)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_a_run_folder_is_not_written_into(classifier, tmp_path):
    images = write_class_folders(tmp_path / "images", 1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("{}")
    result = run_command("evaluate", classifier, images, "--out", tmp_path / "run")
    assert "choose another" in str(result.exception)
