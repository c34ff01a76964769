"""Model cards: what a published model is, how to use it, its metrics and its training."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cspdarknet._labels import DESCRIPTIONS
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.presets.card_metadata import METRICS, UNKNOWN, card_metadata, to_yaml
from cspdarknet.presets.hugging_face import PREFIX as HUGGING_FACE
from cspdarknet.presets.run_record import RunRecord, printable

CARD = """# {title}

{summary} for Keras 3 (JAX, PyTorch, TensorFlow).

{facts}

## Use

```shell
pip install 'cspdarknet[torch{extra}]'
```

```python
{code}
```
"""
VALIDATED = """On {images:,} validation images. {chosen} chosen on the same images, so these \
metrics are slightly too good."""
SETTINGS = ("optimizer", "learning_rate", "weight_decay", "batch_size", "ema_decay", "seed")


@dataclass(frozen=True)
class CardTexts:
    """Texts of a model card that depend on the task."""

    summary: str
    image_size: str
    code: str


TEXTS = {
    "features": CardTexts(
        "A CSPDarkNet backbone",
        "",
        """from cspdarknet.models import CSPDarkNetBackbone

backbone = CSPDarkNetBackbone.from_preset("{uri}")
features = backbone.feature_pyramid(["P3", "P4", "P5"])""",
    ),
    "classification": CardTexts(
        "An image classifier with a CSPDarkNet backbone",
        "trained on images of",
        """from cspdarknet import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier

probabilities = Predictor("{uri}")("photo.jpg")
classifier = ImageClassifier.from_preset("{uri}")
backbone = CSPDarkNetBackbone.from_preset("{uri}")  # for another task""",
    ),
    "regression": CardTexts(
        "An image regressor with a CSPDarkNet backbone",
        "trained on images of",
        """from cspdarknet import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageRegressor

numbers = Predictor("{uri}")("photo.jpg")
regressor = ImageRegressor.from_preset("{uri}")
backbone = CSPDarkNetBackbone.from_preset("{uri}")  # for another task""",
    ),
    "detection": CardTexts(
        "A YOLOX object detector with a CSPDarkNet backbone",
        "images are letterboxed to",
        """from cspdarknet import Predictor
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector

detections = Predictor("{uri}")("photo.jpg")
detector = YOLOXDetector.from_preset("{uri}")
backbone = CSPDarkNetBackbone.from_preset("{uri}")  # for another task""",
    ),
}
CLASS_COLUMNS = {
    "classification": ("images", "precision", "recall", "f1"),
    "detection": ("boxes", "ap", "ap50", "precision", "recall", "f1"),
}
TARGET_COLUMNS = ("mae", "rmse", "r2", "spearman")


def model_card(
    uri: str,
    config: ModelConfig,
    metadata: Mapping[str, Any],
    record: RunRecord | None = None,
    license: str | None = None,
    examples: Sequence[str] = (),
) -> str:
    """Return the text of a model card, with metadata in the terms of Hugging Face's hub.

    Args:
        uri: address of the model.
        config: constructor arguments of the model.
        metadata: content of its `metadata.json`.
        record: the training, if it is known.
        license: license of the weights; by default the one in the metadata.
        examples: example images for the hub's widget: paths in the repository.
    """
    record = record or RunRecord()
    known_license = printable(license or metadata.get("source", {}).get("license") or UNKNOWN)
    texts = TEXTS[config.task]
    card = CARD.format(
        title=uri.rpartition("/")[2],
        summary=texts.summary,
        facts=_table(_facts(config, metadata, record, known_license)),
        code=texts.code.format(uri=uri),
        extra=",hf" if uri.startswith(HUGGING_FACE) else "",
    )
    sections = [card, *_metrics(config, record), *_training(record)]
    name = uri.rpartition("/")[2]
    head = to_yaml(card_metadata(name, config.task, known_license, record, examples))
    return "\n".join(["---", *head, "---", "", *sections])


