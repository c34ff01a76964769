"""Publication of a preset folder on Kaggle Models or Hugging Face, with a model card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.presets.config import CONFIG, METADATA, read_config
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE

CARD = """---
library_name: keras
license: {license_id}
pipeline_tag: {pipeline_tag}
tags:
- keras
- cspdarknet
- {tag}
---

# {title}

{summary} for Keras 3 (JAX, PyTorch, TensorFlow).

| | |
|---|---|
{head}| channels of P2, P3, ... | {channels} |
| bottlenecks per stage | {depth} |
| depthwise separable | {depthwise} |
| parameters | {parameters} |
| input | RGB image, {pixels} |
| padding | {padding} |
| weights from | {source} |
| license of the weights | {license} |

## Use

```shell
pip install 'cspdarknet[jax{extra}]'
```

```python
{code}
```
"""


@dataclass(frozen=True)
class CardTexts:
    """Texts of a model card that depend on the task."""

    pipeline_tag: str
    tag: str
    summary: str
    image_size: str
    code: str


TEXTS = {
    "features": CardTexts(
        "image-feature-extraction",
        "backbone",
        "A CSPDarkNet backbone",
        "",
        """from cspdarknet.models import CSPDarkNetBackbone

backbone = CSPDarkNetBackbone.from_preset("{uri}")
features = backbone.feature_pyramid(["P3", "P4", "P5"])""",
    ),
    "classification": CardTexts(
        "image-classification",
        "classifier",
        "An image classifier with a CSPDarkNet backbone",
        "trained on images of",
        """from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier

classifier = ImageClassifier.from_preset("{uri}")
backbone = CSPDarkNetBackbone.from_preset("{uri}")  # for another task""",
    ),
    "detection": CardTexts(
        "object-detection",
        "detector",
        "A YOLOX object detector with a CSPDarkNet backbone",
        "images are letterboxed to",
        """from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector

detector = YOLOXDetector.from_preset("{uri}")
detections = detector.predict(images)  # a list of RGB arrays (height, width, 3) of 0..255
backbone = CSPDarkNetBackbone.from_preset("{uri}")  # for another task""",
    ),
}


def upload_preset(uri: str, directory: str | Path) -> None:
    """Upload a folder written by `save_to_preset`, through the hub's own client.

    A model card (`README.md`) is written into the folder first, unless there is one. Log in
    before, with `kagglehub.login()` or `huggingface_hub.login()`.

    Args:
        uri: `"kaggle://owner/model/framework/variation"` or `"hf://owner/repository"`.
        directory: the preset folder.

    Raises:
        ValueError: if the URI is of another form, or the folder is not a preset.
        ImportError: if the hub's client is missing.
    """
    path = Path(directory)
    if not uri.startswith((KAGGLE, HUGGING_FACE)):
        raise ValueError(f"`uri` must begin with 'kaggle://' or 'hf://'. Received: uri={uri!r}")
    config = ModelConfig.from_arguments(read_config(path / CONFIG)["config"])
    card = path / "README.md"
    if not card.exists():
        card.write_text(model_card(uri, config, _metadata(path)), encoding="utf-8")
    if uri.startswith(KAGGLE):
        import kagglehub

        kagglehub.model_upload(uri.removeprefix(KAGGLE), str(path))
        return
    hub = require("huggingface_hub", "hf", f"Uploading to {uri!r}")
    repository = uri.removeprefix(HUGGING_FACE).strip("/")
    hub.create_repo(repository, exist_ok=True)
    hub.upload_folder(repo_id=repository, folder_path=str(path))


def model_card(uri: str, config: ModelConfig, metadata: dict[str, Any]) -> str:
    """Return the text of a model card.

    Args:
        uri: address of the model.
        config: constructor arguments of the model.
        metadata: content of its `metadata.json`.
    """
    texts, backbone = TEXTS[config.task], config.backbone
    source = metadata.get("source", {})
    license = source.get("license", "unknown")
    return CARD.format(
        pipeline_tag=texts.pipeline_tag,
        tag=texts.tag,
        summary=texts.summary,
        code=texts.code.format(uri=uri),
        head="" if config.head is None else _head_rows(config.head, texts),
        title=uri.rpartition("/")[2],
        extra=",hf" if uri.startswith(HUGGING_FACE) else "",
        channels=backbone["stackwise_channels"],
        depth=backbone["stackwise_depth"],
        depthwise="yes" if backbone.get("use_depthwise") else "no",
        parameters=f"{metadata.get('parameter_count', 0):,}",
        pixels=_pixel_range(config),
        padding=backbone.get("padding", "same"),
        source=source.get("name", "training with this package"),
        license=license,
        license_id=license.lower() if license != "unknown" else "other",
    )


def _pixel_range(config: ModelConfig) -> str:
    # A detector takes 0..255 without rescaling, too, as YOLOX does.
    if config.backbone["include_rescaling"] or config.task == "detection":
        return "0..255"
    return "in the range that it was trained on"


def _head_rows(head: dict[str, Any], texts: CardTexts) -> str:
    names = ", ".join(head.get("class_names") or ["not named"])
    side = head.get("image_size")
    height, width = side if isinstance(side, (list, tuple)) else (side, side)
    size = f"| {texts.image_size} | {height} x {width} pixels |\n" if side else ""
    return f"| classes | {head['num_classes']}: {names} |\n{size}"


def _metadata(path: Path) -> dict[str, Any]:
    file = path / METADATA
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
