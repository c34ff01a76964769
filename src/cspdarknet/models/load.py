"""`load_model`: a model of any task from the name or path of its preset, run or weight file."""

from pathlib import Path
from typing import Any

import keras

from cspdarknet._arguments import check_choice
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.classifier import ImageClassifier
from cspdarknet.models.detector import YOLOXDetector
from cspdarknet.models.regressor import ImageRegressor
from cspdarknet.presets.config import BEST
from cspdarknet.presets.load import build
from cspdarknet.presets.sources import PresetFiles, find

CLASSES = {
    model.task: model
    for model in (CSPDarkNetBackbone, ImageClassifier, ImageRegressor, YOLOXDetector)
}
TASKS = (None, *CLASSES)


def load_model(
    source: str | Path,
    task: str | None = None,
    *,
    which: str = BEST,
    load_weights: bool | None = None,
    **arguments: Any,
) -> keras.Model:
    """Load a backbone, a classifier, a regressor or a detector.

    Args:
        source: a built-in preset's name; a preset folder; a run folder of a training; a weight
            file (`.pth`, `.onnx`, `.safetensors`, `.h5`, `.keras`, ...);
            `"kaggle://owner/model/framework/variation"`; or `"hf://owner/repository"`, also with
            `@revision` behind it.
        task: `"features"` for the backbone alone, `"classification"`, `"regression"` or
            `"detection"`; `None` for the task of the source.
        which: the model of a run folder, `"best"` or `"last"`.
        load_weights: whether to load the trained weights. `None` loads them if there are any.
        **arguments: constructor arguments that override the stored ones. With `num_classes`
            (`targets` of a regressor) the model gets a new head if the source has none for the task
            and these classes. With `levels` a detector predicts on these pyramid levels, and a
            warning says which of its weights are new. A bare `.weights.h5` of a backbone needs its
            architecture: `stackwise_channels`, `stackwise_depth` and `include_rescaling`. That of a
            detector is for `checkpoints.load_weights` into a detector of the same architecture. A
            weight file of YOLOX also takes what it does not state: `class_names`;
            `input_convention`, the images that it was trained on, `"bgr"` (YOLOX's own) or `"rgb"`
            for values of 0..255, or `"normalized"` for RGB images with the mean and standard
            deviation of ImageNet; and, if it is not an ONNX file, `activation`, one of
            `layers.ACTIVATIONS`. `channels` is the number of channels of the images, such as 1 or
            4: weights of RGB images are adapted by `checkpoints.stem.for_channels`.

    Returns:
        A `CSPDarkNetBackbone`, `ImageClassifier`, `ImageRegressor` or `YOLOXDetector`.

    Raises:
        ValueError: if the source is unknown, damaged, or a model for another task; or if an
            argument does not fit its weights.
        ConnectionError: if files must be downloaded and cannot be.

    Example:
        >>> load_model("csp_darknet_tiny_clothing").class_names[:3]
        ('dress', 'hat', 'longsleeve')
        >>> load_model("csp_darknet_tiny_clothing", "features").count_params()
        2380416
    """
    check_choice("task", task, TASKS)
    return build_model(find(source, load_weights, which), task, **arguments)


def build_model(files: PresetFiles, task: str | None = None, **arguments: Any) -> keras.Model:
    """Build a model from the files that `presets.sources.find` returned, and close them."""
    return build(CLASSES[files.task if task is None else task], files, arguments)
