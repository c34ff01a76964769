"""The `config.json` of a preset: read without trust, and taken apart."""

import json
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
MAX_CONFIG_BYTES = 10_000_000
BACKBONE, CLASSIFIER, DETECTOR = "CSPDarkNetBackbone", "ImageClassifier", "YOLOXDetector"


def read_config(path: Path) -> dict[str, Any]:
    """Read the `config.json` of a preset whose class is one of this package or of KerasCV."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes: not a preset's config.")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{str(path.parent)!r} is no preset: it has no {CONFIG}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    arguments = config.get("config") if isinstance(config, dict) else None
    if not isinstance(arguments, dict):
        raise ValueError(f"{path} is not a preset's config: it has no 'config' entry.")
    accepted = (CLASSIFIER, DETECTOR) if "backbone" in arguments else (BACKBONE,)
    if config.get("class_name") not in accepted:
        raise ValueError(
            f"{path} describes a {config.get('class_name')!r}, not a {BACKBONE!r}, or an "
            f"{CLASSIFIER!r} or {DETECTOR!r} with a backbone."
        )
    return config


def split(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the arguments of a backbone, and those of what stands on it, if anything does.

    Raises:
        ValueError: if the backbone is not a `CSPDarkNetBackbone`.
    """
    if "backbone" not in arguments:
        return arguments, None
    head = dict(arguments)
    backbone = head.pop("backbone")
    config = backbone.get("config") if isinstance(backbone, dict) else None
    if not isinstance(config, dict) or backbone.get("class_name") != BACKBONE:
        raise ValueError(f"The model's backbone must be a {BACKBONE!r}: {str(backbone)[:200]}")
    return config, head
