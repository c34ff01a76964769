"""Exports of a detector with other levels, rectangular images and four channels."""

import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.export import export
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from support import randomize

pytestmark = pytest.mark.one_backend
SIZE = (64, 128)


@pytest.fixture(scope="module")
def unusual():
    """A detector with the levels P3 to P6, for 64x128 images of four channels."""
    pytest.importorskip("onnxruntime")
    backbone = CSPDarkNetBackbone(
        [8, 8, 8, 8], [1, 1, 1, 1], include_rescaling=True, input_shape=(None, None, 4)
    )
    options = {"levels": ("P3", "P4", "P5", "P6"), "image_size": SIZE}
    return randomize(YOLOXDetector(backbone, 2, **options))


@pytest.fixture(scope="module")
def images():
    coarse = np.random.default_rng(0).uniform(0, 255, (2, SIZE[0] // 8, SIZE[1] // 8, 4))
    return coarse.repeat(8, axis=1).repeat(8, axis=2).astype("float32")


def test_int8(unusual, images, tmp_path):
    path = tmp_path / "d.onnx"
    result = export(
        unusual,
        path,
        precision="int8",
        calibration=list(images),
        inputs="float32",
        raw_outputs=True,
        sample_images=images,
    )
    assert result.comparison.max_relative_error < 0.15
    assert (result.info.levels, result.info.channels) == (unusual.levels, 4)
    assert result.info.image_size == SIZE


def test_letterbox_and_nms(unusual, images, tmp_path):
    path = tmp_path / "d.onnx"
    options = DetectionOptions(score_threshold=0.0, max_detections=5)
    result = export(unusual, path, letterbox=True, options=options, inputs="float32")
    assert result.comparison.num_matched == result.comparison.num_expected > 0
    expected = Predictor(unusual, options=options)(images[0])
    np.testing.assert_allclose(Predictor(path)(images[0]).xyxy, expected.xyxy, atol=1e-2)


def test_images_of_16_bits_in_a_letterbox(unusual, tmp_path):
    coarse = np.random.default_rng(1).integers(0, 900, (10, 12, 4), "uint16")
    image = coarse.repeat(10, axis=0).repeat(10, axis=1)  # of 3.5 steps of 8 bits
    options = DetectionOptions(score_threshold=0.0, max_detections=50)
    expected = Predictor(unusual, options=options, runtime="keras")(image)
    export(unusual, tmp_path / "d.onnx", letterbox=True, options=options, inputs="float32")
    predictor = Predictor(tmp_path / "d.onnx")
    detections = predictor(image)
    assert len(detections) == len(expected) == 50
    assert detections.class_id.tolist() == expected.class_id.tolist()
    np.testing.assert_allclose(detections.confidence, expected.confidence, atol=1e-5)
    np.testing.assert_allclose(detections.xyxy, expected.xyxy, atol=1e-3)
    outputs = predictor.run(image[None] / np.float32(257))  # letterboxed in the graph
    np.testing.assert_allclose(outputs["confidence"][0], expected.confidence, atol=1e-5)
    np.testing.assert_allclose(outputs["boxes"][0], expected.xyxy, atol=1e-3)


@pytest.mark.slow
def test_pytorch(unusual, tmp_path):
    pytest.importorskip("torch")
    options = DetectionOptions(score_threshold=0.0, max_detections=5)
    result = export(unusual, tmp_path / "d.pt2", options=options, inputs="float32")
    assert result.comparison.num_matched == 5
    assert result.comparison.max_relative_error < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["d.pt2"]