def _facts(
    config: ModelConfig, metadata: Mapping[str, Any], record: RunRecord, license: str
) -> Iterator[tuple[object, ...]]:
    """Yield the rows about the architecture and the weights."""
    backbone, head = config.backbone, config.head
    if head is not None:
        if config.task == "regression":
            yield "targets", ", ".join(head["targets"])
        else:
            names = ", ".join(head.get("class_names") or ["not named"])
            yield "classes", f"{head['num_classes']}: {names}"
        if kind := DESCRIPTIONS.get(str(head.get("labels"))):
            yield "labels", kind
        if side := head.get("image_size"):
            height, width = side if isinstance(side, (list, tuple)) else (side, side)
            yield TEXTS[config.task].image_size, f"{height} x {width} pixels"
    trained_here = f"training with this package on {record.dataset}"
    trained = trained_here if record.dataset else "training with this package"
    yield "channels of P2, P3, ...", backbone["stackwise_channels"]
    yield "bottlenecks per stage", backbone["stackwise_depth"]
    yield "depthwise separable", "yes" if backbone.get("use_depthwise") else "no"
    yield "parameters", f"{metadata.get('parameter_count', 0):,}"
    yield "input", f"RGB image, {_pixel_range(config)}"
    yield "padding", backbone.get("padding", "same")
    yield "weights from", metadata.get("source", {}).get("name", trained)
    yield "license of the weights", license


def _pixel_range(config: ModelConfig) -> str:
    # A detector takes 0..255 without rescaling, too, as YOLOX does.
    if config.backbone["include_rescaling"] or config.task == "detection":
        return "0..255"
    return "in the range that it was trained on"


def _metrics(config: ModelConfig, record: RunRecord) -> Iterator[str]:
    """Yield the section of the metrics, if the model was evaluated."""
    evaluation = record.evaluation
    rows = [
        (name, _number(evaluation[key]))
        for key, (_, name) in METRICS.items()
        if evaluation.get(key) is not None
    ]
    if not rows:
        return
    interval = evaluation.get("accuracy_95_percent_interval")
    if interval:
        low, high = map(_number, interval)
        rows.insert(1, ("95 % confidence interval of the accuracy", f"{low} to {high}"))
    is_detector = config.task == "detection"
    chosen = "The epoch and the score threshold were" if is_detector else "The epoch was"
    images = VALIDATED.format(images=evaluation.get("images", 0), chosen=chosen)
    columns = CLASS_COLUMNS.get(config.task, ())
    classes = [
        (item.get("name", ""), *(_number(item.get(column)) for column in columns))
        for item in evaluation.get("classes", ())
    ]
    targets = [
        (item.get("name", ""), *(_number(item.get(column)) for column in TARGET_COLUMNS))
        for item in evaluation.get("targets", ())
    ]
    yield f"## Metrics\n\n{images}\n"
    yield f"{_table(rows, ('metric', 'value'))}\n"
    if targets:
        yield f"{_table(targets, ('target', *TARGET_COLUMNS))}\n"
    if classes:
        yield f"{_table(classes, ('class', *columns))}\n"


def _training(record: RunRecord) -> Iterator[str]:
    """Yield the section of the training and its dataset, with the curves, if it is known."""
    rows: list[tuple[object, ...]] = []
    if record.dataset:
        rows.append(("dataset", record.dataset))
    for split, facts in record.settings.get("splits", {}).items():
        rows.append((f"{split} images", f"{facts.get('images', 0):,}"))
    if record.settings:
        rows.append(("initial weights", record.initial_weights))
    recipe = record.settings.get("recipe", {})
    if phases := recipe.get("phases"):
        steps = (f"{phase.get('epochs')} at {phase.get('image_size')}" for phase in phases)
        rows.append(("phases of the recipe (epochs at pixels)", ", ".join(steps)))
    rows += [(name, recipe[name]) for name in SETTINGS if name in recipe]
    if record.epochs:
        rows.append(("training", f"{len(record.epochs)} epochs, {record.hours:.1f} hours"))
    if rows:
        yield f"## Training\n\n{_table(rows)}\n"
    for name, title in record.pictures.items():
        yield f"![{title}]({name})\n"


def _number(value: Any) -> str:
    """Return a metric with three decimals, a count as it is, or a dash for neither."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else "–"


def _table(rows: Iterable[Sequence[object]], header: Sequence[str] = ("", "")) -> str:
    """Return a Markdown table; without a header, one of facts."""
    head = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _cell(value: object) -> str:
    """Return a cell whose text is neither Markdown's table nor HTML."""
    return printable(str(value)).replace("|", "\\|").replace("<", "&lt;")
