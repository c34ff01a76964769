"""`cspdarknet evaluate`."""

import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from cspdarknet.cli.evaluate_calibration import show_calibration
from cspdarknet.evaluate import calibrate
from cspdarknet.export import export
from cspdarknet.inference import Predictor
from cspdarknet.model_info import read_model_info
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.save import save_temperature, stored_temperature
from fake_detector import FakePredictor, save
from image_datasets import (
    BOXED_COLORS,
    COLORS,
    write_class_folders,
    write_multi_label_dataset,
    write_yolo_dataset,
)
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


def test_a_multi_label_classifier(tmp_path):
    """The thresholds of the best F1 are stored, and used by the next evaluation."""
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    options = {"class_names": tuple(COLORS), "image_size": 32, "labels": "multi"}
    preset, images = tmp_path / "preset", write_multi_label_dataset(tmp_path / "images", 12)
    randomize(ImageClassifier(backbone, 3, **options)).save_to_preset(preset)
    command = ("evaluate", preset, images, "--runtime", "keras")
    result = run_command(*command, "--thresholds", "f1", "--save-thresholds")
    assert result.exit_code == 0, result.output
    assert "mAP 0." in result.output
    assert "predicted" in result.output
    stored = ImageClassifier.from_preset(preset, load_weights=False).score_threshold
    assert stored != 0.5
    rows = [line.split() for line in run_command(*command).output.splitlines()]
    used = {row[0]: row[3] for row in rows if row and row[0] in COLORS}
    assert list(used.values()) == [f"{x:g}" for x in np.broadcast_to(stored, 3)]
    for option, message in (("--calibrate", "with one class per"), ("--classes=red", "detectors")):
        assert message in str(run_command(*command, option).exception)


def test_a_classifier_of_ordered_classes(tmp_path):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    options = {"class_names": tuple(COLORS), "image_size": 32, "labels": "ordinal"}
    randomize(ImageClassifier(backbone, 3, **options)).save_to_preset(tmp_path / "preset")
    images = write_class_folders(tmp_path / "images", 1)
    result = run_command("evaluate", tmp_path / "preset", images, "--runtime", "keras")
    assert "Quadratic weighted kappa" in result.output
    assert "within one rank" in result.output


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


def test_thresholds_are_proposed_and_stored(detector, tmp_path, monkeypatch):
    pytest.importorskip("pycocotools")
    monkeypatch.setattr(
        "cspdarknet.evaluate.evaluation_predictor", lambda *_, **__: FakePredictor()
    )
    data = tmp_path / "data"
    for name in ("images", "labels"):
        (data / name).mkdir(parents=True)
    (data / "classes.txt").write_text("red\nblue")
    save(data / "images/0.png", (100, 100), [("red", 10, 10, 30, 30), ("blue", 40, 40, 80, 80)])
    (data / "labels/0.txt").write_text("0 0.2 0.2 0.2 0.2\n1 0.6 0.6 0.4 0.4")
    preset, run = shutil.copytree(detector, tmp_path / "preset"), tmp_path / "run"
    shutil.copytree(detector, run / "best")
    (run / "run.json").write_text("{}")
    for model, changed in ((preset, preset), (run, run / "best")):
        arguments = ("--thresholds", "count", "--save-thresholds", "--out", tmp_path / "o")
        result = run_command("evaluate", model, data, *arguments)
        assert result.exit_code == 0, result.output
        assert f"stored in {changed / 'config.json'}" in result.output
        assert "Own thresholds: none" in result.output
        (proposed,) = {c["threshold"] for c in metrics_in(tmp_path / "o")["thresholds"]["count"]}
        assert f"{proposed:g}" in result.output
        stored = YOLOXDetector.from_preset(changed, load_weights=False)
        assert stored.score_threshold == proposed != 0.25
    assert "Score thresholds" in (tmp_path / "o/report.html").read_text()
    for more, message in (("", ""), ("\n1 0.9 0.9 0.05 0.05", "recall 0.667 over all classes")):
        (data / "labels/0.txt").write_text((data / "labels/0.txt").read_text() + more)
        result = run_command("evaluate", preset, data, "--thresholds", "recall=1")
        assert message in result.output
        assert ("No threshold reaches recall=1" in result.output) == bool(message)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (None, ("--thresholds", "best"), "must be count, f1, recall=NUMBER"),
        (None, ("--save-thresholds",), "needs `--thresholds`"),
        (
            "yolox_nano_bccd",
            ("--thresholds", "f1", "--save-thresholds"),
            "cspdarknet convert yolox_nano_bccd FOLDER",
        ),
        (
            None,
            ("--thresholds", "f1", "--save-thresholds", "--image-size", "96"),
            "the model's own image size. Received:",
        ),
    ],
)
def test_options_of_thresholds_are_checked(detector, tmp_path, model, options, message):
    result = run_command("evaluate", model or detector, tmp_path, *options)
    assert result.exit_code != 0
    assert message in str(result.exception or result.output)


