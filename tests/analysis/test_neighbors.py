"""`search`, compared with a naive computation in float64."""

from pathlib import Path

import numpy as np
import pytest

from cspdarknet.analysis import Embeddings, EmbeddingSettings, neighbors, search, vector_index

pytestmark = pytest.mark.one_backend


def naive(embeddings, query, top, left_out=None):
    """Keys of the nearest vectors, one by one; equals in the order of their keys."""
    found = []
    for key, vector in zip(embeddings.keys, embeddings.vectors, strict=True):
        a, b = vector.astype("float64"), query.astype("float64")
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        cosine = round(float(a @ b / lengths) if lengths else 0.0, 12)
        if key != left_out:
            found.append((-cosine, key))
    return [(key, -negative) for negative, key in sorted(found)[:top]]


@pytest.mark.parametrize("block", [7, 16384])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_as_a_naive_computation(vectors, monkeypatch, block, scale):
    monkeypatch.setattr(neighbors, "BLOCK", block)
    monkeypatch.setattr(neighbors, "MAX_SIMILARITIES", 200)
    embeddings = Embeddings(vectors.vectors * np.float32(scale), vectors.keys)
    queries = np.random.default_rng(1).normal(size=(9, 9)).astype("float32")
    for result, query in zip(search(embeddings, queries, top=25), queries, strict=True):
        expected = naive(vectors, query, 25)
        assert list(result.keys) == [key for key, _ in expected]
        np.testing.assert_allclose(result.similarities, [c for _, c in expected], atol=1e-6)
        assert [embeddings.keys[row] for row in result.rows] == list(result.keys)


def test_many_equal_vectors_are_in_the_order_of_their_keys():
    keys = [f"{i:03}" for i in np.random.default_rng(0).permutation(500)]
    embeddings = Embeddings(np.ones((500, 30)) / 3, keys)
    (result,) = search(embeddings, np.ones(30), top=10)
    assert list(result.keys) == [f"{i:03}" for i in range(10)]


def test_differences_that_float32_loses():
    """Cosines that are equal in float32, and differ in float64."""
    angles = np.array([3e-5, 1e-5, 2e-5, 0.5])
    embeddings = Embeddings(np.stack([np.cos(angles), np.sin(angles)], 1), list("abcd"))
    (result,) = search(embeddings, np.array([1.0, 0.0]), top=2)
    assert result.keys == ("b", "c")


def test_a_key_does_not_find_itself(vectors):
    query = vectors.keys[3]
    first, second = search(vectors, [query, vectors.keys[60]], top=4)
    assert list(first.keys) == [
        key for key, _ in naive(vectors, vectors.vectors[3], 4, left_out=query)
    ]
    assert first.keys[0] == vectors.keys[53]
    assert second.query == vectors.keys[60]
    assert len(search(vectors, query, top=1000)[0].keys) == 69


def test_vectors_of_zeros_have_the_similarity_0():
    embeddings = Embeddings([[0, 0], [1, 0], [-1, 0]], list("abc"))
    (result,) = search(embeddings, np.array([1.0, 0.0]))
    assert result.keys == ("b", "a", "c")
    assert result.similarities.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("no.jpg", "'no.jpg'"),
        (np.ones(8), "9 numbers"),
        (np.full(9, np.nan), "finite"),
        (Embeddings(np.ones((1, 9)), ["q"], EmbeddingSettings(normalized=True)), "normalized"),
    ],
)
def test_invalid_queries(vectors, query, message):
    with pytest.raises(ValueError, match=message):
        search(vectors, query)


def test_an_index_finds_the_same(vectors, tmp_path, monkeypatch):
    pytest.importorskip("usearch")
    file = tmp_path / "a.usearch"
    query = np.random.default_rng(1).normal(size=(2, 9))
    exact = search(vectors, query, top=5, method="exact")
    for added in ([len(vectors)], []):  # built, then read
        counts = []
        results = search(vectors, query, 5, "index", file, counts.append)
        assert counts == added
        for found, expected in zip(results, exact, strict=True):
            assert found.keys == expected.keys
    monkeypatch.setattr(vector_index, "ADDED_AT_ONCE", 7)
    (found, _) = search(vectors, query, 5, "index", None, counts.append)
    assert (max(counts), sum(counts), found.keys) == (7, len(vectors), exact[0].keys)
    # The index of other vectors, or a damaged one, is not used.
    other = Embeddings(-vectors.vectors, vectors.keys)
    found = search(other, query, 5, "index", file)
    assert found[0].keys == search(other, query, 5)[0].keys
    file.write_bytes(b"damaged")
    assert search(other, query, 5, "index", file)[0].keys == found[0].keys


def test_no_vectors(vectors):
    with pytest.raises(ValueError, match="a vector or more"):
        search(vectors.take([]), np.ones(9))


def test_a_key_may_be_a_path(vectors):
    key = vectors.keys[3]
    (as_path,), (as_text,) = (search(vectors, name, top=2) for name in (Path(key), key))
    assert as_path.keys == as_text.keys
