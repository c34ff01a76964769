"""Pictures of detections and feature maps."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from cspdarknet.detections import Detections
from cspdarknet.visualize import class_color, draw_boxes, feature_picture, fit_text, pca_colors

pytestmark = pytest.mark.one_backend

NAMES = ("red", "blue")


def random_detections(n, size=(480, 640), names=NAMES, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.85, (n, 2)) * size[::-1]
    boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (n, 2))], axis=1)
    return Detections(boxes, rng.uniform(0.3, 1, n), rng.integers(0, 2, n), size, names)


# Detections.


def test_a_box_is_drawn_around_its_object_and_nowhere_else():
    image = Image.fromarray(np.full((480, 640, 3), 255, "uint8"))
    detections = Detections([[100, 200, 300, 400]], [0.9], [0], (480, 640), NAMES)
    drawn = np.asarray(draw_boxes(image, detections))
    assert (np.asarray(image) == 255).all()
    changed = (drawn != 255).any(axis=2)
    y, x = np.nonzero(changed)
    assert (x.min(), x.max(), y.max()) == (100, 299, 399)
    assert 170 < y.min() < 200  # the label is above the box
    assert not changed[210:390, 110:290].any()
    assert tuple(drawn[399, 200]) == class_color(0)


@pytest.mark.parametrize("size", [(8, 8), (30, 400), (480, 640), (3000, 4000)])
def test_images_of_any_size_keep_it(size):
    boxes = [[-5, -5, size[1] + 9, size[0] + 9], [2, 2, 2.2, 2.2], [0, 0, size[1], 3]]
    detections = Detections(boxes, [0.9, 0.8, 0.7], [0, 1, 1], size, ("a" * 50, "b"))
    drawn = draw_boxes(np.zeros((*size, 3), "uint8"), detections)
    assert drawn.size == size[::-1]
    assert np.asarray(drawn).any()


def test_labels_scale_with_the_image():
    def label_height(scale):
        size = (480 * scale, 640 * scale)
        box = np.array([[100, 200, 300, 400]]) * scale
        drawn = draw_boxes(np.zeros((*size, 3)), Detections(box, [0.9], [0], size, NAMES))
        return 200 * scale - np.nonzero(np.asarray(drawn).any(axis=(1, 2)))[0].min()

    assert label_height(4) == pytest.approx(4 * label_height(1), rel=0.15)


def test_labels_stay_inside_and_leave_a_crowded_image_visible():
    white = np.full((480, 640, 3), 255, "uint8")
    drawn, lines = (
        np.asarray(draw_boxes(white, random_detections(400, names=names)))
        for names in (NAMES, ("", ""))
    )
    labels = (drawn != lines).any(axis=2)
    assert 0.02 < labels.mean() < 0.15


def test_a_box_larger_than_the_image_has_a_label():
    detections = Detections([[-13, -16, 449, 300]], [0.6], [0], (300, 451), ("cat",))
    image = np.full((300, 451, 3), 255, "uint8")
    corner = np.asarray(draw_boxes(image, detections))[2:12, 2:30]
    assert (corner != 255).any(axis=2).all()


def test_detections_without_names_are_labeled_with_their_class_id():
    image = np.zeros((48, 64, 3), "uint8")
    unnamed, named = (
        draw_boxes(image, Detections([[9, 20, 60, 40]], [0.9], [1], (48, 64), names))
        for names in (None, ("0", "1"))
    )
    np.testing.assert_array_equal(unnamed, named)


def test_colors_of_neighbors_differ():
    colors = np.array([class_color(i) for i in range(8)], "float64")
    distances = np.linalg.norm(colors[:, None] - colors, axis=2) + 1e3 * np.eye(8)
    assert distances.min() > 60


def test_detections_of_another_image_are_refused():
    with pytest.raises(ValueError, match=r"\(480, 640\).*\(640, 480\)"):
        draw_boxes(Image.new("RGB", (480, 640)), random_detections(2))


def test_long_texts_are_truncated():
    font = ImageFont.load_default(size=14)
    assert fit_text("cell", font, 100) == "cell"
    short = fit_text("a long name of a class", font, 60)
    assert short.endswith("…")
    assert font.getlength(short) <= 60


# Feature maps.


def test_two_regions_get_two_colors():
    features = np.zeros((6, 8, 5))
    features[:, 4:] = [3, -1, 0, 2, 1]
    colors = pca_colors(features)
    assert len(np.unique(colors[:, :4].reshape(-1, 3), axis=0)) == 1
    assert np.abs(colors[0, 0].astype(int) - colors[0, 7]).max() > 200


def test_colors_do_not_depend_on_the_order_of_channels():
    features = np.random.default_rng(0).normal(size=(9, 7, 12)) * np.arange(1, 13)
    first = pca_colors(features)
    np.testing.assert_allclose(first, pca_colors(features[..., ::-1]), atol=1)


@pytest.mark.parametrize("shape", [(1, 1, 8), (4, 4, 1), (3, 2, 2)])
def test_small_feature_maps(shape):
    assert pca_colors(np.ones(shape)).shape == (*shape[:2], 3)


def test_the_image_is_drawn_beside_its_features():
    image = np.full((20, 40, 3), (250, 10, 10), "uint8")
    sheet = np.asarray(feature_picture(image, {"P2": np.zeros((5, 10, 4))}))
    assert tuple(sheet[100, 100]) == (250, 10, 10)
    assert sheet.shape[1] == 3 * 10 + 2 * 360
    with pytest.raises(ValueError, match="must be a uint8 array"):
        feature_picture(image / 255, {})
