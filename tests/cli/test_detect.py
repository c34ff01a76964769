"""From photos and videos to boxes: in Python, in files, and by the command."""

import csv
import json
import struct
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.cli import options as cli_models
from cspdarknet.detections import Detections
from cspdarknet.images import ImageError
from cspdarknet.inference.photos import detect, detect_in_arrays
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.visualize import class_color, draw_boxes
from fake_detector import FakeDetector, FakePredictor, load_fake_predictor, paint, save

pytestmark = pytest.mark.one_backend

NAMES = ("red", "blue")


def some(n, size=(480, 640), seed=0, side=(20, 60)):
    """Random detections of two classes."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.85, (n, 2)) * size[::-1]
    boxes = np.concatenate([corner, corner + rng.uniform(*side, (n, 2))], axis=1)
    return Detections(boxes, rng.uniform(0.3, 1, n), rng.integers(0, 2, n), size)


# Detections.


def test_detections_keep_what_they_are_given():
    found = Detections([[1, 2, 11.25, 22], [0, 0, 5, 5]], [0.5, 0.25], [1, 0], (30, 40))
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert len(found) == 2
    assert found.counts(3).tolist() == [1, 1, 0]
    assert found.take(found.scores > 0.4).classes.tolist() == [1]
    assert found.take([1, 0]).classes.tolist() == [0, 1]
    assert found.to_json(NAMES)[0] == {"class": "blue", "score": 0.5, "box": [1, 2, 11.25, 22]}
    assert found.to_coco(3)[0] == {
        **{"image_id": 3, "category_id": 2},
        **{"bbox": [1, 2, 10.25, 20], "score": 0.5},
    }


def test_no_detections():
    found = Detections(np.zeros((0, 4)), [], [], (30, 40))
    assert len(found) == 0
    assert found.to_json(NAMES) == found.to_coco(1) == []
    assert found.counts(2).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [1, 2, 3, 4]}, r"`boxes` must be an array \(n, 4\).*\(4,\)"),
        ({"boxes": [[5, 0, 4, 9]]}, "left, top, right"),
        ({"boxes": [[0, 0, np.nan, 9]]}, "finite"),
        ({"scores": [0.5, 0.5]}, "as many"),
        ({"scores": [1.5]}, "0..1"),
        ({"scores": [np.nan]}, "0..1"),
        ({"classes": [-1]}, "whole numbers from 0"),
        ({"classes": [0.5]}, "whole numbers from 0"),
        ({"classes": [[0]]}, "as many"),
        ({"image_size": (0, 5)}, "height, width"),
    ],
)
def test_detections_that_cannot_be(change, message):
    good = {"boxes": [[0, 0, 4, 9]], "scores": [0.5], "classes": [0], "image_size": (10, 10)}
    assert len(Detections(**good)) == 1
    with pytest.raises(ValueError, match=message):
        Detections(**{**good, **change})


# Detecting.


@pytest.fixture
def photos(tmp_path):
    """Five photos of several sizes, the third of which is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, size in enumerate([(40, 60), (50, 50), (30, 90), (64, 64), (48, 80)]):
        save(folder / f"{i}.png", size, [("red", 2, 3, 12, 13 + i), ("blue", 20, 5, 40, 25)])
    (folder / "2.png").write_bytes(b"no photo")
    return sorted(folder.iterdir())


def test_detect_goes_through_the_photos_in_order(photos):
    model = FakeDetector()
    results = list(detect(model, photos, batch_size=2, score_threshold=0.7))
    assert [path for path, _ in results] == photos
    assert isinstance(results[2][1], ImageError)
    assert "2.png" in str(results[2][1])
    found = [found for _, found in results if isinstance(found, Detections)]
    assert [f.image_size for f in found] == [(40, 60), (50, 50), (64, 64), (48, 80)]
    for i, f in zip((0, 1, 3, 4), found, strict=True):
        np.testing.assert_array_equal(f.boxes, [[2, 3, 12, 13 + i]])
    # The last batch is short; the model is told of one batch size all the same.
    assert [(n, size) for n, size, _ in model.calls] == [(2, 2), (1, 2), (1, 2)]
    assert model.calls[0][2]["score_threshold"] == 0.7
    assert model.calls[0][2]["iou_threshold"] is None


