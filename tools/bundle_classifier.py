"""Turn the best model of a run into a preset that comes with the package, with its model card.

python tools/box_preset.py RUN NAME --data "name of the data set" --license CC0-1.0 --command "..."
"""

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import keras

from cspdarknet.data import load_classification_dataset
from cspdarknet.evaluate import ClassificationEvaluation, evaluate
from cspdarknet.models import ImageClassifier
from cspdarknet.presets.records import BUNDLED
from cspdarknet.presets.save import save_preset

CARD = """# {name}

A classifier of {classes} for Keras 3 (JAX, PyTorch, TensorFlow), and its backbone, as they come with
the package `cspdarknet`. It is for demonstrations, for tests without a network, and as a start for
fine-tuning where better weights are out of reach.

```python
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier

classifier = ImageClassifier.from_preset("{name}")
backbone = CSPDarkNetBackbone.from_preset("{name}")
```

| | |
|---|---|
| classes | {names} |
| data | {data}: {train} photos to train on, {validation} to validate on |
| license | weights {license} |
| start | {start} |
| accuracy on the validation photos | **{accuracy:.2%}** (95 % interval {low:.2%} to {high:.2%}), top 5 {top5:.2%} |
| images | RGB, 0 to 255, any size; evaluated on the square in the middle, at {size} pixels |
| parameters | {parameters:,}, stored as float16 |
| last training | {epochs} epochs, {hours:.1f} hours on processor cores |

The epoch and the image size with the best validation accuracy were kept, so that the figure above flatters
the model a little.

| image size | {sizes} |
|---|{rule}|
| accuracy | {accuracies} |

## ClassificationRecipe

```shell
{command}
```

The last training's stages (epochs at pixels): {stages}. {recipe}
The whole recipe is in `metadata.json`.

![Learning curves](curves.png)

*The last training.*

## Classes

| class | photos | precision | recall | F1 |
|---|---|---|---|---|
{table}

## Limits

- It knows nothing but these {count} classes: of any other photo it names one of them all the same.
- One garment that fills most of the photo, as in the data. People, several garments and other
  perspectives were rare in training.
- Few photos of some classes ({rare}): the interval above is wide for them.
- Accuracies differ between classes; what they depend on besides the class was not studied.
"""


def figures_at(
    classifier: ImageClassifier, data: str, sizes: list[int]
) -> dict[int, ClassificationEvaluation]:
    photos = load_classification_dataset(data).validation
    return {size: evaluate(classifier, photos, size=size) for size in sizes}


def store(model: keras.Model, options: argparse.Namespace, settings: dict[str, Any]) -> Path:
    """Write the preset's files, with the settings of the run but for places of this machine."""
    folder: Path = BUNDLED / options.name
    run = {name: value for name, value in settings.items() if name not in ("data", "preset")}
    source = {"name": options.data, "license": options.license, "run": run}
    save_preset(model, folder, source, weights_dtype="float16")
    shutil.copy(options.run / "curves.png", folder / "curves.png")
    return folder


def options_of(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True)
    parser.add_argument("--folder", required=True, help="where the photos are")
    parser.add_argument("--license", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--start", default="random weights")
    return parser.parse_args()


def main() -> None:
    options = options_of(__doc__)
    trained = ImageClassifier.from_preset(options.run / "best")
    sizes = [96, 128, 160, trained.image_size or 224, 192, 224]
    found = figures_at(trained, options.folder, sorted(set(sizes)))
    size = max(found, key=lambda s: (found[s].accuracy, -found[s].loss))
    classifier = ImageClassifier.from_config({**trained.get_config(), "image_size": size})
    classifier.set_weights(trained.get_weights())

    settings = json.loads((options.run / "run.json").read_text())
    folder = store(classifier, options, settings)
    stored = ImageClassifier.from_preset(folder)
    result = figures_at(stored, options.folder, [size])[size]
    (folder / "README.md").write_text(card(options, settings, stored, result, found))


def card(
    options: argparse.Namespace,
    settings: dict,  # type: ignore[type-arg]
    model: ImageClassifier,
    result: ClassificationEvaluation,
    found: dict[int, ClassificationEvaluation],
) -> str:
    recipe = settings["recipe"]
    with (options.run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    low, high = result.interval
    rare = sorted(result.classes, key=lambda c: c.photos)[:3]
    kept = [
        *("optimizer", "learning_rate", "weight_decay", "batch_size", "ema_decay", "clip_norm"),
        *("label_smoothing", "dropout", "batch_norm_momentum", "seed"),
    ]
    return CARD.format(
        name=options.name,
        classes=f"{model.num_classes} classes",
        names=", ".join(model.class_names or ()),
        data=options.data,
        train=settings["photos"]["train"]["count"],
        validation=len(result.photos),
        license=options.license,
        start=options.start,
        accuracy=result.accuracy,
        low=low,
        high=high,
        top5=result.top(5),
        size=model.image_size,
        parameters=model.count_params(),
        epochs=len(rows),
        hours=sum(float(row["seconds"]) for row in rows) / 3600,
        sizes=" | ".join(map(str, found)),
        rule="|".join("---" for _ in found),
        accuracies=" | ".join(f"{e.accuracy:.2%}" for e in found.values()),
        command=options.command,
        stages=", ".join(f"{s['epochs']} at {s['image_size']}" for s in recipe["stages"]),
        recipe=", ".join(f"{name} {recipe[name]}" for name in kept) + ".",
        table="\n".join(
            f"| {c.name} | {c.photos} | {c.precision:.3f} | {c.recall:.3f} | {c.f1:.3f} |"
            for c in result.classes
        ),
        count=model.num_classes,
        rare=", ".join(f"{c.name} {c.photos}" for c in rare),
    )


if __name__ == "__main__":
    main()
