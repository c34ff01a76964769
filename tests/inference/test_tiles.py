"""`merge_tiles`: of detections in tiles remain those of the image, exact at the borders."""

import numpy as np
import pytest

from cspdarknet.detections import Detections
from cspdarknet.inference.tiles import merge_tiles
from cspdarknet.tiles import Tiles, Window

pytestmark = pytest.mark.one_backend
# Two tiles of 100 pixels that overlap by 40, in an image of 160 x 100.
PAIR = (Window(0, 0, 100, 100), Window(60, 0, 160, 100))
SIZE = (100, 160)


def found(*rows):
    """Detections `(x1, y1, x2, y2, confidence, class)` in a tile."""
    table = np.array(rows, "float64").reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), (100, 100))


def merged(*tiles, windows=PAIR, size=SIZE):
    boxes, confidence, classes = merge_tiles(tiles, windows, size)
    return [
        (*box, round(float(score), 3), int(label))
        for box, score, label in zip(boxes.tolist(), confidence, classes, strict=True)
    ]


def test_an_object_in_both_tiles_is_one():
    left, right = found((70, 10, 90, 30, 0.3, 1)), found((15, 10, 35, 34, 0.6, 1))
    # Means weighted by the distance from the next inner border, 10 and 15; the box's by the
    # confidence, too.
    assert merged(left, right) == [(73.75, 10, 93.75, 33, 0.48, 1)]


def test_boxes_without_confidence_are_averaged_too():
    left, right = found((70, 10, 90, 30, 0.0, 1)), found((10, 10, 30, 34, 0.0, 1))
    assert merged(left, right) == [(70, 10, 90, 32, 0.0, 1)]


def test_a_half_box_does_not_remain_beside_the_whole_one():
    half, whole = found((80, 10, 100, 30, 0.9, 0)), found((20, 10, 60, 30, 0.5, 0))
    assert merged(half, whole) == [(80, 10, 120, 30, 0.5, 0)]
    # Also if the other tile names another class, or detects nothing.
    assert merged(half, found((20, 10, 60, 30, 0.5, 1))) == [(80, 10, 120, 30, 0.5, 1)]
    assert merged(half, found()) == []


def test_boxes_of_two_classes_are_one_object_if_nms_ignores_classes():
    left, right = found((70, 10, 90, 30, 0.6, 1)), found((11, 10, 31, 30, 0.8, 0))
    assert len(merged(left, right)) == 2
    boxes, _, classes = merge_tiles([left, right], PAIR, SIZE, class_agnostic=True)
    weights = np.array([0.6 * 10, 0.8 * 11])
    assert np.allclose(boxes, [np.average([[70, 10, 90, 30], [71, 10, 91, 30]], 0, weights)])
    assert classes.tolist() == [0]


def test_parts_of_a_long_object_become_one():
    left, right = found((10, 40, 100, 60, 0.7, 0)), found((0, 41, 80, 60, 0.9, 0))
    assert merged(left, right) == [(10, 40, 140, 60, 0.9, 0)]


def test_parts_of_two_objects_stay_two():
    left, right = found((10, 10, 100, 30, 0.7, 0)), found((0, 60, 80, 80, 0.9, 0))
    assert merged(left, right) == [(60, 60, 140, 80, 0.9, 0), (10, 10, 100, 30, 0.7, 0)]
    other_class = found((0, 10, 80, 30, 0.9, 1))
    assert len(merged(left, other_class)) == 2


def test_boxes_at_the_border_of_the_image_stay():
    left, right = found((-3, 0, 30, 20, 0.7, 0)), found((80, 90, 104, 101, 0.6, 0))
    expected = [(-3, 0, 30, 20, 0.7, 0), (140, 90, 164, 101, 0.6, 0)]
    assert merged(left, right) == expected


def test_objects_in_a_crowd_are_kept_apart():
    rows = [(70, 10, 90, 30, 0.9, 0), (74, 10, 94, 30, 0.8, 0)]  # IoU 0.67
    moved = [(x1 - 60, y1, x2 - 60, *rest) for x1, y1, x2, *rest in rows]
    assert merged(found(*rows), found(*moved)) == rows


