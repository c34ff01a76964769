"""What is deployed of a model: one Keras graph from images to results, for every format."""

from dataclasses import replace
from typing import Any

import keras

from cspdarknet.export.program import put_together, take_apart
from cspdarknet.model_info import ModelInfo
from cspdarknet.models import ImageClassifier, YOLOXDetector
from cspdarknet.models.head_arguments import check_count
from cspdarknet.yolox.letterbox_layer import Letterbox
from cspdarknet.yolox.postprocess import DecodeBoxes, NonMaxSuppression, RestoreBoxes

INPUTS = ("float32", "uint8")
OUTPUTS = ("objects", "raw")
HALF = ("bfloat16", "float16")
LARGEST_IMAGE = 2**15
TASKS = {"features": "features", "classes": "probabilities"}


def inference_graph(
    model: keras.Model,
    *,
    inputs: str = "float32",
    image_size: int | None = None,
    letterbox: bool = False,
    outputs: str = "objects",
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
) -> tuple[keras.Model, ModelInfo]:
    """Return the graph that is deployed, and its description.

    Args:
        model: a backbone, its `feature_pyramid()`, a classifier, a detector, or another functional
            Keras model with one image input.
        inputs: dtype of the images, `"float32"` or `"uint8"`.
        image_size: side of the images in pixels; `None` leaves it open, but for a detector with
            `outputs="objects"`, which has one of its own.
        letterbox: of a detector: take photos of any size and letterbox them; boxes are then in
            pixels of the photo.
        outputs: of a detector: `"objects"`, decoded and suppressed, or `"raw"`, what the head says.
        score_threshold: of a detector, in place of the model's.
        iou_threshold: likewise.
        max_detections: likewise.

    Returns:
        A functional `keras.Model` from `images` to a dict of outputs, in float32 if the model is
        in half or mixed precision, and the `ModelInfo`.

    Raises:
        ValueError: if an argument does not fit the model.
    """
    if inputs not in INPUTS:
        raise ValueError(f"`inputs` must be one of {INPUTS}. Received: inputs={inputs!r}")
    if outputs not in OUTPUTS:
        raise ValueError(f"`outputs` must be one of {OUTPUTS}. Received: outputs={outputs!r}")
    if not isinstance(model, keras.Model):
        raise ValueError(
            "The model must be a Keras model: load a preset with `from_preset`. "
            f"Received: {model!r}"
        )
    if image_size is not None:
        image_size = check_count("image_size", image_size, LARGEST_IMAGE)
    if len(model.inputs) != 1:
        raise ValueError(f"The model must have one input. Received: {len(model.inputs)} inputs")
    detects = isinstance(model, YOLOXDetector) and outputs == "objects"
    settings = (score_threshold, iou_threshold, max_detections)
    if not detects and (letterbox or any(setting is not None for setting in settings)):
        raise ValueError(
            "`letterbox`, `score_threshold`, `iou_threshold` and `max_detections` are for a "
            f"detector with outputs='objects'. Received: {type(model).__name__}, {outputs!r}"
        )
    if detects:
        # Checks size and thresholds, too.
        suppress = model.inference_model(*settings, image_size=image_size).get_layer("suppress")
        image_size = image_size or model.image_size
    description = ModelInfo(
        task=_task(model, detects),
        class_names=getattr(model, "class_names", None),
        image_size=image_size or getattr(model, "image_size", None),
        inputs=inputs,
        letterbox=letterbox,
        data_format=_data_format(model),
    )
    images = _images(model, inputs, None if letterbox else image_size, description.data_format)
    if description.image_size is None:
        description = replace(description, image_size=_fixed_side(images, description.data_format))
    x = images if inputs == "float32" else keras.layers.Rescaling(1.0, dtype="float32")(images)
    if detects:
        found = _objects(model, x, suppress, image_size, letterbox)
    else:
        found = model(x)
        if description.task == "classes" and model.activation in (None, "linear"):
            found = keras.layers.Activation("softmax", dtype="float32")(found)
        if isinstance(found, (list, tuple)):
            raise ValueError("The model must give one tensor or a dict. Received: a list of them")
        if not isinstance(found, dict):
            found = {TASKS[description.task]: found}
    graph = keras.Model(images, found, name=model.name)
    if any(layer.compute_dtype in HALF for layer in model._flatten_layers()):
        # Of half precision it is the training that gains; processors convert each number.
        graph = put_together(take_apart(graph), model.name, dtype="float32")
    return graph, description


def _task(model: keras.Model, detects: bool) -> str:
    if isinstance(model, YOLOXDetector):
        return "boxes" if detects else "raw"
    return "classes" if isinstance(model, ImageClassifier) else "features"


def _data_format(model: keras.Model) -> str:
    backbone = getattr(model, "backbone", model)
    channels = model.inputs[0].shape
    guess = "channels_first" if channels[1] == 3 and channels[-1] != 3 else "channels_last"
    return str(getattr(backbone, "data_format", guess))


def _images(model: keras.Model, inputs: str, side: int | None, data_format: str) -> Any:
    _, *shape = model.inputs[0].shape
    places = (0, 1) if data_format == "channels_last" else (1, 2)
    if side is not None:
        for place in places:
            shape[place] = side
    return keras.Input(tuple(shape), name="images", dtype=inputs)


def _fixed_side(images: Any, data_format: str) -> int | None:
    """Return the side of the squares that a model is built for, if it is built for one size."""
    height, width = images.shape[1:3] if data_format == "channels_last" else images.shape[2:4]
    return height if height == width else None


def _objects(model: YOLOXDetector, x: Any, suppress: Any, size: int | None, letterbox: bool) -> Any:
    """Go on from images, or photos of any size, to objects."""
    assert size is not None
    if letterbox:
        x, image_sizes = Letterbox(size, model.backbone.data_format, dtype="float32")(x)
    boxes, scores = DecodeBoxes(size, model.strides, dtype="float32")(model(x))
    found = NonMaxSuppression.from_config(suppress.get_config())(boxes, scores)
    if letterbox:
        found["boxes"] = RestoreBoxes(size, "xyxy", dtype="float32")(found["boxes"], image_sizes)
    return found
