"""The option `--engine` of `features`, `predict` and `detect`: what it refuses."""

import pytest

from bulk_jobs import write_images
from support import run_command

pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("predict", (), "needs `--out`"),
        ("predict", ("--out", "o", "--csv", "a.csv"), "Received: `--csv`: leave it out"),
        ("detect", ("--out", "o", "--coco-results", "a.json"), "`--coco-results`"),
        ("features", ("--out", "o", "--picture", "--format", "safetensors"), "`--picture`"),
        ("features", ("--out", "o", "--weights", "a.h5"), "`--weights`"),
        ("detect", ("--out", "o"), "a model for classification"),
        ("predict", ("--out", "nonsense://o"), "fsspec knows"),
    ],
)
def test_options_that_do_not_fit(tmp_path, monkeypatch, command, options, message):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "images", 1)
    arguments = ("csp_darknet_tiny_clothing", "images", "--engine", "ray", *options)
    result = run_command(command, *arguments)
    assert isinstance(result.exception, ValueError), result.output
    assert message in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"1")
    command = ("detect", "yolox_nano_coco", tmp_path / "a.mp4", "--out", tmp_path / "o")
    assert "not videos" in str(run_command(*command, "--engine", "ray").exception)
