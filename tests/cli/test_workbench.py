"""`cspdarknet embed`, `search`, `probe` and `data check --embeddings`."""

import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import load_embeddings
from forked import run_forked
from image_datasets import write_class_folders, write_preset
from support import run_command

pytestmark = pytest.mark.one_backend

# Ends itself by Ctrl-C when the fourth image is read.
INTERRUPTED = """
import signal, sys
from cspdarknet import cli
from cspdarknet.analysis import embedding_run
from cspdarknet.analysis.embedder import Embedder

stream = Embedder.stream

def interrupted(self, images):
    for i, item in enumerate(stream(self, images)):
        if i == 3:
            signal.raise_signal(signal.SIGINT)
        yield item

Embedder.stream = interrupted
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background lacks
sys.argv[1:] = ["embed", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def preset(tmp_path):
    return write_preset(tmp_path / "preset")


@pytest.fixture
def folder(tmp_path):
    return write_class_folders(tmp_path / "photos", per_class=3)


def run(*command):
    result = run_command(*command)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_embed_and_search(preset, folder, tmp_path):
    file = tmp_path / "v.npz"
    command = ("embed", folder, "--model", preset, "--out", file, "--levels", "P2,P3")
    assert "Vectors of 9 of 9 images written" in run(*command, "--normalize", "--image-size", "32")
    embeddings = load_embeddings(file)
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, rtol=1e-5)
    assert embeddings.settings.levels == ("P2", "P3")
    assert "9 of them kept" in run(*command, "--normalize", "--image-size", "32")

    by_key = run("search", file, "red/1.png", "--top", "2", "--out", tmp_path / "n.jpg")
    keys = [line.split()[-1] for line in by_key.splitlines()[1:3]]
    assert sorted(keys) == ["red/0.png", "red/2.png"]
    assert Image.open(tmp_path / "n.jpg").width == 10 + 3 * 160
    by_image = run("search", file, folder / "red/1.png", "--top", "1")
    assert by_image.splitlines()[1].split() == ["1.png", "1", "1.0000", "red/1.png"]
    by_folder = run("search", file, folder / "blue", "--out", tmp_path / "m.png", "--top", "3")
    assert len(by_folder.splitlines()) == 1 + 3 * 3 + 1


def test_search_of_a_model_that_has_moved_or_changed(preset, folder, tmp_path):
    file = tmp_path / "v.npz"
    run("embed", folder, "--model", preset, "--out", file)
    moved = preset.rename(tmp_path / "moved")
    query = folder / "red/1.png"
    assert str(preset) in str(run_command("search", file, query).exception)
    run("search", file, query, "--model", moved)
    other = run_command("search", file, query, "--model", "yolox_nano_bccd")
    assert "weights_sha256" in str(other.exception)
    unknown = run_command("search", file, "no.jpg")
    assert "an image, a folder of images, or a key" in str(unknown.exception)
    picture = run_command("search", file, query, "--out", tmp_path / "n.txt")
    assert "must end in" in str(picture.exception)


@pytest.mark.slow
def test_embed_is_interrupted_and_continued(preset, folder, tmp_path):
    arguments = (folder, "--model", preset, "--out", tmp_path / "v.npz")
    ended = run_forked(INTERRUPTED, *arguments)
    assert ended.returncode == 130, ended.stderr
    assert "Run the same command again to continue." in ended.stdout
    assert not (tmp_path / "v.npz").exists()
    assert "3 of them kept" in run("embed", *arguments)
    assert len(load_embeddings(tmp_path / "v.npz")) == 9


def test_damaged_images_are_named(preset, folder, tmp_path):
    (folder / "[red]bad[").mkdir()
    (folder / "[red]bad[" / "].jpg").write_bytes(b"not an image")
    result = run_command("embed", folder, "--model", preset, "--out", tmp_path / "v.npz")
    assert result.exit_code == 1
    assert "[red]bad[/].jpg: not an image" in result.output
    assert "9 of 10 images" in result.output


def test_probe(preset, folder, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "probe"
    command = ("probe", folder, "--model", preset, "--model", "yolox_nano_bccd")
    output = run(*command, "--shots", "1,2", "--draws", "2", "--image-size", "32", "--out", out)
    rows = [line.split() for line in output.splitlines() if " knn " in line or " linear " in line]
    assert [row[2] for row in rows] == ["1", "2", "all"] * 4
    assert "validation split, 3 classes. Best: " in output
    assert sorted(path.name for path in out.iterdir()) == ["probe.csv", "probe.json", "probe.png"]
    assert len(json.loads((out / "probe.json").read_text())["results"]) == 12
    assert len(list((tmp_path / "cache/cspdarknet/embeddings").iterdir())) == 2
    assert "--shots" in str(
        run_command("probe", folder, "--model", preset, "--shots", "x").exception
    )


def test_data_check_by_embeddings(preset, folder, tmp_path):
    Image.open(folder / "red/0.png").save(folder / "red/copy.bmp")
    command = ("data", "check", folder, "--cache", tmp_path / "cache", "--embeddings", preset)
    output = run(*command, "--similarity", "1", "--sheets", tmp_path / "sheets")
    assert "10 images compared by" in output
    assert "1.000  " in output
    assert "copy.bmp (train)" in output
    assert (tmp_path / "sheets/near_duplicates.jpg").exists()
    run(*command, "--json", tmp_path / "check.json")
    content = json.loads((tmp_path / "check.json").read_text())
    assert content["embeddings"]["images"] == 10
    refused = run_command("data", "check", folder, "--sheets", tmp_path / "sheets")
    assert "needs `--embeddings`" in str(refused.exception)
