r"""Bundle the best classifier of a training with the package, with its model card.

python tools/bundle_classifier.py RUN NAME --data "name of the dataset" --folder IMAGES \
    --license CC0-1.0 --command "..."
"""

import argparse

import keras
from bundle import common_fields, decimal, parse_options, store

from cspdarknet.data import load_classification_dataset
from cspdarknet.evaluate import ClassificationEvaluation, evaluate_classifier
from cspdarknet.models import load_model

IMAGE_SIZES = (96, 128, 160, 192, 224)  # that are evaluated

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
    dataset = load_classification_dataset(options.folder).validation
    sizes = sorted({*IMAGE_SIZES, trained.image_size or 224})
    evaluations = {size: evaluate_classifier(trained, dataset, image_size=size) for size in sizes}
    best = max(sizes, key=lambda size: (evaluations[size].accuracy, -evaluations[size].loss))
    stored, folder = store(trained, options, image_size=best)
    result = evaluate_classifier(stored, dataset)
    (folder / "README.md").write_text(model_card(options, stored, result, evaluations))


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
            f"| {c.name} | {c.images} | {decimal(c.precision)} | {decimal(c.recall)} "
            f"| {decimal(c.f1)} |"
            for c in result.classes
        ),
        count=model.num_classes,
        rare=", ".join(f"{c.name} {c.images}" for c in rare),
    )


if __name__ == "__main__":
    main()
