"""`YOLOXDetector`: a backbone, the PAFPN neck and the decoupled, anchor-free head."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from cspdarknet import score_thresholds
from cspdarknet._arguments import MAX_CLASSES, check_bool, check_count, check_fraction
from cspdarknet._image_size import ImageSize, to_json
from cspdarknet.checkpoints.transfer import Transfer
from cspdarknet.detections import MAX_DETECTIONS, DetectionOptions
from cspdarknet.detections.box_formats import check_box_format
from cspdarknet.models import arguments
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.detection_graph import DetectionGraphs, resolved_options
from cspdarknet.models.head import ModelWithHead, serialize_backbone
from cspdarknet.models.image_batches import (
    image_batches,
    is_images,
    letterbox_batch,
    number_of_images,
)
from cspdarknet.models.steps import loss_divisor
from cspdarknet.models.targets import CheckedTargets, split_targets
from cspdarknet.presets.load import build
from cspdarknet.presets.sources import find
from cspdarknet.yolox.levels import NUM_LEVELS, Pyramid
from cspdarknet.yolox.losses import LOSS_NAMES, yolox_losses
from cspdarknet.yolox.network import yolox_outputs

BATCH_SIZE = 8  # of `predict`


@keras.saving.register_keras_serializable(package="cspdarknet")
class YOLOXDetector(CheckedTargets, ModelWithHead):
    """YOLOX, an anchor-free object detector.

    A call returns the raw outputs at all anchor points (see `cspdarknet.yolox.head`); `predict`
    returns the detections of images of any size; `fit` trains on images and boxes.

    Args:
        backbone: a `CSPDarkNetBackbone` with three stages or more. It is shared, not copied.
        num_classes: int, number of classes.
        bounding_box_format: format of the boxes that `fit` takes and `predict` returns, a name of
            `keras.utils.bounding_boxes`: `"xyxy"`, `"xywh"`, `"center_xywh"`, `"yxyx"`,
            `"center_yxhw"`, or a relative one such as `"rel_xyxy"`.
        class_names: optional names of the classes, in the order of the outputs.
        image_size: side in pixels of the square that images are letterboxed to, or a pair (height,
            width): multiples of the largest stride (32; 64 with level P6).
        score_threshold: float in [0, 1], or one for each class; `predict` drops detections of a
            lower confidence.
        iou_threshold: float in [0, 1]; `predict` drops a box whose IoU with a higher-scoring box
            of its class is above this (NMS).
        max_detections: int, maximum number of detections per image.
        class_agnostic_nms: bool, whether NMS drops overlapping boxes of other classes, too.
        max_detections_per_class: int, maximum number of detections of each class in an image;
            `None` for no limit.
        neck_depth: number of bottlenecks in each CSP stage of the neck; `None` for that of the
            backbone's last stage.
        head_channels: number of channels of the head's branches; `None` for that of the
            backbone's third last stage (P3).
        levels: pyramid levels to predict on, the largest feature map first: one or more consecutive
            ones of P2 (stride 4, for small objects) to P6 (stride 64). `None` for the deepest three
            stages of the backbone, as in YOLOX: `("P3", "P4", "P5")`.
        dtype: dtype or dtype policy of neck and head; `None` for the backbone's. The outputs are
            float32 or float64.
        **kwargs: `name` and `trainable`.

    Attributes:
        l1_loss: whether training adds the L1 loss, as YOLOX does in its last epochs; `False` by
            default, and not saved.
        transfer: which variables were loaded and which are new, after loading the weights of a
            detector of other levels; `None` otherwise.

    Raises:
        ValueError: if an argument is of another type or out of range.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("yolox_nano_coco", load_weights=False)
        >>> detector = YOLOXDetector(backbone, num_classes=3, image_size=64)
        >>> outputs = detector.predict([np.zeros((48, 60, 3), "uint8")])
        >>> outputs["boxes"].shape, outputs["num_detections"]
        ((1, 100, 4), array([0], dtype=int32))

    References:
        YOLOX (https://arxiv.org/abs/2107.08430); outputs and losses are those of the official
        code, Megvii-BaseDetection/YOLOX.
    """

    task = "detection"

    def __init__(
        self,
        backbone: CSPDarkNetBackbone,
        num_classes: int,
        bounding_box_format: str = "xyxy",
        *,
        class_names: Sequence[str] | None = None,
        image_size: ImageSize = 640,
        score_threshold: float | Sequence[float] = score_thresholds.DEFAULT,
        iou_threshold: float = 0.65,
        max_detections: int = 100,
        class_agnostic_nms: bool = False,
        max_detections_per_class: int | None = None,
        neck_depth: int | None = None,
        head_channels: int | None = None,
        levels: Sequence[str] | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        """Check the arguments, and build the functional model."""
        trainable = arguments.pop_trainable(kwargs)
        arguments.check_detector_backbone(backbone, NUM_LEVELS)
        pyramid = Pyramid.of(levels, len(backbone.architecture.pyramid_channels))
        num_classes = check_count("num_classes", num_classes, most=MAX_CLASSES)
        neck_depth, head_channels = arguments.check_detector_size(
            backbone, num_classes, neck_depth, head_channels, pyramid.levels
        )
        bounding_box_format = check_box_format(bounding_box_format)
        class_names = arguments.check_class_names(class_names, num_classes)
        image_size = arguments.check_image_size(image_size, pyramid.largest_stride)
        score_threshold = score_thresholds.check_score_threshold(score_threshold, num_classes)
        iou_threshold = check_fraction("iou_threshold", iou_threshold)
        max_detections = check_count("max_detections", max_detections, most=MAX_DETECTIONS)
        class_agnostic_nms = check_bool("class_agnostic_nms", class_agnostic_nms)
        if max_detections_per_class is not None:
            max_detections_per_class = check_count(
                "max_detections_per_class", max_detections_per_class, most=MAX_DETECTIONS
            )
        policy = backbone.dtype_policy if dtype is None else arguments.check_dtype(dtype)

        # Functional model.
        outputs = yolox_outputs(
            backbone,
            num_classes,
            neck_depth=neck_depth,
            head_channels=head_channels,
            levels=pyramid.levels,
            dtype=policy,
        )
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # Config.
        self.backbone = backbone
        self.num_classes = num_classes
        self.bounding_box_format = bounding_box_format
        self.class_names = class_names
        self.image_size = image_size
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.class_agnostic_nms = class_agnostic_nms
        self.max_detections_per_class = max_detections_per_class
        self.neck_depth = neck_depth
        self.head_channels = head_channels
        self.dtype_policy = policy

        self.levels, self.strides = pyramid.levels, pyramid.strides
        self.largest_stride = pyramid.largest_stride
        self.transfer: Transfer | None = None
        self._l1_loss = False
        self._loss_parts = {name: keras.metrics.Mean(f"{name}_loss") for name in LOSS_NAMES}
        self._graphs = DetectionGraphs()
        if not trainable:
            self.trainable = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> dict[str, Any]:
        """Return the raw outputs for images `(batch, height, width, 3)` of 0..255.

        Raises:
            ValueError: if height or width is not a multiple of the largest stride.
        """
        size, stride = self._image_size(inputs), self.largest_stride
        if any(isinstance(side, int) and side % stride for side in size):
            raise ValueError(
                f"Height and width of the images must be multiples of {stride} when the "
                f"model is called; `predict` takes any size. Received: images of {tuple(size)}"
            )
        return super().call(inputs, training=training, mask=mask)

    def _image_size(self, images: Any) -> tuple[Any, Any]:
        """Return the height and width of a batch of images."""
        _, *shape = ops.shape(images)
        height, width = shape[:2] if self.backbone.data_format == "channels_last" else shape[1:]
        return height, width

    # Training.

    @property
    def l1_loss(self) -> bool:
        """Whether training adds the L1 loss."""
        return self._l1_loss

    @l1_loss.setter
    def l1_loss(self, value: bool) -> None:
        if value != self._l1_loss:  # the compiled steps have the old value as a constant
            self.train_function = self.test_function = None
        self._l1_loss = value

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of YOLOX's losses of a batch; `compile` takes no other loss.

        Args:
            x: the images.
            y: a dict: `"boxes"` `(batch, objects, 4)` in `bounding_box_format`, and `"classes"`
                `(batch, objects)`; -1 marks padding.
            y_pred: the raw outputs for the images.
            sample_weight: optional `(batch,)`, weight of each image.
            training: whether gradients are computed, by all processes of a data-parallel training.

        Raises:
            ValueError: if the targets are of another form, or the model was compiled with a loss.
        """
        if self._compile_loss is not None:
            raise ValueError("YOLOX has its own losses: compile the detector without `loss`.")
        if isinstance(sample_weight, Mapping):  # `fit` copies it for each entry of the targets
            sample_weight = next(iter(sample_weight.values()))
        height, width = self._image_size(x)
        boxes, classes = split_targets(y)
        boxes = keras.utils.bounding_boxes.convert_format(
            boxes, self.bounding_box_format, "center_xywh", height=height, width=width
        )
        size, divisor = (height, width), loss_divisor(training)
        losses = yolox_losses(y_pred, boxes, classes, size, self.strides, sample_weight, divisor)
        if not self.l1_loss:
            losses["l1"] = ops.zeros_like(losses["l1"])
        for name, value in losses.items():
            self._loss_parts[name].update_state(value)
        return sum(losses.values())

    # Detection.

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        *,
        options: DetectionOptions | None = None,
    ) -> dict[str, np.ndarray]:
        """Detect the objects in images.

        Args:
            x: one image: a path, a Pillow image, or an RGB array `(height, width, 3)` of 0..255; a
                list of images of any sizes; an array `(n, height, width, 3)`; or an iterable of
                such batches, with or without targets.
            batch_size: number of images in a batch; `None` for 8, or all if there are fewer.
            verbose: accepted for compatibility with Keras; nothing is printed.
            steps: number of batches that are taken of an iterable; `None` for all.
            callbacks: must be `None`.
            options: `DetectionOptions` that override the model's own.

        Returns:
            A dict of arrays, with the names of KerasCV: `"boxes"` `(n, max_detections, 4)` in
            `bounding_box_format`, in pixels of the image as given (they may reach beyond its
            border), `"confidence"` `(n, max_detections)` in descending order, `"classes"` (int) and
            `"num_detections"` `(n,)`. Unused entries are -1.

        Raises:
            ValueError: if a file cannot be read as an image; an image is empty, without three
                channels, or not of numbers in 0..255; or an option is out of range.
        """
        del verbose
        if callbacks is not None:
            raise ValueError("`predict` of a detector takes no callbacks.")
        if batch_size is None:
            most = number_of_images(x) if is_images(x) else BATCH_SIZE
            batch_size = max(1, min(BATCH_SIZE, most))
        batch_size = check_count("batch_size", batch_size)
        options = self.resolve_options(options)
        model = self.inference_model(options, letterboxed=True)
        size: Any = options.image_size
        batches = [{name: np.empty((0, *t.shape[1:]), t.dtype) for name, t in model.output.items()}]
        for images in image_batches(x, batch_size, steps, self.channels):
            batch = letterbox_batch(images, size, batch_size, self.backbone.data_format)
            outputs = model.predict_on_batch(batch)
            batches.append({name: np.asarray(v)[: len(images)] for name, v in outputs.items()})
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    def inference_model(
        self, options: DetectionOptions | None = None, *, letterboxed: bool = False
    ) -> keras.Model:
        """Return the model from images to detections as one graph with static shapes.

        It shares its weights with this model. The graphs of the last options are kept.

        Args:
            options: `DetectionOptions` that override the model's own.
            letterboxed: `False`: the graph takes images `(batch, height, width, 3)` of 0..255 (in
                the backbone's data format), all of one size, and letterboxes them. `True`: it
                takes a dict of `"images"`, letterboxed already (`cspdarknet.yolox.letterbox`),
                and `"image_sizes"`, `(batch, 2)`: their height and width before that.

        Returns:
            A `keras.Model`; its outputs are those of `predict`, as a dict.

        Raises:
            ValueError: if an option is out of range.

        Example:
            >>> from cspdarknet.detections import DetectionOptions
            >>> backbone = CSPDarkNetBackbone.from_preset("yolox_nano_coco", load_weights=False)
            >>> detector = YOLOXDetector(backbone, num_classes=3, image_size=64)
            >>> graph = detector.inference_model(DetectionOptions(max_detections=10))
            >>> graph(np.zeros((2, 50, 70, 3), "float32"))["boxes"].shape == (2, 10, 4)
            True
        """
        return self._graphs.get(self, self.resolve_options(options), letterboxed)

    def resolve_options(self, options: DetectionOptions | None = None) -> DetectionOptions:
        """Return options with the model's own values in place of `None`.

        Raises:
            ValueError: if the image size is not a multiple of the largest stride, or the score
                thresholds or classes are not those of the model.
        """
        return resolved_options(self, options)

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this model, as JSON types."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": serialize_backbone(self.backbone),
            "num_classes": self.num_classes,
            "bounding_box_format": self.bounding_box_format,
            "class_names": None if self.class_names is None else list(self.class_names),
            "image_size": to_json(self.image_size),
            "score_threshold": score_thresholds.to_json(self.score_threshold),
            "iou_threshold": self.iou_threshold,
            "max_detections": self.max_detections,
            "class_agnostic_nms": self.class_agnostic_nms,
            "max_detections_per_class": self.max_detections_per_class,
            "neck_depth": self.neck_depth,
            "head_channels": self.head_channels,
            "levels": list(self.levels),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    # Presets.

    @classmethod
    def from_preset(
        cls, preset: str | Path, load_weights: bool | None = None, **kwargs: Any
    ) -> Self:
        """Build a detector from the preset of a detector or of a backbone.

        From a detector's preset all weights are loaded, unless `num_classes` or `class_names`
        differ from the preset's. Then the last layers of the class branches are new and untrained,
        and backbone, neck and the rest of the head keep their weights. With other `levels` the
        layers that both models have are loaded; a warning and `transfer` name the others. From the
        preset of a backbone or classifier only the backbone's weights are loaded.

        Args:
            preset: a preset folder written by `save_to_preset` or by KerasCV; a run folder of a
                training; a weight file; `"kaggle://owner/model/framework/variation"`;
                `"hf://owner/repository"`; with `num_classes` any name in
                `CSPDarkNetBackbone.presets`; or one of
                {presets}.
            load_weights: whether to load the trained weights. `None` loads them if the preset has
                any.
            **kwargs: arguments of `YOLOXDetector` and of `CSPDarkNetBackbone` that override the
                preset's. `num_classes` is required for a backbone's preset. Arguments that the
                weights depend on cannot be overridden when weights are loaded.

        Returns:
            A `YOLOXDetector`.

        Raises:
            ValueError: if the preset is unknown, has no weights though `load_weights=True`, its
                weights do not fit its config, or `num_classes` is missing.
            ConnectionError: if files must be fetched and cannot be.

        Example:
            >>> detector = YOLOXDetector.from_preset("csp_darknet_tiny", num_classes=3)
            >>> detector.count_params()
            5050776
        """
        return build(cls, find(preset, load_weights), kwargs)
