"""How right does a detector count with a score threshold that was chosen on other images?

The validation images are divided into random halves. A threshold that counts right is chosen on
one half, as training does, and the detections of the other half are counted with it. The last
column is the mean error of the total of a class; the others are at the model's own threshold.

    KERAS_BACKEND=torch python benchmarks/threshold_choice.py --model yolox_nano_bccd --data DIR
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from harness.arguments import benchmark_parser
from harness.results import Row, write_results

from cspdarknet import load_model
from cspdarknet.data import load_detection_split
from cspdarknet.evaluate import DetectionEvaluation, evaluate_detector, score_threshold_of
from cspdarknet.score_thresholds import per_class


def part(evaluation: DetectionEvaluation, images: Sequence[int]) -> DetectionEvaluation:
    """Return the evaluation of some of the images."""
    detections = tuple(evaluation.detections[i] for i in images)
    return DetectionEvaluation(evaluation.dataset.take(images), detections, {})


def counts(evaluation: DetectionEvaluation, thresholds: Sequence[float]) -> np.ndarray:
    """Return the number of detections of each class."""
    limits = np.array(thresholds, "float32")
    kept = [
        item.class_id[item.confidence >= limits[item.class_id]] for item in evaluation.detections
    ]
    return np.bincount(np.concatenate(kept), minlength=len(thresholds))


def boxes(evaluation: DetectionEvaluation) -> np.ndarray:
    """Return the number of annotated objects of each class."""
    labels = np.concatenate(evaluation.dataset.labels)
    return np.bincount(labels, minlength=len(evaluation.dataset.class_names))


def errors_of_halves(evaluation: DetectionEvaluation, rounds: int) -> np.ndarray:
    """Return the relative error of the total of each class, for each round."""
    generator, num_images = np.random.default_rng(0), len(evaluation.dataset)
    num_classes = len(evaluation.dataset.class_names)
    errors = []
    for _ in range(rounds):
        order = generator.permutation(num_images).tolist()
        chosen_on = part(evaluation, sorted(order[: num_images // 2]))
        tested = part(evaluation, sorted(order[num_images // 2 :]))
        threshold = score_threshold_of(chosen_on.thresholds("count"))
        errors.append(counts(tested, per_class(threshold, num_classes)) / boxes(tested) - 1)
    return np.abs(errors)


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=100)
    parser.add_argument("--model", default="yolox_nano_bccd")
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    detector = load_model(options.model)
    split = load_detection_split(options.data, detector.class_names)
    evaluation = evaluate_detector(detector, split.dataset)
    errors = errors_of_halves(evaluation, options.rounds).mean(axis=0)
    own = per_class(detector.score_threshold, len(detector.class_names))
    rows: list[Row] = [
        {
            "class": name,
            "threshold": own[i],
            "annotated": int(boxes(evaluation)[i]),
            "detected": int(counts(evaluation, own)[i]),
            "error on other images": round(float(errors[i]), 3),
        }
        for i, name in enumerate(detector.class_names)
    ]
    for row in rows:
        print(row)
    text = f"{options.model} on {len(evaluation.dataset)} images, {options.rounds} random halves."
    write_results(options.out, "threshold_choice", text, rows)


if __name__ == "__main__":
    main()
