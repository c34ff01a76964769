"""`embed` and `EmbeddingRun`: files of vectors, interruptions, changed images."""

import os
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import Embedder, EmbeddingRun, embed, embedding_run, load_embeddings
from cspdarknet.images import find_images

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def embedder(preset):
    return Embedder(preset, runtime="keras")


@pytest.fixture
def run(embedder, photos, tmp_path, monkeypatch):
    """Runs over the photos, up to a number of results, and returns the states."""
    monkeypatch.setattr(embedding_run, "PART_ROWS", 2)

    def run(count=None, out=tmp_path / "a.npz"):
        results = EmbeddingRun(embedder, out, str(photos)).run(find_images(photos))
        states = [result.state for result in islice(results, count)]
        results.close()
        return states

    return run


def test_vectors_of_a_folder(embedder, preset, photos, tmp_path):
    (photos / "bad.png").write_bytes(b"not an image")
    advanced = []
    in_memory = embed(photos, preset, runtime="keras", progress=advanced.append)
    in_file = embed(photos, preset, tmp_path / "a.safetensors", runtime="keras")
    assert in_memory.keys == ("0/0.png", "0/2.png", "0/4.png", "1/1.png", "1/3.png", "1/5.png")
    np.testing.assert_array_equal(in_memory.vectors, in_file.vectors)
    np.testing.assert_allclose(in_memory.vectors[4], embedder(photos / "1/3.png"), rtol=1e-4)
    assert sum(advanced) == 7
    for embeddings in (in_memory, in_file):
        assert list(embeddings.errors) == ["bad.png"]
        assert "not an image" in embeddings.errors["bad.png"]
        assert embeddings.paths[0] == photos / "0/0.png"


def test_a_list_of_files_has_paths_as_keys(preset, photos):
    embeddings = embed([photos / "1", photos / "0/2.png", photos / "1/1.png"], preset)
    assert embeddings.keys[-1] == str(photos / "0/2.png")
    assert len(embeddings) == 4


def test_a_stopped_run_continues_and_loses_nothing(run, photos, tmp_path, embedder):
    assert run(3) == ["done"] * 3
    assert not (tmp_path / "a.npz").exists()
    assert run() == ["kept"] * 3 + ["done"] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "photos"]
    loaded = load_embeddings(tmp_path / "a.npz")
    for key, vector in zip(loaded.keys, loaded.vectors, strict=True):
        np.testing.assert_allclose(vector, embedder(photos / key), rtol=1e-4, atol=1e-6)
    before = (tmp_path / "a.npz").stat().st_mtime_ns
    assert run() == ["kept"] * 6
    assert (tmp_path / "a.npz").stat().st_mtime_ns == before


def test_a_damaged_part_is_embedded_again(run, photos, tmp_path):
    run(5)
    parts = sorted((tmp_path / "a.npz.parts").glob("*.safetensors"))
    assert len(parts) == 3
    parts[0].write_bytes(parts[0].read_bytes()[:90])
    assert run() == ["kept"] * 3 + ["done"] * 3
    assert len(load_embeddings(tmp_path / "a.npz")) == 6


def test_new_changed_and_removed_images(run, photos, tmp_path, embedder):
    run()
    (photos / "0/0.png").unlink()
    Image.new("RGB", (40, 40), "red").save(photos / "0/1.png")
    Image.new("RGB", (40, 40), "lime").save(photos / "1/3.png")
    later = (tmp_path / "a.npz").stat().st_mtime + 10
    os.utime(photos / "1/3.png", (later, later))
    assert run() == ["kept"] * 4 + ["done"] * 2
    loaded = load_embeddings(tmp_path / "a.npz")
    assert loaded.keys == ("0/1.png", "0/2.png", "0/4.png", "1/1.png", "1/3.png", "1/5.png")
    for key, vector in zip(loaded.keys, loaded.vectors, strict=True):
        np.testing.assert_allclose(vector, embedder(photos / key), rtol=1e-4, atol=1e-6)


def test_other_settings_and_other_files_are_refused(run, preset, photos, tmp_path):
    run()
    with pytest.raises(ValueError, match="image_size 24 and 32"):
        embed(photos, preset, tmp_path / "a.npz", image_size=24)
    with pytest.raises(ValueError, match="folder"):
        embed(photos / "0", preset, tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.eye(2))
    with pytest.raises(ValueError, match="must be a file of embeddings"):
        embed(photos, preset, tmp_path / "b.npz")
    with pytest.raises(ValueError, match="does not exist"):
        embed(photos, preset, tmp_path / "no" / "b.npz")


def test_two_processes_do_not_write_one_file(embedder, photos, tmp_path):
    files = find_images(photos)
    first = EmbeddingRun(embedder, tmp_path / "a.npz").run(files)
    next(first)
    with pytest.raises(ValueError, match="Another process writes"):
        next(EmbeddingRun(embedder, tmp_path / "a.npz").run(files))
    first.close()


def test_no_image_that_can_be_used(preset, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    for out in (None, tmp_path / "a.npz"):
        with pytest.raises(ValueError, match=r"There must be an image.*not an image"):
            embed(tmp_path / "bad.png", preset, out)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.png"]


def test_an_image_is_replaced_by_an_older_file(run, photos):
    run()
    Image.new("RGB", (40, 40), "lime").save(photos / "new.png")
    os.utime(photos / "new.png", (10**9, 10**9))
    (photos / "new.png").rename(photos / "1/3.png")
    assert run() == ["kept"] * 5 + ["done"]


def test_an_image_that_changes_while_the_run_goes_on(embedder, photos, tmp_path):
    def results():
        return EmbeddingRun(embedder, tmp_path / "a.npz", str(photos)).run(find_images(photos))

    first = results()
    assert [next(first).state for _ in range(6)] == ["done"] * 6
    Image.new("RGB", (40, 40), "lime").save(photos / "0/0.png")
    assert list(first) == []
    assert [result.state for result in results()] == ["kept"] * 5 + ["done"]


def test_vectors_of_other_images_are_not_lost(preset, photos, tmp_path):
    out = tmp_path / "a.npz"
    embed(photos / "0", preset, out)
    with pytest.raises(ValueError, match=r"2 other images, such as .*[24]\.png"):
        embed(photos / "0/0.png", preset, out)
    assert len(load_embeddings(out)) == 3
    for name in ("2.png", "4.png"):
        (photos / "0" / name).unlink()
    assert embed(photos / "0/0.png", preset, out).keys == ("0.png",)
