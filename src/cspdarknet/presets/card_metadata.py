"""Metadata of a model card, in the terms of Hugging Face's hub, as YAML."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cspdarknet.presets.run_record import RunRecord

# The hub has no task of numbers from images.
PIPELINE_TAGS = {
    "features": "image-feature-extraction",
    "classification": "image-classification",
    "detection": "object-detection",
}
TAGS = {
    "features": ["backbone"],
    "classification": ["classifier"],
    "detection": ["detector", "yolox"],
    "regression": ["regressor", "image-regression"],
}
# Metrics of `evaluation.json`: the type at the hub, and the name on the page.
METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "top_5": ("accuracy", "Top-5 accuracy"),
    "mean_average_precision": ("map", "mAP"),
    "micro_f1": ("f1", "Micro F1"),
    "macro_f1": ("f1", "Macro F1"),
    "quadratic_weighted_kappa": ("cohen_kappa", "Quadratic weighted kappa"),
    "r2": ("r_squared", "R2"),
    "map": ("map", "mAP@0.5:0.95"),
    "map50": ("map", "mAP@0.5"),
    "map75": ("map", "mAP@0.75"),
}
UNKNOWN = "unknown"
# Identifiers that the hub knows; other licenses are stated by their name.
LICENSES = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 creativeml-openrail-m ecl-2.0 epl-1.0 epl-2.0 eupl-1.1
    eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa
    odbl odc-by ofl-1.1 openrail osl-3.0 pddl postgresql unknown unlicense wtfpl zlib
"""


def card_metadata(
    name: str, task: str, license: str, record: RunRecord, examples: Sequence[str]
) -> dict[str, Any]:
    """Return the metadata of a model card.

    Args:
        name: name of the model.
        task: `"features"`, `"classification"`, `"detection"` or `"regression"`.
        license: license of the weights, as an SPDX identifier or another text.
        record: the training.
        examples: example images for the widget: paths in the repository.
    """
    metrics = _metrics(record.evaluation)
    metadata = {
        "library_name": "keras",
        **_license(license),
        "pipeline_tag": PIPELINE_TAGS.get(task),
        "tags": ["keras", "cspdarknet", *TAGS[task]],
        "datasets": [record.hub_dataset] if record.hub_dataset else [],
        "metrics": list(dict.fromkeys(metric["type"] for metric in metrics)),
        "widget": [
            {"src": path, "example_title": re.sub(r".*/|\.\w+$", "", path)} for path in examples
        ],
        "model-index": _model_index(name, task, record, metrics),
    }
    return {key: value for key, value in metadata.items() if value}


def _license(text: str) -> dict[str, str]:
    identifier = re.sub(r"-(only|or-later)$", "", text.lower())
    if identifier in LICENSES.split():
        return {"license": identifier}
    name = re.sub(r"[^\w.]+", "-", text.lower()).strip("-")
    return {"license": "other", "license_name": name or UNKNOWN}


def _metrics(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics that an evaluation has, as the hub's model index has them."""
    return [
        {"type": kind, "value": round(evaluation[key], 4), "name": name}
        for key, (kind, name) in METRICS.items()
        if isinstance(evaluation.get(key), (int, float)) and math.isfinite(evaluation[key])
    ]


def _model_index(
    name: str, task: str, record: RunRecord, metrics: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    if not metrics:
        return []
    dataset = record.dataset or "own data"
    kind = PIPELINE_TAGS.get(task, f"image-{task}")
    result = {
        "task": {"type": kind, "name": kind.replace("-", " ")},
        "dataset": {
            "type": record.hub_dataset or re.sub(r"[^\w.-]+", "-", dataset),
            "name": dataset,
            "split": "validation",
        },
        "metrics": metrics,
    }
    return [{"name": name, "results": [result]}]


def to_yaml(value: Any) -> list[str]:
    r"""Return the lines of a mapping or list in YAML's block style, with all texts quoted.

    Example:
        >>> print(*to_yaml({"tags": ["keras"], "model-index": [{"name": "net"}]}), sep="\n")
        tags:
          - "keras"
        model-index:
          - name: "net"
    """
    if isinstance(value, Mapping):
        lines = []
        for key, item in value.items():
            if isinstance(item, (Mapping, list)):
                lines += [f"{key}:", *(f"  {line}" for line in to_yaml(item))]
            else:
                lines.append(f"{key}: {json.dumps(item, ensure_ascii=False)}")
        return lines
    if isinstance(value, list):
        lines = []
        for item in value:
            first, *rest = to_yaml(item)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
        return lines
    return [json.dumps(value, ensure_ascii=False)]
