"""The inference graph: one Keras model from images to results, from which all formats are made."""

from dataclasses import replace
from typing import Any

import keras

from cspdarknet._arguments import check_choice
from cspdarknet._image_size import ImageSize, check_image_size, of_sides, sides
from cspdarknet._labels import SINGLE, probability_activation
from cspdarknet.checkpoints.architecture import task_of
from cspdarknet.detections import DetectionOptions, check_options
from cspdarknet.export.program import model_from_program, program_from_model
from cspdarknet.model_info import ModelInfo, numbered_names
from cspdarknet.models.detection_graph import detection_outputs
from cspdarknet.yolox.letterbox_layer import Letterbox

INPUTS = ("uint8", "float32")
HALF_PRECISIONS = ("bfloat16", "float16")
RGB = 3  # channels
OUTPUT_NAMES = {
    "features": "features",
    "classification": "probabilities",
    "regression": "targets",
}


def inference_graph(
    model: keras.Model,
    *,
    inputs: str = "uint8",
    image_size: ImageSize | None = None,
    letterbox: bool = False,
    raw_outputs: bool = False,
    options: DetectionOptions | None = None,
) -> tuple[keras.Model, ModelInfo]:
    """Return the inference graph of a model, and its `ModelInfo`.

    Args:
        model: a backbone, its `feature_pyramid()`, a classifier, a detector, or another functional
            Keras model with one image input.
        inputs: dtype of the images, `"uint8"` or `"float32"`.
        image_size: side of the images in pixels, or a pair (height, width); `None` for the model's
            own, or for images of any size if it has none.
        letterbox: detectors: take images of any size and letterbox them in the graph; boxes are
            then in pixels of the image. The values of float32 images are not rounded.
        raw_outputs: detectors: leave out box decoding and NMS.
        options: detectors: the `DetectionOptions` of box decoding and NMS.

    Returns:
        A functional `keras.Model` from `images` to a dict of outputs, in float32 if the model is in
        float16, bfloat16 or mixed precision, and the `ModelInfo`.

    Raises:
        ValueError: if an argument does not fit the model.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> graph, info = inference_graph(backbone, image_size=64)
        >>> graph.output["features"].shape, info.inputs
        ((None, 2, 2, 384), 'uint8')
    """
    check_choice("inputs", inputs, INPUTS)
    check_model(model)
    task = task_of(model)
    decodes = task == "detection" and not raw_outputs
    if raw_outputs and task != "detection":
        raise ValueError(f"`raw_outputs` is for detectors. Received: a model for {task}")
    if not decodes and (letterbox or options not in (None, DetectionOptions())):
        raise ValueError(
            "`letterbox` and `options` are for detectors without `raw_outputs`. Received: a model "
            f"for {task}, {raw_outputs=}, {letterbox=}, {options=}"
        )
    if image_size is not None:
        image_size = check_image_size(image_size)
    resolved = _resolved(model, options, image_size) if decodes else None
    if resolved is not None:
        image_size = resolved.image_size
    info = ModelInfo(
        task=task,
        raw_outputs=raw_outputs,
        class_names=_class_names(model, task),
        image_size=image_size or getattr(model, "image_size", None),
        inputs=inputs,
        letterbox=letterbox,
        data_format=_data_format(model),
        score_threshold=_score_threshold(model, resolved),
        class_agnostic_nms=resolved is not None and bool(resolved.class_agnostic_nms),
        max_detections=None if resolved is None else resolved.max_detections,
        max_detections_per_class=None if resolved is None else resolved.max_detections_per_class,
        channels=_channels(model),
        levels=tuple(model.levels) if task == "detection" else None,
        temperature=getattr(model, "temperature", 1.0) if task == "classification" else 1.0,
        crop=getattr(model, "crop", 1.0) if task == "classification" else 1.0,
        targets=tuple(model.targets) if task == "regression" else None,
        labels=getattr(model, "labels", SINGLE),
    )
    images = _image_input(model, inputs, None if letterbox else image_size, info.data_format)
    if info.image_size is None:
        info = replace(info, image_size=_fixed_size(images, info.data_format))
    x = images if inputs == "float32" else keras.layers.Rescaling(1.0, dtype="float32")(images)
    if resolved is None:
        outputs = _named_outputs(model, model(x), task)
    else:
        outputs = _detections(model, x, resolved, _letterbox(info) if letterbox else None)
    graph = keras.Model(images, outputs, name=model.name)
    if any(layer.compute_dtype in HALF_PRECISIONS for layer in model._flatten_layers()):
        # 16-bit floats speed up training, but CPUs would convert each value.
        graph = model_from_program(program_from_model(graph), model.name, dtype="float32")
    return graph, info


