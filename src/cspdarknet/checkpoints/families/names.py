"""Recognition of other networks by the names of their weights."""

import re
from collections.abc import Iterable

from cspdarknet.checkpoints.weight_file import Kind

EXPORTED = "run it there, or with ONNX Runtime after its own export to ONNX"
MAX_NAMES = 20_000


def _network(name: str, family: str, remedy: str = "") -> Kind:
    return Kind(
        f"a file with weights of {name}, not of a CSPDarkNet of this package",
        remedy or f"use {family} for it; {EXPORTED}",
        family,
    )


OTHER = _network("another network", "the software that wrote it")
# A pattern that some name matches, and the kind of the file; the first that matches counts.
NETWORKS = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (
            r"bbox_head\.multi_level_conv_cls\.",
            _network("mmdetection's YOLOX", "mmdetection"),
        ),
        (r"bbox_head\.head_module\.", _network("a detector of MMYOLO", "MMYOLO")),
        (r"(bbox_head|roi_head|rpn_head)\.", _network("a detector of mmdetection", "mmdetection")),
        (
            r"backbone\.backbone\.stem\.0\.conv\.weight$",
            _network("YOLOX with the backbone Darknet-53 (yolox_darknet)", "YOLOX"),
        ),
        (
            r"model\.\d+\.(dfl\.conv|cv2\.0\.0\.conv|one2one_cv2\.0)\.",
            _network("an Ultralytics YOLOv8 or later", "Ultralytics"),
        ),
        (
            r"model\.\d+\.(m\.[0-2]\.weight|anchors|anchor_grid)$",
            _network("a YOLOv5 or YOLOv7", "Ultralytics"),
        ),
        (
            r"stages\.\d+\.conv_transition",
            _network("timm's CSPDarkNet without its stem", "timm", "pass the whole file"),
        ),
        (r"_modules_list\.\d+\.", _network("a model of super-gradients", "super-gradients")),
        (r"(roi_heads|backbone\.body)\.", _network("a detector of torchvision", "torchvision")),
        (
            r"(^|\.)layer1\.0\.conv1\.weight$",
            _network("a ResNet of torchvision or timm", "torchvision or timm"),
        ),
        (r"(^|\.)features\.\d+\.", _network("a classifier of torchvision", "torchvision")),
        (r"(^|\.)blocks\.0\.attn\.qkv\.", _network("a vision transformer of timm", "timm")),
        (r"(^|\.)stages\.\d+\.blocks\.", _network("a model of timm", "timm")),
        (r"module_list\.\d+\.", _network("a YOLOv3 or YOLOv4 in PyTorch", "its own software")),
        (
            r"encoder\.layers?\.\d+\.",
            _network("a transformer", "transformers or its own software"),
        ),
    )
)


def recognize(names: Iterable[str]) -> Kind | None:
    """Return the kind of a file with weights of these names, if it is known."""
    listed = [name[:200] for _, name in zip(range(MAX_NAMES), names, strict=False)]
    for pattern, kind in NETWORKS:
        if any(pattern.search(name) for name in listed):
            return kind
    return None
