"""Bulk jobs in one process: each input once, whatever interrupts them."""

import json
import shutil

import pytest

from bulk_jobs import keys, read_rows, write_images
from cspdarknet import Predictor
from cspdarknet.models import ImageClassifier
from cspdarknet.scale import BulkJob
from cspdarknet.scale.part_worker import PartResult, PartWorker

arrow = pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images", 7, bad=[3])


@pytest.fixture
def job(model, images, tmp_path):
    def make(source=images, **arguments):
        arguments = {"part_size": 3, "batch_size": 2, **arguments}
        return BulkJob("classification", model, source, tmp_path / "out", **arguments)

    return make


def test_each_image_is_once_with_the_result_of_a_predictor(job, model, images, tmp_path):
    assert list(job().run()) == [PartResult(0, 3, 0), PartResult(1, 2, 1), PartResult(2, 1, 0)]
    out = tmp_path / "out"
    rows = [row for part in read_rows(out).values() for row in part]
    assert [row["key"] for row in rows] == [f"{i:03}.png" for i in range(7) if i != 3]
    assert [row["class_name"][0] for row in rows] == [
        ("red", "green", "blue")[probabilities.argmax()]
        for probabilities in Predictor(model)([images / row["key"] for row in rows])
    ]
    (error,) = read_rows(out, "errors")["part-000001.parquet"]
    assert error["key"] == "003.png"
    assert "not an image" in error["error"]
    assert job().counts() == (6, 1)


def test_finished_parts_are_kept_and_new_images_added(job, images, tmp_path):
    list(job().run())
    first = (tmp_path / "out/results/part-000000.parquet").stat().st_mtime_ns
    (tmp_path / "out/results/part-000001.parquet").unlink()
    shutil.copy(images / "000.png", images / "0005.png")
    assert [part.part for part in job().run()] == [1, 3]
    assert (tmp_path / "out/results/part-000000.parquet").stat().st_mtime_ns == first
    assert sorted(keys(tmp_path / "out") + keys(tmp_path / "out", "errors")) == sorted(
        path.name for path in images.iterdir()
    )
    assert list(job().run()) == []


def test_a_part_that_is_interrupted_is_done_again(job, images, tmp_path, monkeypatch):
    """Between the errors and the results, of a part whose image is mended then."""
    original = PartWorker._write_errors

    def killed(self, name, errors):
        original(self, name, errors)
        if errors:
            raise KeyboardInterrupt

    monkeypatch.setattr(PartWorker, "_write_errors", killed)
    with pytest.raises(KeyboardInterrupt):
        list(job().run())
    assert sorted(read_rows(tmp_path / "out")) == ["part-000000.parquet"]
    assert keys(tmp_path / "out", "errors") == ["003.png"]
    monkeypatch.undo()
    shutil.copy(images / "000.png", images / "003.png")
    list(job().run())
    assert keys(tmp_path / "out") == [f"{i:03}.png" for i in range(7)]
    assert keys(tmp_path / "out", "errors") == []


def test_shards_with_results_in_memory(job, model, images, tmp_path):
    content = [(images / f"{i:03}.png").read_bytes() for i in range(7)]
    parquet.write_table(arrow.table({"image": content}), tmp_path / "s.parquet")
    given = BulkJob("classification", model, tmp_path / "s.parquet", f"memory:/{tmp_path}/out")
    assert list(given.run()) == [PartResult(0, 6, 1)]
    assert given.counts() == (6, 1)
    assert list(given.run()) == []


@pytest.mark.parametrize(
    ("arguments", "change"),
    [({"top": 1}, "top 3 → 1"), ({"batch_size": 1}, "batch_size 2 → 1")],
)
def test_other_settings_are_refused(job, arguments, change):
    list(job().run())
    with pytest.raises(ValueError, match=change):
        list(job(**arguments).run())


def test_thresholds_and_temperatures_that_changed_are_refused(classifier, images, tmp_path):
    config = classifier.get_config()
    multi = {**config, "activation": "sigmoid", "labels": "multi"}
    plain, warm, tagger = (
        ImageClassifier.from_config(c) for c in (config, {**config, "temperature": 2.0}, multi)
    )
    sensitive = ImageClassifier.from_config({**multi, "score_threshold": 0.25})
    for number, (first, then, top, change) in enumerate(
        [
            (plain, warm, None, "temperature None → 2.0"),
            (tagger, sensitive, None, "score_threshold 0.5 → 0.25"),
            (tagger, tagger, 3, "top None → 3"),
        ]
    ):
        job = {"out": tmp_path / f"out{number}", "sources": images, "part_size": 9}
        first.save_to_preset(tmp_path / f"p{number}")
        weights = (tmp_path / f"p{number}/model.weights.h5").read_bytes()
        list(BulkJob("classification", tmp_path / f"p{number}", **job).run())
        then.save_to_preset(tmp_path / f"p{number}")
        (tmp_path / f"p{number}/model.weights.h5").write_bytes(weights)
        with pytest.raises(ValueError, match=change):
            list(BulkJob("classification", tmp_path / f"p{number}", top=top, **job).run())


def test_other_weights_are_refused(job, tmp_path):
    list(job().run())
    path = tmp_path / "out/job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights_sha256": "0"}))
    with pytest.raises(ValueError, match="weights_sha256 '0'"):
        list(job().run())


def test_errors_of_arguments(model, images, tmp_path):
    for task, arguments, message in (
        ("detection", {}, "a model for classification"),
        ("detect", {}, "`task` must be one of"),
        ("classification", {"part_size": 0}, "part_size"),
    ):
        with pytest.raises(ValueError, match=message):
            BulkJob(task, model, images, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_results_within_a_source(job, images, tmp_path, model):
    out = images / "out"
    for _ in range(2):
        given = BulkJob("classification", model, images, out, part_size=9)
        list(given.run())
        assert given.counts() == (6, 1)
    with pytest.raises(ValueError, match="holds inputs"):
        BulkJob("classification", model, images, images)
    with pytest.raises(ValueError, match="holds inputs"):
        BulkJob("classification", model, out / "results", out)


def test_other_files_are_not_taken_for_results(job, tmp_path):
    (tmp_path / "out/results").mkdir(parents=True)
    (tmp_path / "out/results/part-000000.parquet").write_bytes(b"other")
    with pytest.raises(ValueError, match="not of a bulk job"):
        list(job().run())


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("job.json", "choose another folder"),
        ("manifest.parquet", "choose another folder"),
        ("results/part-000000.parquet", "remove it"),
    ],
)
def test_damaged_files_are_named(job, tmp_path, name, remedy):
    list(job().run())
    (tmp_path / "out" / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{name} is damaged .*: {remedy}"):
        list(job().run()) or job().counts()
