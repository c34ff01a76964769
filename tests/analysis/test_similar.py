"""Near duplicates, outliers and their pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import (
    Embedder,
    Embeddings,
    check_by_embeddings,
    draw_groups,
    draw_neighbors,
    draw_outliers,
    find_outliers,
    find_similar,
    search,
    similar,
)
from cspdarknet.analysis.outliers import neighbor_distances
from cspdarknet.data.doctor import DatasetImage

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("rows", [1, 4, 1024])
def test_groups_are_linked_by_pairs(monkeypatch, rows):
    monkeypatch.setattr(similar, "ROWS", rows)
    degrees = np.deg2rad([0, 50, 4, 90, 8, 90, 51])
    embeddings = Embeddings(np.stack([np.cos(degrees), np.sin(degrees)], 1), list("abcdefg"))
    splits = ("train", "train", "train", "train", "train", "validation", "train")
    images = [DatasetImage(Path(key), split) for key, split in zip("abcdefg", splits, strict=True)]
    advanced = []
    groups = find_similar(embeddings, images, np.cos(np.deg2rad(4.1)), advanced.append)
    names = [[str(image.path) for image in group.images] for group in groups]
    assert names == [["d", "f"], ["b", "g"], ["a", "c", "e"]]
    assert [group.leaks for group in groups] == [True, False, False]
    expected = np.cos(np.deg2rad([0, 1, 4]))
    np.testing.assert_allclose([group.similarity for group in groups], expected, atol=1e-6)
    assert sum(advanced) == 7


def test_distances_to_the_nearest_neighbors(vectors):
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    cosines = unit.astype("float64") @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    expected = 1 - np.sort(cosines, axis=1)[:, -3:].mean(axis=1)
    np.testing.assert_allclose(neighbor_distances(vectors, 3), expected, atol=1e-6)


def test_an_outlier_and_none():
    keys = [f"{i}" for i in range(40)]
    angles = np.arange(40) * np.pi / 20
    assert find_outliers(Embeddings(np.stack([np.cos(angles), np.sin(angles)], 1), keys)) == []
    values = np.random.default_rng(1).normal(1, 0.1, (40, 6))
    values[[9, 21]] = [[-1] * 6, [1, -1] * 3]
    found = find_outliers(Embeddings(values, keys))
    assert {outlier.image.path.name for outlier in found[:2]} == {"9", "21"}
    assert found[0].distance >= found[1].distance
    for count in (1, 2):
        assert find_outliers(Embeddings(np.eye(2)[:count], keys[:count])) == []
    with pytest.raises(ValueError, match="those of the 40 vectors"):
        find_outliers(Embeddings(values, keys), [])
    with pytest.raises(ValueError, match="a vector or more"):
        find_outliers(Embeddings(values, keys).take([]))


def by_colors(self, images):
    """In place of a model: the colors of four quarters."""
    for path in images:
        yield path, np.asarray(Image.open(path).resize((2, 2)), "float32").ravel() - 128


def test_a_dataset_with_a_leak(preset, tmp_path, monkeypatch):
    monkeypatch.setattr(Embedder, "stream", by_colors)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "d" / split / name).mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 255, (2, 2, 3), "uint8")
                image = Image.fromarray(pixels).resize((40, 40), Image.Resampling.BILINEAR)
                image.save(tmp_path / "d" / split / name / f"{i}.png")
    original = tmp_path / "d/train/cat/1.png"
    Image.open(original).save(tmp_path / "d/val/dog/copy.jpg", quality=95)
    check = check_by_embeddings(tmp_path / "d", preset, similarity=0.99, cache=tmp_path / "c")
    (group,) = [group for group in check.groups if group.leaks]
    assert {image.path.name for image in group.images} == {"1.png", "copy.jpg"}
    assert group.conflicts
    content = check.to_json()
    assert content["images"] == 17
    assert content["near_duplicates"][0]["leaks"] is True
    sheet = draw_groups(check.groups)
    assert sheet.width == 10 + 2 * 160


def test_images_of_several_classes_or_of_none(preset, photos, monkeypatch):
    monkeypatch.setattr(Embedder, "stream", by_colors)
    table = photos / "labels.csv"
    classes = ["a;b", "a", "b", "", "a", ""]
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    rows = [",".join(row) for row in zip(names, classes, strict=True)]
    table.write_text("\n".join(["image,classes", *rows]))
    check = check_by_embeddings(table, preset, labels="multi", similarity=0.0)
    assert check.images == 6
    assert {image.class_name for group in check.groups for image in group.images} <= {
        *("a", "b", "a, b", "")
    }


def test_pictures_of_images_that_are_there_or_not(photos):
    keys = ["0/0.png", "1/1.png", "gone.png"]
    embeddings = Embeddings(np.eye(3) + 1, [str(photos / key) for key in keys])
    results = search(embeddings, embeddings.keys[:2], top=2)
    assert draw_neighbors(results, embeddings).size == (10 + 3 * 160, 10 + 2 * 196)
    assert draw_neighbors(search(embeddings, np.ones(3)), embeddings, [None]).width == 10 + 4 * 160
    with pytest.raises(ValueError, match="which is no key"):
        draw_neighbors(search(embeddings, np.ones(3)), embeddings)
    for draw in (draw_groups, draw_outliers):
        with pytest.raises(ValueError, match="images to draw"):
            draw([])