def check_model(model: Any) -> None:
    """Check that a model is a Keras model with one input.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"The model must be a Keras model: load a preset with `load_model`. Received: {model!r}"
        )
    if len(model.inputs) != 1:
        raise ValueError(f"The model must have one input. Received: {len(model.inputs)} inputs")


def _resolved(
    model: Any, options: DetectionOptions | None, image_size: ImageSize | None
) -> DetectionOptions:
    """Return the options of a detector, with its own values in place of `None`."""
    options = check_options(options) or DetectionOptions()
    if image_size is not None and options.image_size not in (None, image_size):
        raise ValueError(
            "`image_size` and that of `options` must agree: leave one of them out. Received: "
            f"{image_size=}, {options=}"
        )
    resolved: DetectionOptions = model.resolve_options(
        replace(options, image_size=options.image_size or image_size)
    )
    return resolved


def _class_names(model: Any, task: str) -> tuple[str, ...] | None:
    """Return the class names of a classifier or detector, numbered ones if it has none."""
    if task in ("features", "regression"):
        return None
    return model.class_names or numbered_names(model.num_classes)


def _score_threshold(model: Any, options: DetectionOptions | None) -> Any:
    """Return the score threshold of a detector; `None` for other models."""
    return getattr(model, "score_threshold", None) if options is None else options.score_threshold


def _data_format(model: keras.Model) -> str:
    backbone = getattr(model, "backbone", model)
    shape = model.inputs[0].shape
    guess = "channels_first" if shape[1] == 3 and shape[-1] != 3 else "channels_last"
    return str(getattr(backbone, "data_format", guess))


def _channels(model: keras.Model) -> int:
    """Return the number of channels of a model's images."""
    axis = 1 if _data_format(model) == "channels_first" else -1
    return model.inputs[0].shape[axis] or RGB


def pixels_dtype(model: keras.Model) -> str:
    """Return the dtype of the images in a `Predictor`: those of RGB images have 8 bits."""
    return "uint8" if _channels(model) == RGB else "float32"


def _image_input(
    model: keras.Model, dtype: str, image_size: ImageSize | None, data_format: str
) -> keras.KerasTensor:
    _, *shape = model.inputs[0].shape
    if image_size is not None:
        first = 0 if data_format == "channels_last" else 1
        shape[first : first + 2] = sides(image_size)
    return keras.Input(tuple(shape), name="images", dtype=dtype)


def _fixed_size(images: keras.KerasTensor, data_format: str) -> ImageSize | None:
    """Return the size of the images if all have one."""
    height, width = images.shape[1:3] if data_format == "channels_last" else images.shape[2:4]
    return None if None in (height, width) else of_sides(height, width)


def _named_outputs(model: keras.Model, outputs: Any, task: str) -> dict[str, Any]:
    """Return the outputs as a dict, those of a classifier as probabilities."""
    if isinstance(outputs, (list, tuple)):
        raise ValueError("The model must return one tensor or a dict. Received: a list of tensors")
    if task == "classification" and model.activation in (None, "linear"):
        activation = probability_activation(getattr(model, "labels", SINGLE))
        outputs = keras.layers.Activation(activation, dtype="float32")(outputs)
    return outputs if isinstance(outputs, dict) else {OUTPUT_NAMES[task]: outputs}


def _letterbox(info: ModelInfo) -> Letterbox:
    """Return the layer that letterboxes images in a graph, which keeps the values of float32."""
    assert info.image_size is not None
    return Letterbox(info.image_size, info.data_format, info.inputs == "uint8", dtype="float32")


def _detections(
    model: Any, x: Any, options: DetectionOptions, letterbox: Letterbox | None
) -> dict[str, Any]:
    """Return the detections in images, which are letterboxed already or in the graph."""
    if letterbox is None:
        return detection_outputs(model, x, options)
    squares, image_sizes = letterbox(x)
    return detection_outputs(model, squares, options, image_sizes=image_sizes)