def test_a_single_photo_is_not_a_large_batch(photos):
    model = FakeDetector()
    list(detect(model, photos[:1], batch_size=8))
    assert model.calls[0][:2] == (1, 1)


def test_batches_are_read_only_when_they_are_wanted(photos, monkeypatch):
    read = []
    monkeypatch.setattr(
        "cspdarknet.inference.photos.read_image",
        lambda path: read.append(path) or paint((20, 20), []),
    )
    results = detect(FakeDetector(), photos[:1] * 100, batch_size=4)
    next(results)
    results.close()
    assert len(read) <= 8  # this batch and the next


def test_no_photos():
    assert list(detect(FakeDetector(), [])) == []


def test_boxes_that_overflowed_are_left_out():
    class Untrained(FakeDetector):
        def predict(self, images, **settings):
            found = super().predict(images, **settings)
            found["boxes"][0, 0, 2] = np.inf
            return found

    image = paint((40, 60), [("red", 2, 3, 12, 13), ("blue", 20, 5, 40, 25)])
    (found,) = detect_in_arrays(Untrained(), [image])
    assert found.classes.tolist() == [1]


def test_boxes_of_another_format_are_refused():
    model = FakeDetector()
    model.bounding_box_format = "center_xywh"
    with pytest.raises(ValueError, match="'center_xywh'"):
        detect_in_arrays(model, [paint((20, 20), [])])


# Drawing.


def test_a_box_is_drawn_around_its_object_and_nowhere_else():
    photo = Image.fromarray(np.full((480, 640, 3), 255, "uint8"))
    found = Detections([[100, 200, 300, 400]], [0.9], [0], (480, 640))
    drawn = np.asarray(draw_boxes(photo, found, NAMES))
    assert (np.asarray(photo) == 255).all()
    changed = (drawn != 255).any(axis=2)
    y, x = np.nonzero(changed)
    assert (x.min(), x.max(), y.max()) == (100, 299, 399)
    assert 170 < y.min() < 200  # the label stands on the box
    assert not changed[210:390, 110:290].any()
    assert tuple(drawn[399, 200]) == class_color(0)


@pytest.mark.parametrize("size", [(8, 8), (30, 400), (480, 640), (3000, 4000)])
def test_photos_of_any_size_keep_it(size):
    boxes = [[-5, -5, size[1] + 9, size[0] + 9], [2, 2, 2.2, 2.2], [0, 0, size[1], 3]]
    found = Detections(boxes, [0.9, 0.8, 0.7], [0, 1, 1], size)
    drawn = draw_boxes(np.zeros((*size, 3), "uint8"), found, ("a" * 50, "b"))
    assert drawn.size == size[::-1]
    assert np.asarray(drawn).any()


def test_labels_grow_with_the_photo():
    def label_height(scale):
        box = np.array([[100, 200, 300, 400]]) * scale
        found = Detections(box, [0.9], [0], (480 * scale, 640 * scale))
        drawn = np.asarray(draw_boxes(np.zeros((480 * scale, 640 * scale, 3)), found, NAMES))
        return 200 * scale - np.nonzero(drawn.any(axis=(1, 2)))[0].min()

    assert label_height(4) == pytest.approx(4 * label_height(1), rel=0.15)


def test_labels_stay_inside_and_leave_a_crowded_photo_visible():
    found = some(400)
    white = np.full((480, 640, 3), 255, "uint8")
    drawn = np.asarray(draw_boxes(white, found, NAMES))
    lines = np.asarray(draw_boxes(white, found, ["", ""]))
    labels = (drawn != lines).any(axis=2)
    assert 0.02 < labels.mean() < 0.15


