r"""Bundle the best classifier of a training with the package, with its model card.

python tools/bundle_classifier.py RUN NAME --data "name of the dataset" --folder IMAGES \
    --license CC0-1.0 --command "..."
"""

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import keras

from cspdarknet.data import load_classification_dataset
from cspdarknet.evaluate import ClassificationEvaluation, evaluate_classifier
from cspdarknet.models import load_model
from cspdarknet.presets.config import RUN_SETTINGS
from cspdarknet.presets.records import BUNDLED
from cspdarknet.presets.save import save_preset

CARD = """# {name}

A classifier of {classes}, and its backbone, for Keras 3 (JAX, PyTorch, TensorFlow). The package `cspdarknet`
bundles it for demonstrations, for tests without a network, and as a start for fine-tuning where better weights
are not available.

```python
from cspdarknet import load_model

classifier = load_model("{name}")
backbone = load_model("{name}", task="features")
```

| | |
|---|---|
| classes | {names} |
| data | {data}: {train} training images, {validation} validation images |
| license of the weights | {license} |
| training | {start} |
| accuracy on the validation images | **{accuracy:.2%}** (95 % confidence interval {low:.2%} to {high:.2%}), top-5 accuracy {top5:.2%} |
| input | RGB images with values 0..255, of any size; evaluated on the center crop at {size} pixels |
| parameters | {parameters:,}, stored as float16 |
| last training | {epochs} epochs, {hours:.1f} hours on a CPU |

The epoch and the image size were chosen by the validation accuracy, so the accuracy above is slightly optimistic.

| image size | {sizes} |
|---|{rule}|
| accuracy | {accuracies} |

## Recipe

```shell
{command}
```

Phases of the last training (epochs at pixels): {phases}. Settings: {recipe} The whole recipe is in `metadata.json`.

![Learning curves](curves.png)

*The last training.*

## Classes

| class | images | precision | recall | F1 |
|---|---|---|---|---|
{table}

## Limits

- The model knows only these {count} classes: it assigns one of them to any other image too.
- As in the data, one garment should fill most of the image. People, several garments and other perspectives were
  rare in training.
- Some classes have few images ({rare}), so their metrics are uncertain.
- Accuracy differs between classes. Its dependence on anything but the class was not studied.
"""


def main() -> None:
    options = parse_options(__doc__)
    trained = load_model(options.run, "classification")
    sizes = sorted({96, 128, 160, 192, 224, trained.image_size or 224})
    evaluations = evaluate_at(trained, options.folder, sizes)
    best = max(sizes, key=lambda size: (evaluations[size].accuracy, -evaluations[size].loss))
    stored, folder = store(trained, options, image_size=best)
    result = evaluate_at(stored, options.folder, [best])[best]
    (folder / "README.md").write_text(model_card(options, stored, result, evaluations))


def parse_options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("run", type=Path, help="run folder of the training")
    parser.add_argument("name", help="name of the preset")
    parser.add_argument("--data", required=True, help="name of the dataset, for the model card")
    parser.add_argument("--folder", required=True, help="folder of the images")
    parser.add_argument("--license", required=True, help="license of the weights")
    parser.add_argument("--command", required=True, help="command that trained the model")
    parser.add_argument("--start", default="random weights", help="initial weights")
    return parser.parse_args()


def evaluate_at(
    classifier: keras.Model, folder: str, sizes: list[int]
) -> dict[int, ClassificationEvaluation]:
    """Evaluate a classifier on the validation images at several image sizes."""
    dataset = load_classification_dataset(folder).validation
    return {size: evaluate_classifier(classifier, dataset, image_size=size) for size in sizes}


def store(
    trained: keras.Model, options: argparse.Namespace, **changes: Any
) -> tuple[keras.Model, Path]:
    """Write the files of the preset, and return the stored model and its folder.

    Args:
        trained: the model.
        options: options of the command line.
        **changes: constructor arguments of the stored model in place of the trained one's.
    """
    model = type(trained).from_config({**trained.get_config(), **changes})
    model.set_weights(trained.get_weights())
    # Paths of the machine that trained it are left out.
    run = {k: v for k, v in run_settings(options).items() if k not in ("data", "preset")}
    source = {"name": options.data, "license": options.license, "run": run}
    folder = BUNDLED / options.name
    save_preset(model, folder, source, weights_dtype="float16")
    shutil.copy(options.run / "curves.png", folder / "curves.png")
    return load_model(folder), folder


def run_settings(options: argparse.Namespace) -> dict[str, Any]:
    return dict(json.loads((options.run / RUN_SETTINGS).read_text()))


def common_fields(options: argparse.Namespace, model: keras.Model) -> dict[str, Any]:
    """Return the fields of a model card that classifiers and detectors have."""
    settings = run_settings(options)
    recipe = settings["recipe"]
    with (options.run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    shown = (
        *("optimizer", "learning_rate", "weight_decay", "batch_size", "ema_decay", "clip_norm"),
        *("label_smoothing", "dropout", "batch_norm_momentum", "seed"),
    )
    return {
        "name": options.name,
        "names": ", ".join(model.class_names or ()),
        "data": options.data,
        "train": settings["splits"]["train"]["images"],
        "validation": settings["splits"]["validation"]["images"],
        "license": options.license,
        "start": options.start,
        "size": model.image_size,
        "parameters": model.count_params(),
        "epochs": len(rows),
        "hours": sum(float(row["seconds"]) for row in rows) / 3600,
        "command": options.command,
        "phases": ", ".join(f"{p['epochs']} at {p['image_size']}" for p in recipe["phases"]),
        "recipe": ", ".join(f"{key} {recipe[key]}" for key in shown if key in recipe) + ".",
    }


def model_card(
    options: argparse.Namespace,
    model: keras.Model,
    result: ClassificationEvaluation,
    evaluations: dict[int, ClassificationEvaluation],
) -> str:
    low, high = result.interval
    rare = sorted(result.classes, key=lambda c: c.images)[:3]
    return CARD.format(
        **common_fields(options, model),
        classes=f"{model.num_classes} classes",
        accuracy=result.accuracy,
        low=low,
        high=high,
        top5=result.top(5),
        sizes=" | ".join(map(str, evaluations)),
        rule="|".join("---" for _ in evaluations),
        accuracies=" | ".join(f"{e.accuracy:.2%}" for e in evaluations.values()),
        table="\n".join(
            f"| {c.name} | {c.images} | {c.precision:.3f} | {c.recall:.3f} | {c.f1:.3f} |"
            for c in result.classes
        ),
        count=model.num_classes,
        rare=", ".join(f"{c.name} {c.images}" for c in rare),
    )


if __name__ == "__main__":
    main()