def test_a_box_that_lies_in_the_other_tile_is_that_ones():
    assert merged(found((101, 10, 120, 30, 0.9, 0)), found()) == []


def test_one_tile_changes_nothing():
    rows = [(-5, -5, 20, 20, 0.9, 1), (90, 90, 103, 103, 0.5, 0)]
    assert merged(found(*rows), windows=PAIR[:1], size=(100, 100)) == rows
    assert merged(found(), found()) == []


WHOLE = Window(0, 0, 160, 100)


def test_the_whole_image_shows_what_all_tiles_cut():
    parts = found((10, 0, 100, 100, 0.6, 0)), found((0, 0, 90, 100, 0.7, 0))
    whole = found((12, 0, 148, 100, 0.9, 0))
    assert merged(*parts, whole, windows=(*PAIR, WHOLE)) == [(12, 0, 148, 100, 0.9, 0)]
    # Of small objects the tiles know more; the whole image may miss them.
    tile, whole = found((10, 10, 30, 30, 0.5, 0)), found((9, 9, 30, 30, 0.9, 0))
    assert merged(tile, found(), whole, windows=(*PAIR, WHOLE)) == [(10, 10, 30, 30, 0.9, 0)]
    assert merged(tile, found(), found(), windows=(*PAIR, WHOLE)) == [(10, 10, 30, 30, 0.5, 0)]


def test_next_to_nothing_does_not_stand_for_a_part():
    parts = (
        found((10, 40, 100, 60, 0.9, 0)),
        found((0, 40, 80, 60, 0.9, 0), (2, 40, 70, 60, 0.01, 0)),
    )
    assert merged(*parts)[0] == (10, 40, 140, 60, 0.9, 0)


def objects_apart(rng, size, longest):
    """Random boxes that do not overlap."""
    boxes = np.zeros((0, 4))
    for _ in range(30):
        sides = rng.uniform(6, max(7, longest), 2).clip(6, size[::-1])
        start = rng.uniform(0, 1, 2) * (np.array(size[::-1]) - sides)
        box = np.concatenate([start, start + sides])
        common = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
        if not (common > 0).all(axis=1).any():
            boxes = np.vstack([boxes, box])
    return boxes


def ideal_detector(objects, window, rng, error, least_visible):
    """What is visible of objects in a window, with a small error in each coordinate."""
    start, end = np.array(window[:2]), np.array(window[2:])
    parts = np.hstack([objects[:, :2].clip(start, end), objects[:, 2:].clip(start, end)])
    area = np.prod(parts[:, 2:] - parts[:, :2], axis=1)
    visible = area / np.prod(objects[:, 2:] - objects[:, :2], axis=1)
    seen = visible >= least_visible
    boxes = parts[seen] + rng.uniform(-error, error, (seen.sum(), 4))
    boxes -= np.tile(start, 2)
    size = (int(end[1] - start[1]), int(end[0] - start[0]))
    return Detections(boxes, visible[seen] / 2, np.flatnonzero(seen) % 3, size)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("is_long", [False, True])
def test_an_ideal_detector_finds_each_object_once(seed, is_long):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(50, 1500, 2).tolist())
    tiles = Tiles(int(rng.integers(64, 400)), float(rng.uniform(0.1, 0.5)), bool(seed % 2))
    margin = tiles.size / 64
    longest = 1.5 * tiles.size if is_long else tiles.overlap * tiles.size - 4 * margin
    objects = objects_apart(rng, size, longest)
    windows = tiles.windows(*size)
    if tiles.with_whole and len(windows) > 1:
        windows.append(Window(0, 0, *size[::-1]))
    least = 0.01 if is_long else 0.25
    seen = [ideal_detector(objects, window, rng, margin / 5, least) for window in windows]
    boxes, _, _ = merge_tiles(seen, windows, size)
    assert len(boxes) == len(objects)
    distances = abs(objects[:, None] - boxes[None]).max(axis=2)
    assert distances.min(axis=1).max() < margin
