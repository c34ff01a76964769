r"""Bundle the best detector of a training with the package, with its model card.

python tools/bundle_detector.py RUN NAME --data "name of the dataset" --folder IMAGES \
    --license MIT --command "..."
"""

import argparse

import keras
import numpy as np
from bundle import common_fields, decimal, parse_options, store
from PIL import Image

from cspdarknet.data import DetectionDataset, load_detection_dataset
from cspdarknet.evaluate import DetectionEvaluation, evaluate_detector, score_threshold_of
from cspdarknet.images import read_image
from cspdarknet.models import load_model
from cspdarknet.score_thresholds import ScoreThreshold, per_class
from cspdarknet.visualize import draw_boxes

CARD = """# {name}

A YOLOX-nano that detects {names} in images of blood smears, and its backbone, for Keras 3 (JAX, PyTorch, TensorFlow).
The package `cspdarknet` bundles it for demonstrations, for tests without a network, and as a start for fine-tuning
where better weights are not available. It is not a medical device.

```shell
cspdarknet detect {name} smear.jpg --out boxes
```

```python
from cspdarknet import load_model

detector = load_model("{name}")
backbone = load_model("{name}", task="features")
```

| | |
|---|---|
| classes | {names} |
| data | {data}: {train} training images, {validation} validation images |
| license of the weights | {license} |
| initial weights | {start} |
| mAP@0.5:0.95 on the validation images | **{map}** |
| mAP@0.5, mAP@0.75 | **{map50}**, {map75} |
| 95 % confidence interval of mAP@0.5 (bootstrap over images) | {low:.3f} to {high:.3f} |
| score threshold | {threshold}: as many detections as annotated objects in the validation images |
| input | RGB images with values 0..255, of any size, letterboxed to {size} pixels |
| parameters | {parameters:,}, stored as float16 |
| last training | {epochs} epochs, {hours:.1f} hours on one CPU core |

The epoch and the score threshold were chosen on the same validation images, so the metrics are slightly optimistic.

| image size | {sizes} |
|---|{rule}|
| mAP@0.5:0.95 | {maps} |
| mAP@0.5 | {maps50} |

![A blood smear with the detected boxes](example.jpg)

*Detections in a validation image.*

## Recipe

```shell
{command}
```

Phases of the last training (epochs at pixels): {phases}. Settings: {recipe} Augmentation: mosaic, shifts, color changes, horizontal and vertical
flips. The whole recipe is in `metadata.json`.

![Learning curves](curves.png)

## Classes

| class | boxes | AP@0.5:0.95 | AP@0.5 | detections | precision | recall |
|---|---|---|---|---|---|---|
{table}

Detections, precision and recall are those at the score threshold.

## Counting

The total is right because missed objects and false detections cancel out: see the recall above. The mean error of the
count of one image: {image_errors}.

The threshold was chosen on the validation images. Chosen on a random half of them and tested on the other half, the
total has a mean error of: {mean_errors}. In 95 of 100 such halves it is at most: {high_errors}. One threshold for all
classes was as good there as one for each class, so the model has one.

## Limits

- The model knows one magnification, one stain and one camera: those of its data.
- The annotations leave out some cells at the borders and in clusters, so some correct detections of red cells count
  as false positives.
- Some images have nearly every red cell annotated, others only a part, so no threshold counts right in both: where
  all cells are to be found, a lower one is better, such as `--score-threshold RBC=0.28`.
- Platelets are few ({rare}), so their metrics are uncertain.
"""


def main() -> None:
    options = parse_options(__doc__)
    trained = load_model(options.run, "detection")
    dataset = load_detection_dataset(options.folder, on_problem="fix").validation
    best = evaluate_detector(trained, dataset)
    thresholds = best.thresholds("count")
    stored, folder = store(trained, options, score_threshold=score_threshold_of(thresholds))
    sizes = sorted({352, 480, stored.image_size})
    evaluations = {size: evaluate_detector(stored, dataset, image_size=size) for size in sizes}
    (folder / "README.md").write_text(model_card(options, stored, evaluations))
    example = draw_example(dataset, evaluations[stored.image_size])
    example.save(folder / "example.jpg", quality=85)