def test_colors_of_neighbors_differ():
    colors = np.array([class_color(i) for i in range(8)], "float64")
    distances = np.linalg.norm(colors[:, None] - colors, axis=2) + 1e3 * np.eye(8)
    assert distances.min() > 60


def test_detections_of_another_photo_are_refused():
    with pytest.raises(ValueError, match=r"\(480, 640\).*\(640, 480\)"):
        draw_boxes(Image.new("RGB", (480, 640)), some(2), NAMES)


# The command.


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(cli_models, "load_predictor", load_fake_predictor)

    def invoke(*arguments):
        return CliRunner().invoke(
            app, ["detect", "model", *map(str, arguments)], env={"COLUMNS": "200"}
        )

    return invoke


def test_the_command_counts_and_goes_on_after_a_bad_photo(run, photos, tmp_path):
    result = run(photos[0].parent, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    assert result.exit_code == 1
    assert "red 1, blue 1" in result.output
    assert "2.png: not an image" in result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 8
    assert list(rows[0]) == ["file", "class", "score", "x1", "y1", "x2", "y2", "frame"]
    assert rows[0] == {
        **{"file": str(photos[0]), "class": "red", "score": "0.9", "frame": ""},
        **{"x1": "2.0", "y1": "3.0", "x2": "12.0", "y2": "13.0"},
    }


def test_links_that_lead_nowhere_are_left_out(run, photos):
    photos[2].unlink()
    photos[2].symlink_to("missing.png")
    result = run(photos[0].parent)
    assert result.exit_code == 1
    assert "2.png: a link to a file that is not there" in result.output
    assert "4.png" in result.output


def test_the_json_is_what_coco_tools_read(run, photos, tmp_path):
    coco_tools = pytest.importorskip("pycocotools.coco")
    good = [path for path in photos if path.name != "2.png"]
    assert run(*good, "--json", tmp_path / "a.json").exit_code == 0
    coco = coco_tools.COCO(str(tmp_path / "a.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["red", "blue"]
    assert [i["file_name"] for i in coco.loadImgs(coco.getImgIds())] == [str(p) for p in good]
    assert coco.loadImgs(1)[0]["height"] == 40
    (red,) = coco.loadAnns(coco.getAnnIds(imgIds=[2], catIds=[1]))
    assert red["bbox"] == [2, 3, 10, 11]
    assert red["area"] == 110
    assert len(coco.anns) == 8


def test_settings_reach_the_model(run, photos):
    result = run(photos[0], "--score", "0.7", "--max", "3")
    assert "red 1" in result.output
    assert "blue" not in result.output


def test_pictures_are_drawn_under_the_names_of_the_photos(run, photos, tmp_path):
    Image.open(photos[0]).save(tmp_path / "photos/scan.bmp")
    run(tmp_path / "photos", "--out", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"0.png", "1.png", "3.png", "4.png", "scan.bmp.jpg"}
    drawn = np.asarray(Image.open(tmp_path / "out/0.png"))
    assert drawn.shape == (40, 60, 3)
    assert (drawn == class_color(0)).all(axis=2).any()


def test_pictures_of_an_earlier_run_are_no_photos(run, photos, tmp_path):
    out = tmp_path / "photos/found"
    for _ in range(2):
        result = run(tmp_path / "photos", "--out", out, "--csv", tmp_path / "a.csv")
        assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 8, result.output
    assert len(list(out.rglob("*.png"))) == 4


def test_an_interruption_leaves_whole_files(run, photos, tmp_path, monkeypatch):
    stream = FakePredictor.stream

    def interrupted(self, paths):
        yield next(stream(self, paths))
        raise KeyboardInterrupt

    monkeypatch.setattr(FakePredictor, "stream", interrupted)
    result = run(tmp_path / "photos", "--out", tmp_path / "out", "--json", tmp_path / "a.json")
    assert result.exit_code == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jpg"], "no file or folder"),
        (["{}", "--csv", "no/where.csv"], "no folder no"),
        (["{}/0.png", "--out", "{}"], "choose another folder"),
        (["{}", "--out", "{}"], "choose another folder"),
        (["{}", "--json", "."], "is a folder: name a file"),
        (["{}", "--csv", "{}"], "is a folder: name a file"),
    ],
)
def test_what_cannot_be_done_is_said(run, photos, monkeypatch, arguments, message):
    before = photos[0].read_bytes()
    monkeypatch.setattr(cli_models, "load_predictor", lambda *a, **k: pytest.fail("loaded"))
    result = run(*(a.replace("{}", str(photos[0].parent)) for a in arguments))
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert photos[0].read_bytes() == before


def test_a_model_of_another_kind_is_refused(photos, tmp_path):
    backbone = CSPDarkNetBackbone([8, 12], [1, 1], include_rescaling=True)
    ImageClassifier(backbone, 2).save_to_preset(tmp_path / "classifier")
    for model in ("classifier", "csp_darknet_tiny"):
        source = str(tmp_path / model) if model == "classifier" else model
        result = CliRunner().invoke(app, ["detect", source, str(photos[0])])
        assert isinstance(result.exception, ValueError)
        assert "does not detect objects" in str(result.exception)


# Videos.


@pytest.fixture
def video(tmp_path):
    """Twelve frames in which a red square moves to the right, four pixels a frame."""
    pytest.importorskip("av", reason="videos need PyAV")
    from cspdarknet.inference.video import write_video

    frames = (paint((48, 81), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]) for i in range(12))
    write_video(tmp_path / "clip.mp4", frames, Fraction(10))
    return tmp_path / "clip.mp4"


