"""`Embeddings` and their files."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from cspdarknet.analysis import Embeddings, EmbeddingSettings, load_embeddings

pytestmark = pytest.mark.one_backend

SETTINGS = EmbeddingSettings("m", ("P3", "P5"), True, (32, 64), None, "float32", "ab", "/f")
NAMES = ("a.npz", "a.safetensors", "a.parquet")


@pytest.fixture
def embeddings():
    values = np.random.default_rng(0).normal(size=(5, 3))
    return Embeddings(values, ["a.jpg", "b/ü\n.jpg", "c,.jpg", "d .jpg", "血.png"], SETTINGS)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_keeps_everything(embeddings, tmp_path, name):
    embeddings.save(tmp_path / name)
    loaded = load_embeddings(tmp_path / name)
    np.testing.assert_array_equal(loaded.vectors, embeddings.vectors)
    assert loaded.keys == embeddings.keys
    assert loaded.settings == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_software_reads_the_files(embeddings, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in NAMES:
        embeddings.save(tmp_path / name)
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["keys"].tolist() == list(embeddings.keys)
        np.testing.assert_array_equal(arrays["vectors"], embeddings.vectors)
    np.testing.assert_array_equal(
        load_file(tmp_path / "a.safetensors")["vectors"], embeddings.vectors
    )
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table["key"].to_pylist() == list(embeddings.keys)
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), embeddings.vectors)


def test_names_that_are_not_utf8(tmp_path):
    embeddings = Embeddings(np.eye(1), ["\udcff.jpg"])
    for name in NAMES[:2]:
        embeddings.save(tmp_path / name)
        assert load_embeddings(tmp_path / name).keys == ("\udcff.jpg",)
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="UTF-8"):
        embeddings.save(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(embeddings, tmp_path, name):
    path = tmp_path / name
    embeddings.save(path)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"not a file of vectors"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="must be a file of embeddings"):
            load_embeddings(path)


def test_files_of_other_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.eye(2))
    with pytest.raises(ValueError, match="must be a file of embeddings"):
        load_embeddings(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="There is no file"):
        load_embeddings(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"\.npz, \.safetensors"):
        load_embeddings(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("vectors", "keys", "message"),
    [
        (np.eye(2), ["a"], "a row for each"),
        (np.ones(2), ["a", "b"], "a row for each"),
        (np.eye(2), ["a", "a"], "'a' more than once"),
        (np.array([[1], [np.nan]]), ["a", "b"], "at 'b'"),
    ],
)
def test_invalid_embeddings(vectors, keys, message):
    with pytest.raises(ValueError, match=message):
        Embeddings(vectors, keys)


def test_vectors_cannot_be_changed_and_are_taken_by_index(embeddings):
    with pytest.raises(ValueError, match="read-only"):
        embeddings.vectors[0] = 1
    taken = embeddings.take([3, 0])
    assert taken.keys == ("d .jpg", "a.jpg")
    np.testing.assert_array_equal(taken.vectors, embeddings.vectors[[3, 0]])


def test_vectors_are_taken_by_a_mask(embeddings):
    mask = np.array([True, False, False, True, False])
    assert embeddings.take(mask).keys == ("a.jpg", "d .jpg")
    with pytest.raises(ValueError, match="for each of the 5 vectors"):
        embeddings.take(mask[:2])