def draw_example(dataset: DetectionDataset, result: DetectionEvaluation) -> Image.Image:
    """Draw the detections of the image on which most classes were detected."""
    kept = result.kept
    index = max(range(len(dataset)), key=lambda i: (len(set(kept[i].class_id.tolist())), -i))
    return draw_boxes(read_image(dataset.paths[index]), kept[index])


def confidence_interval(result: DetectionEvaluation, samples: int = 100) -> tuple[float, float]:
    """Return the 95 % confidence interval of mAP@0.5, by bootstrap over the images."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(samples):
        indices = rng.integers(0, len(result.dataset), len(result.dataset))
        sample = DetectionEvaluation(
            result.dataset.take(indices), tuple(result.detections[i] for i in indices), {}
        )
        values.append(sample.average_precision.map50 or 0.0)
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def count_errors(result: DetectionEvaluation, samples: int = 100) -> dict[str, str]:
    """Return the errors of the counts: of one image, and of the total of images not chosen on."""
    names, size = result.dataset.class_names, len(result.dataset)
    boxes = np.array([np.bincount(x, minlength=len(names)) for x in result.dataset.labels])

    def counts(threshold: ScoreThreshold) -> np.ndarray:
        limits = np.array(per_class(threshold, len(names)), "float32")
        kept = [d[d.confidence >= limits[d.class_id]] for d in result.detections]
        return np.array([d.counts(len(names)) for d in kept])

    rng, errors = np.random.default_rng(0), []
    for _ in range(samples):
        order = rng.permutation(size)
        half, other = np.sort(order[: size // 2]), order[size // 2 :]
        chosen_on = DetectionEvaluation(
            result.dataset.take(half), tuple(result.detections[i] for i in half), {}
        )
        found = counts(score_threshold_of(chosen_on.thresholds("count")))
        errors.append(np.abs(found[other].sum(axis=0) / boxes[other].sum(axis=0) - 1))
    of_images = np.abs(counts(score_threshold_of(result.thresholds("count"))) - boxes).mean(axis=0)

    def percent(values: np.ndarray) -> str:
        return ", ".join(f"{n} {100 * v:.0f} %" for n, v in zip(names, values, strict=True))

    return {
        "image_errors": ", ".join(f"{n} {v:.1f}" for n, v in zip(names, of_images, strict=True)),
        "mean_errors": percent(np.mean(errors, axis=0)),
        "high_errors": percent(np.percentile(errors, 95, axis=0)),
    }


def model_card(
    options: argparse.Namespace, model: keras.Model, evaluations: dict[int, DetectionEvaluation]
) -> str:
    result = evaluations[model.image_size]
    low, high = confidence_interval(result)
    metrics = result.average_precision
    return CARD.format(
        **common_fields(options, model),
        map=decimal(metrics.map),
        map50=decimal(metrics.map50),
        map75=decimal(metrics.map75),
        low=low,
        high=high,
        threshold=model.score_threshold,
        sizes=" | ".join(map(str, evaluations)),
        rule="|".join("---" for _ in evaluations),
        maps=" | ".join(decimal(e.average_precision.map) for e in evaluations.values()),
        maps50=" | ".join(decimal(e.average_precision.map50) for e in evaluations.values()),
        **count_errors(result),
        table="\n".join(
            f"| {c.name} | {c.boxes} | {decimal(c.ap)} | {decimal(c.ap50)} "
            f"| {at.detections} | {decimal(at.precision)} | {decimal(at.recall)} |"
            for c, at in zip(result.classes, result.thresholds("count"), strict=True)
        ),
        rare=f"{min(c.boxes for c in result.classes)} in the validation images",
    )


if __name__ == "__main__":
    main()
