r"""Turn the best detector of a run into a preset that comes with the package, with its model card.

python tools/box_detector.py RUN NAME --data "name of the data set" --folder PHOTOS \
    --license MIT --command "..."
"""

import argparse
import csv
import json
from typing import Any

from box_preset import options_of, store
from PIL import Image

from cspdarknet.data import DetectionDataset, load_detection_dataset
from cspdarknet.evaluate import DetectionEvaluation, evaluate_detector
from cspdarknet.images import read_image
from cspdarknet.models import YOLOXDetector
from cspdarknet.visualize import draw_boxes

CARD = """# {name}

A YOLOX-nano that finds {names} in photos of blood smears, for Keras 3 (JAX, PyTorch, TensorFlow), and its
backbone, as they come with the package `cspdarknet`. It is for demonstrations, for tests without a
network, and as a start for fine-tuning where better weights are out of reach. It is no medical device.

```shell
cspdarknet detect {name} smear.jpg --out found
```

```python
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector

detector = YOLOXDetector.from_preset("{name}")
backbone = CSPDarkNetBackbone.from_preset("{name}")
```

| | |
|---|---|
| classes | {names} |
| data | {data}: {train} photos to train on, {validation} to validate on |
| license | weights {license} |
| start | {start} |
| mAP@0.5:0.95 on the validation photos | **{map:.3f}** |
| mAP@0.5, mAP@0.75 | **{map50:.3f}**, {map75:.3f} |
| 95 % interval of mAP@0.5, photos drawn again and again | {low:.3f} to {high:.3f} |
| score threshold | {threshold:.2f}, that of the best mean F1 on the validation photos |
| images | RGB, 0 to 255, any size; letterboxed to {size} pixels |
| parameters | {parameters:,}, stored as float16 |
| training | {epochs} epochs, {hours:.1f} hours on one processor core |

The epoch with the best validation mAP and the score threshold were chosen on the same validation photos, so that
the figures flatter the model a little.

| image size | {sizes} |
|---|{rule}|
| mAP@0.5:0.95 | {maps} |
| mAP@0.5 | {maps50} |

![A smear with the boxes that it finds](example.jpg)

*A validation photo.*

## ClassificationRecipe

```shell
{command}
```

Stages (epochs at pixels): {stages}. {recipe} Mosaic, changes of color, flips both ways.
The whole recipe is in `metadata.json`.

![Learning curves](curves.png)

## Classes

| class | boxes | AP@0.5:0.95 | AP@0.5 | precision | recall |
|---|---|---|---|---|---|
{table}

Precision and recall are those at the score threshold.

## Limits

- It knows one magnification, one stain and one camera: that of its data.
- The data leave out some cells at the borders and in heaps, so that precision and recall of red cells count some
  right boxes as wrong.
- Platelets are few ({rare}): their figures are uncertain.
"""


def main() -> None:
    options = options_of(__doc__)
    trained = YOLOXDetector.from_preset(options.run / "best")
    photos = load_detection_dataset(options.folder, on_problem="fix").validation
    best = evaluate_detector(trained, photos)
    config = {**trained.get_config(), "score_threshold": round(best.score_threshold, 2)}
    detector = YOLOXDetector.from_config(config)
    detector.set_weights(trained.get_weights())
    settings = json.loads((options.run / "run.json").read_text())
    folder = store(detector, options, settings)
    stored = YOLOXDetector.from_preset(folder)
    sizes = sorted({352, 480, stored.image_size})
    found = {size: evaluate_detector(stored, photos, image_size=size) for size in sizes}
    (folder / "README.md").write_text(card(options, settings, stored, found))
    draw_example(photos, found[stored.image_size]).save(folder / "example.jpg", quality=85)


def draw_example(photos: DetectionDataset, result: DetectionEvaluation) -> Image.Image:
    """Draw a photo on which all classes were found."""
    kept = result.kept
    place = max(range(len(photos)), key=lambda i: (len(set(kept[i].classes.tolist())), -i))
    return draw_boxes(read_image(photos.paths[place]), kept[place], photos.class_names)


def interval(result: DetectionEvaluation, draws: int = 100) -> tuple[float, float]:
    """Return the 95 % interval of mAP@0.5 over photos drawn with replacement."""
    import numpy as np

    rng = np.random.default_rng(0)
    values = []
    for _ in range(draws):
        picked = rng.integers(0, len(result.photos), len(result.photos))
        drawn = DetectionEvaluation(
            result.photos.take(picked), tuple(result.detections[i] for i in picked), {}
        )
        values.append(drawn.average_precision.map50 or 0.0)
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def card(
    options: argparse.Namespace,
    settings: dict[str, Any],
    model: YOLOXDetector,
    found: dict[int, DetectionEvaluation],
) -> str:
    recipe, result = settings["recipe"], found[model.image_size]
    with (options.run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    low, high = interval(result)
    figures = result.average_precision
    kept = [
        *("optimizer", "learning_rate", "weight_decay", "batch_size", "ema_decay", "clip_norm"),
        *("batch_norm_momentum", "seed"),
    ]
    return CARD.format(
        name=options.name,
        names=", ".join(model.class_names or ()),
        data=options.data,
        train=settings["photos"]["train"]["count"],
        validation=len(result.photos),
        license=options.license,
        start=options.start,
        map=figures.map,
        map50=figures.map50,
        map75=figures.map75,
        low=low,
        high=high,
        threshold=model.score_threshold,
        size=model.image_size,
        parameters=model.count_params(),
        epochs=len(rows),
        hours=sum(float(row["seconds"]) for row in rows) / 3600,
        sizes=" | ".join(map(str, found)),
        rule="|".join("---" for _ in found),
        maps=" | ".join(f"{e.average_precision.map:.3f}" for e in found.values()),
        maps50=" | ".join(f"{e.average_precision.map50:.3f}" for e in found.values()),
        command=options.command,
        stages=", ".join(f"{s['epochs']} at {s['image_size']}" for s in recipe["stages"]),
        recipe=", ".join(f"{name} {recipe[name]}" for name in kept) + ".",
        table="\n".join(
            f"| {c.name} | {c.boxes} | {c.ap:.3f} | {c.ap50:.3f} | {c.precision:.3f} "
            f"| {c.recall:.3f} |"
            for c in result.classes
        ),
        rare=f"{min(c.boxes for c in result.classes)} in the validation photos",
    )


if __name__ == "__main__":
    main()
