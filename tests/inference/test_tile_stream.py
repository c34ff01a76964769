"""Tiles through a `Predictor`: detections of whole images, in order, from any source."""

import itertools

import numpy as np
import pytest
from PIL import Image

from cspdarknet.detections import DetectionOptions
from cspdarknet.export import export
from cspdarknet.images import ImageError, find_images, read_image
from cspdarknet.inference import ObjectDetector, Predictor, large_images, tile_stream
from cspdarknet.inference.tiles import merge_tiles
from cspdarknet.tiles import Tiles, Window

pytestmark = pytest.mark.one_backend
TILES = Tiles(64, 0.25)


@pytest.fixture
def image():
    """An image of 5 x 3 tiles."""
    coarse = np.random.default_rng(1).integers(0, 256, (9, 15, 3), "uint8")
    return np.asarray(Image.fromarray(coarse).resize((250, 150), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def plain(detector):
    return Predictor(detector, runtime="keras")


@pytest.fixture(scope="module")
def tiled(detector):
    return Predictor(detector, runtime="keras", tiles=TILES, batch_size=4)


def assert_same(detections, other):
    assert len(detections) == len(other) > 0
    np.testing.assert_allclose(detections.xyxy, other.xyxy, atol=0.05)
    np.testing.assert_allclose(detections.confidence, other.confidence, atol=1e-4)
    assert detections.class_id.tolist() == other.class_id.tolist()
    assert detections.image_size == other.image_size


@pytest.mark.parametrize("with_whole", [False, True])
def test_the_detections_in_all_tiles_are_merged(detector, image, runtime, with_whole):
    plain = Predictor(detector, runtime=runtime)
    windows = TILES.windows(*image.shape[:2])
    assert len(windows) == 15
    windows += [Window(0, 0, 250, 150)] * with_whole
    expected = merge_tiles(
        [plain(image[w.top : w.bottom, w.left : w.right]) for w in windows], windows, (150, 250)
    )
    tiles = Tiles(64, 0.25, with_whole)
    for mode in ("latency", "throughput"):
        predictor = Predictor(detector, runtime=runtime, tiles=tiles, mode=mode, batch_size=4)
        found = predictor(image)
        assert found.image_size == (150, 250)
        assert len(found) == len(expected[0]) > 20
        np.testing.assert_allclose(found.confidence, expected[1], atol=1e-4)
        # Boxes of one confidence may change places.
        distances = abs(found.xyxy[:, None] - expected[0][None]).max(axis=2)
        assert distances.min(axis=1).max() < 0.1
        assert distances.min(axis=0).max() < 0.1


def test_tiles_are_merged_as_the_detector_does_nms(detector, image, tmp_path, monkeypatch):
    """Also where the kind of NMS is stored in the detector, or in an exported file of it."""
    merged_as = []

    def merge(detections, windows, size, class_agnostic):
        merged_as.append(class_agnostic)
        return merge_tiles(detections, windows, size, class_agnostic)

    monkeypatch.setattr(tile_stream, "merge_tiles", merge)
    stored = type(detector).from_config({**detector.get_config(), "class_agnostic_nms": True})
    export(stored, tmp_path / "a.onnx")
    aware, agnostic = (DetectionOptions(class_agnostic_nms=value) for value in (False, True))
    for model, options in (
        *((detector, None), (stored, aware)),
        *((detector, agnostic), (stored, None), (tmp_path / "a.onnx", None)),
    ):
        Predictor(model, tiles=TILES, options=options)(image)
    assert merged_as == [False, False, True, True, True]


def test_an_image_that_fits_a_tile_is_detected_as_without_tiles(plain, tiled, readable):
    for path, found, expected in zip(readable, tiled(readable), plain(readable), strict=True):
        if max(read_image(path).shape) <= TILES.size:
            assert_same(found, expected)
            assert found.path == path


def test_a_stream_has_results_and_errors_in_order(tiled, files, image):
    given = [*files, image, np.zeros((4, 4)), files[0]]
    results = list(tiled.stream(given, with_pixels=True))
    assert [id(item) for item, _, _ in results] == [id(item) for item in given]
    for item, result, pixels in results:
        if isinstance(result, ImageError):
            assert pixels is None
        else:
            assert result.image_size == pixels.shape[:2]
            if item is image:
                np.testing.assert_array_equal(pixels, image)
    failed = [isinstance(result, ImageError) for _, result, _ in results]
    assert failed == [i in (3, 8) for i in range(10)]
    assert_same(results[0][1], results[-1][1])
    with pytest.raises(ImageError, match="not an image"):
        tiled(files[3])


def test_a_stream_reads_one_image_ahead(tiled, image):
    taken = []
    source = (taken.append(i) or image for i in itertools.count())
    stream = tiled.stream(source)
    for i, _ in zip(range(4), stream, strict=False):
        assert len(taken) <= i + 4
    stream.close()


def test_an_error_of_the_source_comes_after_the_results_before_it(tiled, image):
    def source():
        yield image
        yield image
        raise OSError("the camera is gone")

    results = []
    with pytest.raises(OSError, match="camera"):
        results.extend(tiled.stream(source()))
    assert len(results) == 2


@pytest.mark.parametrize("with_whole", [False, True])
def test_a_large_tiff_has_the_detections_of_its_pixels(
    detector, tmp_path, image, monkeypatch, with_whole
):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, image, tile=(32, 32), compression="zlib")
    tiles = Tiles(64, 0.25, with_whole)
    predictor = Predictor(detector, runtime="keras", tiles=tiles, batch_size=4)
    expected = predictor(image)
    monkeypatch.setattr(large_images, "MAX_PIXELS", 100)
    monkeypatch.setattr("cspdarknet.inference.tile_stream.PICTURE_SIDE", 100)
    ((_, found, pixels),) = predictor.stream([path], with_pixels=True)
    assert_same(found, expected)
    assert pixels.shape == (60, 100, 3)
    objects = ObjectDetector(predictor, tmp_path / "copies")
    objects.detect_images(find_images(path))
    assert Image.open(tmp_path / "copies/large.tif.jpg").size == (100, 60)


def test_a_damaged_large_tiff_is_one_error(tiled, tmp_path, image, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "large.tif"
    noise = np.random.default_rng(0).integers(0, 256, (150, 250, 3), "uint8")
    tifffile.imwrite(path, noise, tile=(32, 32), compression="zlib")
    content = bytearray(path.read_bytes())
    content[-20_000:-10_000] = bytes(10_000)
    path.write_bytes(content)
    monkeypatch.setattr(large_images, "MAX_PIXELS", 100)
    (_, first), (_, second) = tiled.stream([path, image])
    assert isinstance(first, ImageError)
    assert "large.tif: damaged" in str(first)
    assert len(second)


def test_tiles_of_other_models_are_refused(classifier):
    with pytest.raises(ValueError, match="`tiles` are for detectors with boxes"):
        Predictor(classifier, runtime="keras", tiles=TILES)
    with pytest.raises(ValueError, match="`tiles` must be Tiles"):
        Predictor(classifier, runtime="keras", tiles=64)
