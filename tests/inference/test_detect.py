"""`ObjectDetector`: detections in image files and videos, and annotated copies."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.detections import Detections
from cspdarknet.images import find_images
from cspdarknet.inference import ObjectDetector, Predictor
from cspdarknet.inference.copies import RESULTS_MARKER
from cspdarknet.inference.video import frame_rate, read_frames
from cspdarknet.visualize import class_color
from fake_detector import FakePredictor, save

pytestmark = pytest.mark.one_backend


@pytest.fixture
def folder(tmp_path):
    """Five images of several sizes, the third of which is damaged."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, size in enumerate([(40, 60), (50, 50), (30, 90), (64, 64), (48, 80)]):
        save(folder / f"{i}.png", size, [("red", 2, 3, 12, 13 + i), ("blue", 20, 5, 40, 25)])
    (folder / "2.png").write_bytes(b"not an image")
    return folder


def test_results_and_failures(folder):
    detector, done = ObjectDetector(FakePredictor()), []
    detector.detect_images(find_images(folder), done.append)
    assert done == [1] * 5
    assert [result.path.name for result in detector.results] == ["0.png", "1.png", "3.png", "4.png"]
    for i, result in zip((0, 1, 3, 4), detector.results, strict=True):
        assert result.frame is None
        np.testing.assert_array_equal(result.detections.xyxy, [[2, 3, 12, 13 + i], [20, 5, 40, 25]])
    (failure,) = detector.failures
    assert "2.png: not an image" in failure


@pytest.mark.parametrize("draws", [True, False])
def test_an_image_is_decoded_once(detector, folder, opened, tmp_path, draws):
    files = find_images(folder)
    predictor = Predictor(detector, runtime="keras", batch_size=2)
    run = ObjectDetector(predictor, tmp_path / "out" if draws else None)
    run.detect_images(files)
    assert len(run.results) == 4
    assert sorted(opened) == [file.path for file in files]
    assert (tmp_path / "out").exists() == draws


def test_copies_have_the_names_of_the_images(folder, tmp_path):
    (folder / "more").mkdir()
    Image.open(folder / "0.png").save(folder / "more/scan.bmp")
    ObjectDetector(FakePredictor(), str(tmp_path / "out")).detect_images(find_images(folder))
    out = tmp_path / "out"
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    copies = {"0.png", "1.png", "3.png", "4.png", "more/scan.bmp.jpg"}
    assert names == {*copies, RESULTS_MARKER}
    drawn = np.asarray(Image.open(out / "0.png"))
    assert drawn.shape == (40, 60, 3)
    assert (drawn == class_color(0)).all(axis=2).any()


def test_copies_of_an_earlier_run_are_not_images(folder):
    out = folder / "copies"
    for _ in range(2):
        files = find_images(folder, out, RESULTS_MARKER)
        assert len(files) == 5
        ObjectDetector(FakePredictor(), out).detect_images(files)
    assert len(list(out.glob("*.png"))) == 4


def test_an_interruption_leaves_whole_copies(folder, tmp_path, monkeypatch):
    stream = FakePredictor.stream

    def interrupted(self, images, with_pixels):
        yield next(stream(self, images, with_pixels))
        raise KeyboardInterrupt

    monkeypatch.setattr(FakePredictor, "stream", interrupted)
    detector = ObjectDetector(FakePredictor(), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        detector.detect_images(find_images(folder))
    assert [path.name for path in (tmp_path / "out").glob("*.*g")] == ["0.png"]
    assert len(detector.results) == 1


def test_predictors_of_other_models_are_refused(classifier):
    with pytest.raises(ValueError, match=r"of a detector\. Received: .* classification"):
        ObjectDetector(Predictor(classifier, runtime="keras"))


# Videos.


@pytest.mark.parametrize("draws", [True, False])
def test_objects_are_detected_in_each_frame(video, tmp_path, draws):
    detector, done = ObjectDetector(FakePredictor(), tmp_path / "out" if draws else None), []
    detector.detect_video(video, done.append)
    assert done == [1] * 12
    assert [result.frame for result in detector.results] == list(range(12))
    for i, result in enumerate(detector.results):
        assert result.path == video
        assert isinstance(result.detections, Detections)
        expected = [[4 + 4 * i, 8, 24 + 4 * i, 28]]
        np.testing.assert_allclose(result.detections.xyxy, expected, atol=2)


def test_the_copy_of_a_video_has_its_length_and_boxes(video, tmp_path):
    ObjectDetector(FakePredictor(), tmp_path / "out").detect_video(video)
    frames, originals = (list(read_frames(path)) for path in (tmp_path / "out/clip.mp4", video))
    assert len(frames) == len(originals)
    assert frame_rate(tmp_path / "out/clip.mp4") == frame_rate(video)
    assert np.abs(frames[5] - originals[5].astype(int)).max() > 50


def test_a_video_that_cannot_be_read_is_one_failure(video):
    video.write_bytes(b"not a video")
    detector = ObjectDetector(FakePredictor())
    detector.detect_video(video)
    (failure,) = detector.failures
    assert "clip.mp4: not a video" in failure
    assert detector.results == []
