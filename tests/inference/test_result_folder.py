"""`ResultFolder`: detections on the disk that a repeated run continues."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cspdarknet.images import find_images
from cspdarknet.inference import ObjectDetector
from cspdarknet.inference.result_folder import JOURNAL, ResultFolder, model_sha256
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.presets.save import save_score_threshold
from detection_results import NAMES, RESULTS
from fake_detector import FakePredictor, save

pytestmark = pytest.mark.one_backend

SETTINGS = {"model": "a"}


@pytest.fixture
def files(tmp_path):
    """Four images, the second of which is damaged."""
    (tmp_path / "images").mkdir()
    for i in range(4):
        boxes = [("red", 2, 3, 12, 13 + i)] if i else []
        save(tmp_path / f"images/{i}.png", (40, 60), boxes)
    (tmp_path / "images/1.png").write_bytes(b"not an image")
    return find_images(tmp_path / "images")


def open_folder(path, formats=("json", "csv"), settings=SETTINGS):
    return ResultFolder(path, formats, settings, NAMES)


def detect(folder, files):
    """Run a detector on the images that are not finished; return their names."""
    left = [file for file in files if not folder.has(file.path)]
    detector = ObjectDetector(FakePredictor(), results=folder)
    detector.detect_images(left)
    return [file.path.name for file in left]


def write(folder, files):
    folder.write([file.path for file in files], [file.key for file in files])
    return {path.name: path.read_bytes() for path in folder.path.glob("[!.]*")}


def test_a_repeated_run_detects_in_new_and_changed_images_only(files, tmp_path):
    out = tmp_path / "out"
    folder = open_folder(out)
    assert detect(folder, files) == ["0.png", "1.png", "2.png", "3.png"]
    first = write(folder, files)
    assert set(first) == {"detections.json", "detections.csv"}
    folder.close()
    save(files[3].path, (50, 60), [("blue", 5, 5, 20, 30)])
    folder = open_folder(out)
    assert detect(folder, files) == ["1.png", "3.png"]
    rows = write(folder, files)["detections.csv"].decode().splitlines()
    assert [line.split(",")[1:3] for line in rows[1:]] == [["red", "0.9"], ["blue", "0.6"]]
    folder.close()


def test_an_interrupted_run_ends_as_another_one(files, tmp_path):
    """Whatever part of the last line was written."""
    folder = open_folder(tmp_path / "whole")
    detect(folder, files)
    expected = write(folder, files)
    folder.close()
    journal = (tmp_path / "whole" / JOURNAL).read_bytes()
    for size in (0, 9, len(journal) // 2, len(journal) - 30, len(journal) - 1):
        out = tmp_path / str(size)
        out.mkdir()
        (out / JOURNAL).write_bytes(journal[:size])
        folder = open_folder(out)
        assert "3.png" in detect(folder, files)
        assert write(folder, files) == expected
        folder.close()


def test_results_are_of_the_given_files_in_their_order(files, tmp_path):
    folder = open_folder(tmp_path / "out")
    detect(folder, files)
    results = folder.results([files[3].path, files[0].path], [Path("x/3.png"), None])
    for _ in range(2):  # they can be read again
        assert [(r.path.name, r.key) for r in results] == [
            ("3.png", Path("x/3.png")),
            ("0.png", None),
        ]
    (box,) = next(iter(results)).detections
    assert (box.class_name, box.xyxy) == ("red", (2, 3, 12, 16))
    folder.close()


def test_the_frames_of_a_video_belong_together(tmp_path):
    video = tmp_path / "clip.mp4"
    video.touch()
    folder = open_folder(tmp_path / "out")
    folder.extend([replace(result, path=video) for result in RESULTS[1:]])
    assert folder.has(video)
    frames = list(folder.results([video]))
    assert [(r.frame, len(r.detections)) for r in frames] == [(0, 0), (1, 1)]
    folder.close()


def test_results_of_other_settings_are_not_mixed(files, tmp_path):
    folder = open_folder(tmp_path / "out")
    detect(folder, files)
    folder.close()
    with pytest.raises(ValueError, match=r"of another model.* model='a' there, and model='b' here"):
        open_folder(tmp_path / "out", settings={"model": "b"})
    open_folder(tmp_path / "out", ["yolo"]).close()  # other forms of the same results


def test_two_processes_do_not_write_into_one_folder(files, tmp_path):
    folder = open_folder(tmp_path / "out")
    detect(folder, files)
    with pytest.raises(ValueError, match="Another process writes its results into"):
        open_folder(tmp_path / "out")
    folder.close()
    open_folder(tmp_path / "out").close()


def test_another_file_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/detections.csv").write_text("mine")
    with pytest.raises(ValueError, match="is not the result of an earlier run"):
        open_folder(tmp_path / "out")
    assert not (tmp_path / "out" / JOURNAL).exists()


def test_file_names_that_are_not_text(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    try:
        path.touch()
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    folder = open_folder(tmp_path / "out", ["json", "csv", "yolo", "voc", "labelstudio"])
    folder.append(replace(RESULTS[0], path=path))
    assert folder.has(path)
    folder.write([path])
    document = json.loads((tmp_path / "out/detections.json").read_text())
    assert document["images"][0]["file_name"] == str(path)
    folder.close()


def test_the_hash_of_a_model_depends_on_weights_and_options(tmp_path):
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    hashes = []
    for _ in range(2):  # the second has other random weights
        YOLOXDetector(backbone, 2, image_size=64).save_to_preset(tmp_path / "preset")
        backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
        hashes.append(model_sha256(tmp_path / "preset"))
    assert model_sha256(tmp_path / "preset") == hashes[-1]
    save_score_threshold(tmp_path / "preset", 0.4)
    hashes.append(model_sha256(tmp_path / "preset"))
    assert len(set(hashes)) == 3
    with pytest.raises(ValueError, match=r"only with trained weights\. Received: csp_darknet_tiny"):
        model_sha256("csp_darknet_tiny")
