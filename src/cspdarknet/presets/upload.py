"""Publish a preset directory on Kaggle Models or Hugging Face, with a model card."""

import json
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.presets.config import CONFIG, METADATA, read_config, split
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE

CARD = """---
library_name: keras
license: {license_id}
pipeline_tag: {task}
tags:
- keras
- cspdarknet
- {kind}
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
{use}
```
"""
BACKBONE = {
    "task": "image-feature-extraction",
    "kind": "backbone",
    "summary": "A CSPDarkNet backbone",
    "use": """from cspdarknet.models import CSPDarkNetBackbone

backbone = CSPDarkNetBackbone.from_preset("{uri}")
features = backbone.feature_pyramid(["P3", "P4", "P5"])""",
}
CLASSIFIER = {
    "task": "image-classification",
    "kind": "classifier",
    "summary": "An image classifier with a CSPDarkNet backbone",
    "use": """from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier

classifier = ImageClassifier.from_preset("{uri}")
backbone = CSPDarkNetBackbone.from_preset("{uri}")  # for another task""",
}


def upload_preset(uri: str, directory: str | Path) -> None:
    """Upload a directory written by `save_to_preset`, through the hub's own client.

    A model card (`README.md`) is written into the directory first, unless there is one. Log in
    before, with `kagglehub.login()` or `huggingface_hub.login()`.

    Args:
        uri: `"kaggle://owner/model/framework/variation"` or `"hf://owner/repository"`.
        directory: the preset directory.

    Raises:
        ValueError: if the URI is of another form, or the directory is no preset.
        ImportError: if the hub's client is missing.
    """
    path = Path(directory)
    if not uri.startswith((KAGGLE, HUGGING_FACE)):
        raise ValueError(f"A preset goes to 'kaggle://...' or 'hf://...'. Received: {uri!r}")
    config = read_config(path / CONFIG)
    card = path / "README.md"
    if not card.exists():
        card.write_text(model_card(uri, config["config"], _metadata(path)), encoding="utf-8")
    if uri.startswith(KAGGLE):
        import kagglehub

        kagglehub.model_upload(uri.removeprefix(KAGGLE), str(path))
        return
    hub = require("huggingface_hub", "hf", f"Uploading to {uri!r}")
    repository = uri.removeprefix(HUGGING_FACE).strip("/")
    hub.create_repo(repository, exist_ok=True)
    hub.upload_folder(repo_id=repository, folder_path=str(path))


def model_card(uri: str, arguments: dict[str, Any], metadata: dict[str, Any]) -> str:
    """Write the text of a model card from a preset's constructor arguments and metadata."""
    config, head = split(arguments)
    source = metadata.get("source", {})
    license = source.get("license", "unknown")
    texts = BACKBONE if head is None else CLASSIFIER
    return CARD.format(
        **{**texts, "use": texts["use"].format(uri=uri)},
        head="" if head is None else _head_rows(head),
        title=uri.rpartition("/")[2],
        extra=",hf" if uri.startswith(HUGGING_FACE) else "",
        channels=config["stackwise_channels"],
        depth=config["stackwise_depth"],
        depthwise="yes" if config.get("use_depthwise") else "no",
        parameters=f"{metadata.get('parameter_count', 0):,}",
        pixels="0..255" if config["include_rescaling"] else "in the range that it was trained on",
        padding=config.get("padding", "same"),
        source=source.get("name", "training with this package"),
        license=license,
        license_id=license.lower() if license != "unknown" else "other",
    )


def _head_rows(head: dict[str, Any]) -> str:
    names = ", ".join(head.get("class_names") or ["not named"])
    side = head.get("image_size")
    size = f"| trained on images of | {side} x {side} pixels |\n" if side else ""
    return f"| classes | {head['num_classes']}: {names} |\n{size}"


def _metadata(path: Path) -> dict[str, Any]:
    file = path / METADATA
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