def test_thresholds_are_for_detectors(classifier, tmp_path):
    result = run_command("evaluate", classifier, tmp_path, "--thresholds", "count")
    assert "`--thresholds` is for detectors" in str(result.exception or result.output)


def calibration_in(folder):
    return metrics_in(folder)["calibration"]


def test_a_temperature_is_fitted_and_stored(classifier, tmp_path):
    """Fitted again, to the model or to its exported file, it is 1."""
    pytest.importorskip("onnxruntime")
    images = write_class_folders(tmp_path / "images", 1)
    more = sorted(write_class_folders(tmp_path / "more", 3).rglob("*.png"))
    predicted = np.array(Predictor(classifier, runtime="keras")(more)).argmax(axis=1)
    for path, i in zip(more, predicted, strict=True):  # most of the predictions are right
        shutil.copy(path, images / tuple(COLORS)[i] / f"{path.parent.name}_{path.name}")
    best = shutil.copytree(classifier, tmp_path / "run/best")
    (tmp_path / "run/run.json").write_text("{}")
    arguments = ("--calibrate", "--save-temperature", "--runtime", "keras", "--out", tmp_path / "o")
    result = run_command("evaluate", tmp_path / "run", images, *arguments)
    assert result.exit_code == 0, result.output
    found = calibration_in(tmp_path / "o")
    assert f"temperature {found['temperature']:.4g}, fitted on these 12" in result.output
    assert "fewer than 200 images is uncertain" in result.output
    assert found["after"]["nll"] < found["before"]["nll"]
    assert f"stored in {best / 'config.json'}" in result.output
    assert stored_temperature(best) == pytest.approx(found["temperature"])
    assert "reliability.png" in (tmp_path / "o/report.html").read_text()
    export(ImageClassifier.from_preset(best), tmp_path / "a.onnx")
    assert read_model_info(tmp_path / "a.onnx").temperature == stored_temperature(best)
    arguments = ("--calibrate", "--runtime", "onnxruntime", "--out", tmp_path / "again")
    result = run_command("evaluate", tmp_path / "a.onnx", images, *arguments)
    assert result.exit_code == 0, result.output
    again = calibration_in(tmp_path / "again")
    assert again["temperature"] == pytest.approx(1, rel=1e-3)
    assert again["before"]["nll"] == pytest.approx(found["after"]["nll"], rel=1e-5)


def test_a_temperature_multiplies_the_one_that_is_stored(classifier, tmp_path):
    """The probabilities that it is fitted on are those of the stored one."""
    preset = shutil.copytree(classifier, tmp_path / "preset")
    save_temperature(preset, 2.0)
    metrics = calibrate(np.array([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1]))
    show_calibration(metrics, 4, preset, Console(quiet=True))
    assert stored_temperature(preset) == pytest.approx(4.0)


def test_without_a_best_temperature_nothing_is_stored(classifier, tmp_path):
    preset = shutil.copytree(classifier, tmp_path / "preset")
    console = Console(record=True, width=200)
    show_calibration(calibrate(np.eye(2), np.arange(2)), 2, preset, console)
    assert "No temperature from 0.001 to 1000 is best" in console.export_text()
    assert stored_temperature(preset) == 1


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("detector", ("--calibrate", "--runtime", "keras"), "`--calibrate` is for classifiers"),
        ("classifier", ("--save-temperature",), "needs `--calibrate`"),
        ("classifier", ("--calibrate", "--save-temperature", "--augment"), "without `--augment`"),
        (
            "classifier",
            ("--calibrate", "--save-temperature", "--image-size", "64"),
            "the model's own image size",
        ),
        (
            "csp_darknet_tiny_clothing",
            ("--calibrate", "--save-temperature"),
            "`--save-temperature` needs a preset folder or a run folder",
        ),
    ],
)
def test_options_of_calibration_are_checked(
    classifier, detector, tmp_path, model, options, message
):
    model = {"classifier": classifier, "detector": detector}.get(model, model)
    result = run_command("evaluate", model, tmp_path, *options)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_calibration_is_not_for_detections_in_a_file(tmp_path):
    (tmp_path / "boxes.json").write_text("[]")
    command = ("evaluate", tmp_path, "--predictions", tmp_path / "boxes.json", "--calibrate")
    assert "--calibrate" in str(run_command(*command).exception)


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
