"""The inference graph of a detector: letterboxing, network, decoding and NMS."""

from dataclasses import asdict
from typing import Any

import keras

from cspdarknet._image_size import sides
from cspdarknet.detections import DetectionOptions, check_options
from cspdarknet.layers import float32_or_wider
from cspdarknet.model_info import numbered_names
from cspdarknet.models.arguments import check_image_size
from cspdarknet.yolox.letterbox_layer import Letterbox
from cspdarknet.yolox.postprocess import DecodeBoxes, NonMaxSuppression, RestoreBoxes

# Number of inference graphs that a detector keeps: each backend compiles each of them.
MAX_GRAPHS = 8
RGB = 3  # channels


def resolved_options(detector: Any, options: DetectionOptions | None) -> DetectionOptions:
    """Return options with a detector's own values in place of `None`, and classes by id.

    Args:
        detector: a `YOLOXDetector`.
        options: the options, or `None`.

    Raises:
        ValueError: as `YOLOXDetector.resolve_options`.
    """
    filled = (check_options(options) or DetectionOptions()).filled(
        detector.score_threshold,
        detector.iou_threshold,
        detector.max_detections,
        detector.image_size,
        detector.class_agnostic_nms,
        detector.max_detections_per_class,
    )
    names = detector.class_names or numbered_names(detector.num_classes)
    check_image_size(filled.image_size, detector.largest_stride)
    return filled.for_classes(names, detector.score_threshold)


def detection_outputs(
    detector: Any,
    images: Any,
    options: DetectionOptions,
    *,
    image_sizes: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Build a detector, decoding and NMS on a tensor of letterboxed images.

    Args:
        detector: a `YOLOXDetector`.
        images: symbolic tensor `(batch, height, width, channels)` of that image size.
        options: the result of `detector.resolve_options`.
        image_sizes: symbolic tensor `(batch, 2)`: height and width of the images before they were
            letterboxed; `None` leaves the boxes in pixels of the square, as xyxy.
        bounding_box_format: format of the boxes, if `image_sizes` are given.

    Returns:
        The symbolic outputs of `NonMaxSuppression`.
    """
    dtype = float32_or_wider(detector.dtype_policy)
    thresholds = asdict(options)
    size = thresholds.pop("image_size")
    decode = DecodeBoxes(size, detector.strides, dtype=dtype, name="decode")
    nms = NonMaxSuppression(**thresholds, dtype=dtype, name="nms")
    outputs: dict[str, Any] = nms(*decode(detector(images)))
    if image_sizes is not None:
        restore = RestoreBoxes(size, bounding_box_format, dtype=dtype, name="restore")
        outputs["boxes"] = restore(outputs["boxes"], image_sizes)
    return outputs


def detection_graph(detector: Any, options: DetectionOptions, letterboxed: bool) -> keras.Model:
    """Build the graph of `YOLOXDetector.inference_model`.

    Args:
        detector: a `YOLOXDetector`.
        options: the result of `detector.resolve_options`.
        letterboxed: whether the graph takes letterboxed images and their original sizes.
    """
    data_format, size = detector.backbone.data_format, asdict(options)["image_size"]
    dtype = float32_or_wider(detector.dtype_policy)
    height, width = sides(size) if letterboxed else (None, None)
    channels = detector.channels
    shape = (height, width, channels)
    if data_format == "channels_first":
        shape = (channels, height, width)
    inputs: Any = keras.Input(shape, name="images", dtype=dtype)
    if letterboxed:
        images, image_sizes = inputs, keras.Input((2,), name="image_sizes", dtype=dtype)
        inputs = {"images": images, "image_sizes": image_sizes}
    else:
        # Images of other channels may have 16 bits.
        is_rounded = channels == RGB
        letterbox = Letterbox(size, data_format, is_rounded, dtype=dtype, name="letterbox")
        images, image_sizes = letterbox(inputs)
    outputs = detection_outputs(
        detector,
        images,
        options,
        image_sizes=image_sizes,
        bounding_box_format=detector.bounding_box_format,
    )
    return keras.Model(inputs, outputs, name=f"{detector.name}_inference")


class DetectionGraphs:
    """Cache of a detector's inference graphs by their options; the oldest is dropped first.

    Keras does not look into this object for layers that it would save with the detector.
    """

    def __init__(self) -> None:
        self._graphs: dict[Any, keras.Model] = {}

    def get(self, detector: Any, options: DetectionOptions, letterboxed: bool) -> keras.Model:
        """Return a graph, built on its first use; arguments as of `detection_graph`."""
        key = (options, letterboxed, detector.bounding_box_format)
        if key not in self._graphs:
            if len(self._graphs) >= MAX_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[key] = detection_graph(detector, options, letterboxed)
        return self._graphs[key]
