"""Test-time augmentation: copies of an image, and the merging of their results."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.detections import DetectionOptions, Detections
from cspdarknet.export import export
from cspdarknet.images import ImageError
from cspdarknet.inference import Augment, Predictor
from cspdarknet.inference.augmented import Copy, infer_augmented
from cspdarknet.inference.batches import Item
from cspdarknet.model_info import ModelInfo
from cspdarknet.tiles import Tiles

pytestmark = pytest.mark.one_backend
ALL = Augment(scales=(1, 0.5))
# A random detector sees other objects in each copy: the mean confidence is low.
LOW = DetectionOptions(score_threshold=0.01, max_detections=100)
INFO = ModelInfo("detection", class_names=("a", "b"), image_size=64)


@pytest.fixture
def image():
    coarse = np.random.default_rng(1).integers(0, 256, (5, 8, 3), "uint8")
    return np.asarray(Image.fromarray(coarse).resize((80, 50), Image.Resampling.BILINEAR))


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)
    # Boxes of one confidence, as those of flipped copies, may change places.
    distances = abs(found.xyxy[:, None] - expected.xyxy[None]).max(axis=2)
    assert distances.min(axis=1).max() < 0.05
    assert distances.min(axis=0).max() < 0.05


def merged(info, *found):
    """The detections of an image and its copies, merged; each is (copy, boxes, scores, classes)."""
    results = [Detections(*columns, (50, 100), info.class_names) for _, *columns in found]
    copies = [copy for copy, *_ in found[1:]]
    item = Item(None, np.zeros(1), (50, 100), None)
    item = item._replace(copies=(item,) * len(copies))
    by_call = iter([[result] for result in results])
    (result,) = infer_augmented(lambda _: next(by_call), [item], copies, info)
    return result


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("flip_vertical", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_boxes_in_a_copy_are_those_of_the_image(flip, flip_vertical, scale):
    image = np.zeros((50, 80, 3), "uint8")
    image[10:20, 30:70] = 255
    copy = Copy(flip, flip_vertical, scale)
    pixels = copy.of(image)
    assert pixels.shape == (round(50 / scale), round(80 / scale), 3)
    rows, columns = np.nonzero(pixels[..., 0] == 255)
    seen = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
    assert copy.restored(np.array(seen, "float32"), (50, 80)).tolist() == [[30, 10, 70, 20]]


def test_boxes_and_confidences_are_averaged():
    found = merged(
        INFO,
        (Copy(), [[10, 10, 30, 30], [60, 0, 80, 20]], [0.9, 0.6], [0, 1]),
        (Copy(flip=True), [[67, 10, 87, 30]], [0.3], [0]),  # 13..33 in the image
    )
    np.testing.assert_allclose(found.xyxy, [[10.75, 10, 30.75, 30], [60, 0, 80, 20]], atol=1e-5)
    np.testing.assert_allclose(found.confidence, [0.6, 0.3], rtol=1e-6)
    assert found.class_id.tolist() == [0, 1]
    assert found.image_size == (50, 100)
    assert found.class_names == ("a", "b")


def test_what_the_models_options_forbid_is_dropped():
    boxes = [[20 * i, 0, 20 * i + 15, 15] for i in range(4)]
    rows = boxes, [0.9, 0.8, 0.7, 0.6], [0, 0, 0, 1]
    found = (Copy(), *rows), (Copy(), *rows)
    for options, kept in (
        ({}, 4),
        ({"max_detections": 2}, 2),
        ({"max_detections_per_class": 1}, 2),
        ({"score_threshold": 0.75}, 2),
        ({"score_threshold": (0.75, 0.5)}, 3),
    ):
        info = ModelInfo("detection", class_names=("a", "b"), image_size=64, **options)
        assert len(merged(info, *found)) == kept, options


def test_a_detector_in_all_runtimes(detector, image, runtime):
    plain = Predictor(detector, runtime=runtime, options=LOW)
    augmented = Predictor(detector, runtime=runtime, options=LOW, augment=ALL, batch_size=2)
    copies = [Copy(), *ALL.copies("detection")]
    assert len(copies) == 4
    expected = merged_by_hand(plain, copies, image)
    (_, one), (_, two) = augmented.stream([image, image])
    for found in (augmented(image), one, two):
        assert_same(found, expected)


def merged_by_hand(plain, copies, image):
    item = Item(None, image, image.shape[:2], image)
    item = item._replace(copies=tuple(Item(None, c.of(image), (0, 0), None) for c in copies[1:]))
    (result,) = infer_augmented(
        lambda items: [plain(i.inputs) for i in items], [item], copies[1:], plain.info
    )
    return result


@pytest.mark.parametrize("letterbox", [False, True])
def test_an_exported_file_detects_the_same(detector, image, tmp_path, letterbox):
    pytest.importorskip("onnxruntime")
    export(detector, tmp_path / "cells.onnx", letterbox=letterbox, options=LOW)
    expected = Predictor(detector, runtime="keras", augment=ALL, options=LOW)(image)
    found = Predictor(tmp_path / "cells.onnx", augment=ALL, runtime="onnxruntime")(image)
    assert_same(found, expected)


def test_limits_are_stored_in_the_model(detector, image, tmp_path):
    options = DetectionOptions(max_detections=3, score_threshold=0.01)
    predictor = Predictor(detector, runtime="keras", options=options, augment=ALL)
    assert len(predictor(image)) == 3
    assert predictor.info.max_detections == 3


def test_a_classifier_averages_over_flips(classifier, image):
    plain = Predictor(classifier, runtime="keras")
    square = np.ascontiguousarray(image[:, 15:65])
    expected = (plain(square) + plain(square[:, ::-1])) / 2
    np.testing.assert_allclose(
        Predictor(classifier, runtime="keras", augment=True)(square), expected, atol=2e-3
    )


def test_each_tile_is_augmented(detector, image):
    tiles = Tiles(50, 0.3)
    plain, augmented = (
        Predictor(
            detector, runtime="keras", tiles=tiles, augment=augment, batch_size=2, options=LOW
        )
        for augment in (False, True)
    )
    found = augmented(image)
    assert len(found) > 0
    assert found.confidence.tolist() != plain(image).confidence.tolist()


def test_files_that_cannot_be_read(detector, classifier, files):
    for model in (detector, classifier):
        predictor = Predictor(model, runtime="keras", augment=True, batch_size=3)
        results = list(predictor.stream(files, with_pixels=True))
        assert [isinstance(result, ImageError) for _, result, _ in results] == [
            path.name == "3.png" for path in files
        ]
        with pytest.raises(ImageError):
            predictor(files[3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": (1.5,)}, "in 0.25..1.*1.5"),
        ({"scales": ()}, "one or more factors"),
        ({"scales": 0.5}, "Received: scales=0.5"),
        ({"flip": "no"}, "flip"),
        ({"flip": False}, "must have a copy"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Augment(**options)


def test_models_and_arguments_that_do_not_fit(backbone, classifier, detector, onnx_file):
    with pytest.raises(ValueError, match="a backbone: leave it out"):
        Predictor(backbone, runtime="keras", augment=True)
    with pytest.raises(ValueError, match="raw outputs: leave it out"):
        Predictor(onnx_file(detector, raw_outputs=True), augment=True)
    with pytest.raises(ValueError, match="needs a flip"):
        Predictor(classifier, runtime="keras", augment=Augment(flip=False, scales=(0.5,)))
    with pytest.raises(ValueError, match=r"True, False, or Augment.*'flip'"):
        Predictor(classifier, runtime="keras", augment="flip")


def test_commands(detector, classifier, image, tmp_path):
    for name, model in (("detect", detector), ("predict", classifier)):
        low = ["--score-threshold", "0.01"] if name == "detect" else []
        model.save_to_preset(tmp_path / name)
        Image.fromarray(image).save(tmp_path / "a.png")
        contents = []
        for option in ([], ["--augment"]):
            out = tmp_path / f"{name}{len(option)}.json"
            arguments = [name, tmp_path / name, tmp_path / "a.png", "--json", out, *low, *option]
            result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
            assert result.exit_code == 0, result.output
            contents.append(out.read_text())
        assert contents[0] != contents[1]
