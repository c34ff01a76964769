"""COCO's metrics of detectors."""

import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="mAP needs pycocotools")
from cspdarknet.evaluate import mean_average_precision

pytestmark = pytest.mark.one_backend

RECALLS = [i / 100 for i in range(101)]


def plain_ap50(dataset, detections, class_id):
    """Average precision at IoU 0.5, from its definition, one box at a time."""
    rows = sorted(
        (
            (float(d.confidence[i]), image, d.xyxy[i].tolist())
            for image, d in enumerate(detections)
            for i in range(len(d))
            if d.class_id[i] == class_id
        ),
        key=lambda row: -row[0],
    )
    free = {
        (image, i)
        for image, labels in enumerate(dataset.labels)
        for i in np.flatnonzero(labels == class_id)
    }
    boxes, hits, points = len(free), 0, []
    for seen, (_, image, (x1, y1, x2, y2)) in enumerate(rows, 1):
        best, match = 0.5, None
        for other, i in sorted(free):
            if other != image:
                continue
            u1, v1, u2, v2 = dataset.boxes[image][i].tolist()
            shared = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            iou = shared / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared)
            if iou >= best:
                best, match = iou, (image, i)
        if match:
            free.remove(match)
            hits += 1
        points.append((hits / boxes, hits / seen))
    at = [max((p for r, p in points if r >= level - 1e-12), default=0) for level in RECALLS]
    return sum(at) / len(at)


@pytest.mark.parametrize("seed", range(5))
def test_ap50_is_that_of_its_definition(noisy, seed):
    dataset, detections = noisy(seed)
    metrics = mean_average_precision(dataset, detections)
    expected = [plain_ap50(dataset, detections, class_id) for class_id in range(2)]
    assert 0.1 < min(expected) < max(expected) < 0.95
    assert [metrics.of_class_at_50(i) for i in range(2)] == pytest.approx(expected, abs=1e-9)
    assert metrics.map50 == pytest.approx(np.mean(expected))
    assert metrics.map < metrics.map50


def test_perfect_detections(dataset, perfect_detections):
    metrics = mean_average_precision(dataset, perfect_detections(dataset))
    for value in (metrics.map, metrics.map50, metrics.map75, metrics.max_recall):
        assert value == pytest.approx(1)
    # The areas are 2500, 6400, 15000 and 800 pixels.
    assert metrics.map_by_area == pytest.approx({"small": 1, "medium": 1, "large": 1})
    assert np.shape(metrics.precision) == (10, 101, 2)


def test_no_detections(dataset, detections_of):
    metrics = mean_average_precision(dataset, [detections_of()] * 3)
    assert metrics.map == metrics.map50 == metrics.max_recall == 0


def test_shifted_boxes_count_up_to_their_iou(dataset_of, detections_of):
    dataset = dataset_of([(0, 100, 100, 200, 200)], names=("a",))
    # Shifted by a fifth: IoU 80 / 120, 0.667, so that 4 of the 10 thresholds are reached.
    metrics = mean_average_precision(dataset, [detections_of((0, 0.9, 120, 100, 220, 200))])
    assert (metrics.map, metrics.map50, metrics.map75) == pytest.approx((0.4, 1, 0))


def test_map75_is_that_at_iou_75(dataset_of, detections_of):
    dataset = dataset_of([(0, 100, 100, 200, 200)], names=("a",))
    # IoU 0.78, so that 6 of the 10 thresholds are reached, the last of them 0.75.
    metrics = mean_average_precision(dataset, [detections_of((0, 0.9, 100, 100, 200, 178))])
    assert (metrics.map, metrics.map75) == pytest.approx((0.6, 1))


def test_metrics_by_area(dataset_of, detections_of):
    small, medium, large = (0, 10, 10, 30, 30), (0, 100, 100, 150, 150), (0, 200, 200, 300, 320)
    dataset = dataset_of([small, medium, large], names=("a",))
    detections = detections_of(*((0, 0.9, *box[1:]) for box in (small, large)))
    metrics = mean_average_precision(dataset, [detections])
    assert metrics.map_by_area == pytest.approx({"small": 1, "medium": 0, "large": 1})


def test_doubled_detections_cost_precision(dataset_of, detections_of):
    twice = detections_of(
        (0, 0.9, 10, 10, 60, 60), (0, 0.8, 10, 10, 60, 60), (0, 0.7, 90, 90, 200, 200)
    )
    dataset = dataset_of([(0, 10, 10, 60, 60), (0, 90, 90, 200, 200)], names=("a",))
    metrics = mean_average_precision(dataset, [twice])
    # Precision is 1 up to a recall of one half, then 2 of 3: 51 and 50 of the 101 recalls.
    assert metrics.map == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_ignored_boxes_count_neither_way(dataset_of, detections_of):
    dataset = dataset_of(
        [(0, 10, 10, 60, 60), (0, 100, 100, 300, 300)],
        names=("a",),
        ignored=(np.array([False, True]),),
    )
    correct, inside = (0, 0.9, 10, 10, 60, 60), (0, 0.95, 120, 120, 160, 160)
    for rows in ([correct], [inside, correct]):
        assert mean_average_precision(dataset, [detections_of(*rows)]).map == pytest.approx(1)


def test_metrics_are_undefined_without_boxes(dataset_of, detections_of):
    dataset = dataset_of([], [])
    for rows in ([], [(0, 0.9, 1, 1, 9, 9)]):
        metrics = mean_average_precision(dataset, [detections_of(*rows)] * 2)
        assert metrics.map is metrics.map50 is metrics.max_recall is None
        assert metrics.map_by_area == {"small": None, "medium": None, "large": None}
        assert metrics.of_class(0) is None


def test_metrics_of_a_class_without_boxes_are_undefined(dataset_of, detections_of):
    dataset = dataset_of([(0, 10, 10, 60, 60)])
    detections = [detections_of((0, 0.9, 10, 10, 60, 60), (1, 0.9, 1, 1, 9, 9))]
    metrics = mean_average_precision(dataset, detections)
    assert metrics.map == metrics.of_class(0) == pytest.approx(1)
    assert metrics.of_class(1) is metrics.of_class_at_50(1) is None


def test_nothing_is_printed(dataset, perfect_detections, capsys):
    mean_average_precision(dataset, perfect_detections(dataset))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("rows", "images", "message"),
    [([], 1, "each of the 3 images"), ([(7, 0.5, 0, 0, 1, 1)], 3, r"0 to 1\. Received: class 7")],
)
def test_detections_that_do_not_fit_are_refused(dataset, detections_of, rows, images, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(dataset, [detections_of(*rows)] * images)