def test_objects_are_found_in_each_frame(run, video, tmp_path):
    result = run(video, "--csv", tmp_path / "a.csv", "--batch-size", "5", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "12 frames" in result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [row["frame"] for row in rows] == [str(i) for i in range(12)]
    for i, row in enumerate(rows):
        box = [float(row[name]) for name in ("x1", "y1", "x2", "y2")]
        np.testing.assert_allclose(box, [4 + 4 * i, 8, 24 + 4 * i, 28], atol=2)


def test_the_copy_of_a_video_has_its_length_and_boxes(run, video, tmp_path):
    from cspdarknet.inference.video import frame_rate, read_frames

    run(video, "--out", tmp_path / "out", "--json", tmp_path / "a.json")
    frames = list(read_frames(tmp_path / "out/clip.mp4"))
    assert len(frames) == 12
    assert frames[0].shape == (48, 80, 3)  # an odd column cannot be stored
    assert frame_rate(tmp_path / "out/clip.mp4") == 10
    assert np.abs(frames[5] - next(iter(read_frames(video))).astype(int)).max() > 50
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    assert [image["frame"] for image in images] == list(range(12))
    assert len({image["id"] for image in images}) == 12


def test_a_video_that_was_taken_upright_is_read_upright(video):
    """Phones store frames lying, and a matrix that turns them: here by 90 degrees clockwise."""
    from cspdarknet.inference.video import read_frames

    lying = next(read_frames(video))
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    content = video.read_bytes()
    track = content.index(b"tkhd")
    assert straight in content[track : track + 100]
    video.write_bytes(content[:track] + content[track:].replace(straight, turned, 1))
    np.testing.assert_array_equal(next(read_frames(video)), np.rot90(lying, -1))


def test_a_damaged_video_is_left_out(run, video, photos, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    result = run(tmp_path / "bad.mp4", video, photos[0], "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "bad.mp4: not a video" in result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.mp4", "0.png"}


def test_a_copy_of_a_video_never_replaces_it(run, video):
    before = video.read_bytes()
    result = run(video, "--out", video.parent)
    assert "choose another folder" in str(result.exception)
    assert video.read_bytes() == before


def test_without_pyav_the_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    result = run(tmp_path / "clip.mp4")
    assert isinstance(result.exception, ImportError)
    assert "cspdarknet[video]" in str(result.exception)
