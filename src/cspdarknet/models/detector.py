"""`YOLOXDetector`: a backbone, the PAFPN neck and the decoupled, anchor-free head."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from cspdarknet.layers import BlockSettings
from cspdarknet.models import arguments
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.base import PresetModel
from cspdarknet.models.head_arguments import (
    MAX_CLASSES,
    check_box_format,
    check_class_names,
    check_count,
    check_detector_backbone,
    check_image_size,
    check_share,
)
from cspdarknet.models.image_batches import image_batches, is_images
from cspdarknet.presets import load as preset_loading
from cspdarknet.yolox.head import decoupled_head
from cspdarknet.yolox.letterbox import letterbox
from cspdarknet.yolox.letterbox_layer import Letterbox
from cspdarknet.yolox.losses import yolox_losses
from cspdarknet.yolox.neck import pafpn
from cspdarknet.yolox.postprocess import DecodeBoxes, NonMaxSuppression, RestoreBoxes

LEVELS = 3
MAX_DETECTIONS = 100_000
BATCH_SIZE = 8
MAX_GRAPHS = 8
LOSS_PARTS = ("box", "objectness", "class", "l1")


@keras.saving.register_keras_serializable(package="cspdarknet")
class YOLOXDetector(PresetModel):
    """YOLOX, an anchor-free detector of objects.

    Calling it gives what the head says of each place of each level (see
    `cspdarknet.yolox.head`); `predict` gives the objects of photos of any size; `fit` trains it
    on images and boxes.

    Args:
        backbone: a `CSPDarkNetBackbone` with three stages or more. It's shared, not copied.
        num_classes: int, number of classes.
        bounding_box_format: of the boxes that `fit` takes and `predict` returns, a name of
            `keras.utils.bounding_boxes`: `"xyxy"`, `"xywh"`, `"center_xywh"`, `"yxyx"`,
            `"center_yxhw"`, or a relative one such as `"rel_xyxy"`.
        class_names: optional names of the classes, in the order of the outputs.
        image_size: side in pixels of the square that photos are letterboxed to, a multiple of 32.
        score_threshold: float in 0..1, least score of what `predict` returns.
        iou_threshold: float in 0..1; `predict` takes boxes of one class that overlap more for one
            object.
        max_detections: int, most objects that `predict` returns of a photo.
        neck_depth: number of bottlenecks in each CSP stage of the neck; `None` for that of the
            backbone's last stage.
        head_channels: width of the head; `None` for that of the largest feature map.
        dtype: dtype or dtype policy of neck and head; `None` for the backbone's. The predictions
            are in float32 at least.
        **kwargs: `name` and `trainable`.

    Attributes:
        l1_loss: whether training adds the L1 loss, as YOLOX does in its last epochs; `False` at
            first, and not saved.

    Raises:
        ValueError: if an argument is not of the form above.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("yolox_nano_coco", load_weights=False)
        >>> detector = YOLOXDetector(backbone, num_classes=3, image_size=64)
        >>> found = detector.predict([np.zeros((48, 60, 3), "uint8")])
        >>> found["boxes"].shape, found["num_detections"]
        ((1, 100, 4), array([0], dtype=int32))

    References:
        YOLOX (https://arxiv.org/abs/2107.08430); outputs and losses are those of the official
        code, Megvii-BaseDetection/YOLOX.
    """

    def __init__(
        self,
        backbone: CSPDarkNetBackbone,
        num_classes: int,
        bounding_box_format: str = "xyxy",
        *,
        class_names: Sequence[str] | None = None,
        image_size: int = 640,
        score_threshold: float = 0.25,
        iou_threshold: float = 0.65,
        max_detections: int = 100,
        neck_depth: int | None = None,
        head_channels: int | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if unknown := sorted(set(kwargs) - {"name", "trainable"}):
            raise ValueError(f"Unrecognized keyword arguments: {', '.join(unknown)}")
        check_detector_backbone(backbone, LEVELS)
        num_classes = check_count("num_classes", num_classes, MAX_CLASSES)
        levels = list(backbone.pyramid_level_inputs)[-LEVELS:]
        strides = tuple(backbone.feature_strides[level] for level in levels)
        if neck_depth is None:
            neck_depth = backbone.stackwise_depth[-1]
        if head_channels is None:
            head_channels = backbone.feature_channels[levels[0]]
        trainable = arguments.check_bool("trainable", kwargs.pop("trainable", True))
        policy = backbone.dtype_policy if dtype is None else arguments.check_dtype(dtype)
        settings = BlockSettings(
            padding=backbone.padding,
            data_format=backbone.data_format,
            batch_norm_epsilon=backbone.batch_norm_epsilon,
            batch_norm_momentum=backbone.batch_norm_momentum,
            dtype=policy,
        )
        bounding_box_format = check_box_format(bounding_box_format)
        class_names = check_class_names(class_names, num_classes)
        image_size = check_image_size(image_size, strides[-1])
        neck_depth = check_count("neck_depth", neck_depth, arguments.MAX_DEPTH, least=0)
        head_channels = check_count("head_channels", head_channels, arguments.MAX_CHANNELS)
        max_detections = check_count("max_detections", max_detections, MAX_DETECTIONS)
        score_threshold = check_share("score_threshold", score_threshold)
        iou_threshold = check_share("iou_threshold", iou_threshold)

        # Functional model.
        features = pafpn(
            [backbone.pyramid_outputs[level] for level in levels],
            neck_depth,
            use_depthwise=backbone.use_depthwise,
            settings=settings,
        )
        outputs = decoupled_head(
            dict(zip(levels, features, strict=True)),
            num_classes,
            head_channels,
            use_depthwise=backbone.use_depthwise,
            settings=settings,
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
        self.neck_depth = neck_depth
        self.head_channels = head_channels
        self.dtype_policy = policy

        self.levels = tuple(levels)
        self.strides = strides
        self._l1_loss = False
        # `compile` needs only an optimizer: the loss is YOLOX's own, and its parts are shown.
        self._loss_parts = {part: keras.metrics.Mean(f"{part}_loss") for part in LOSS_PARTS}
        if not trainable:
            self.trainable = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> dict[str, Any]:
        """Return the head's outputs for images `(batch, height, width, 3)` of 0..255.

        Raises:
            ValueError: if height or width is no multiple of the largest stride.
        """
        first = 1 if self.backbone.data_format == "channels_last" else 2
        size = ops.shape(inputs)[first : first + 2]
        if any(isinstance(side, int) and side % self.strides[-1] for side in size):
            raise ValueError(
                f"Height and width of the images must be multiples of {self.strides[-1]} when the "
                f"model is called; `predict` takes any size. Received: {tuple(size)}"
            )
        return super().call(inputs, training=training, mask=mask)

    # Training.

    @property
    def l1_loss(self) -> bool:
        """Whether training adds the L1 loss."""
        return self._l1_loss

    @l1_loss.setter
    def l1_loss(self, value: bool) -> None:
        if value != self._l1_loss:  # the compiled steps hold the old value
            self.train_function = self.test_function = None
        self._l1_loss = value

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train, as `keras.Model.fit` does; for the form of `y` see `compute_loss`."""
        self._check_arrays(x, y)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss, as `keras.Model.evaluate` does; `cspdarknet.evaluate` has the mAP."""
        self._check_arrays(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train with one batch, as `keras.Model.train_on_batch` does."""
        self._check_arrays(x, y)
        return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of one batch, as `keras.Model.test_on_batch` does."""
        self._check_arrays(x, y)
        return super().test_on_batch(x, y, *args, **kwargs)

    def _check_arrays(self, x: Any, y: Any) -> None:
        """Refuse what would teach nonsense without an error: seen in NumPy arrays only."""
        if isinstance(x, np.ndarray) and not np.isfinite(np.sum(x)):
            raise ValueError("The images hold values that are no finite numbers.")
        classes = y.get("classes") if isinstance(y, Mapping) else None
        if isinstance(classes, np.ndarray) and classes.size and classes.max() >= self.num_classes:
            raise ValueError(
                f"Classes are counted from 0, so that they are less than {self.num_classes}, the "
                f"number of classes. Received: {classes.max():g}"
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of a batch.

        Args:
            x: the images.
            y: a dict: `"boxes"` `(batch, objects, 4)` in `bounding_box_format`, and `"classes"`
                `(batch, objects)`; -1 marks padding.
            y_pred: what the model says of them.
            sample_weight: optional `(batch,)`: how much an image counts beside the others.
            training: unused.

        Raises:
            ValueError: if the targets are of another form, or the model was compiled with a loss.
        """
        del training
        if self._compile_loss is not None:
            raise ValueError("YOLOX has a loss of its own: compile the detector without `loss`.")
        if isinstance(sample_weight, Mapping):  # `fit` copies it for each part of the targets
            sample_weight = next(iter(sample_weight.values()))
        first = 1 if self.backbone.data_format == "channels_last" else 2
        height, width = ops.shape(x)[first : first + 2]
        boxes, classes = _padded(y)
        boxes = keras.utils.bounding_boxes.convert_format(
            boxes, self.bounding_box_format, "center_xywh", height=height, width=width
        )
        parts = yolox_losses(y_pred, boxes, classes, (height, width), self.strides, sample_weight)
        if not self.l1_loss:
            parts["l1"] = ops.zeros_like(parts["l1"])
        for name, value in parts.items():
            self._loss_parts[name].update_state(value)
        return sum(parts.values())

    # Objects of photos.

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        *,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        image_size: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Find the objects in photos.

        Args:
            x: RGB photos of 0..255: a list of arrays `(height, width, 3)` of any sizes, one array
                `(n, height, width, 3)`, or an iterable of such batches, with or without targets.
            batch_size: photos that are looked at together; 8, or all of fewer, by default.
            verbose: accepted for Keras' sake; nothing is printed.
            steps: batches that are taken of an iterable; `None` for all.
            callbacks: must be `None`.
            score_threshold: in place of the model's.
            iou_threshold: in place of the model's.
            max_detections: in place of the model's.
            image_size: in place of the model's.

        Returns:
            A dict of arrays: `"boxes"` `(n, max_detections, 4)` in `bounding_box_format`, in pixels
            of the photo as it was given (they may reach over its border), `"confidence"`
            `(n, max_detections)` in descending order, `"classes"` (int) and `"num_detections"`
            `(n,)`. What is not used is -1.

        Raises:
            ValueError: if an image is empty, not of three channels, or not of numbers in 0..255.
        """
        del verbose
        if callbacks is not None:
            raise ValueError("`predict` of a detector takes no callbacks.")
        if batch_size is None:
            batch_size = max(1, min(BATCH_SIZE, len(x))) if is_images(x) else BATCH_SIZE
        batch_size = check_count("batch_size", batch_size, 1_000_000)
        size = self.image_size if image_size is None else image_size
        model = self.inference_model(
            score_threshold, iou_threshold, max_detections, size, letterboxed=True
        )
        parts = []
        for photos in image_batches(x, batch_size, steps):
            canvases = np.full((batch_size, size, size, 3), 114, "float32")
            sizes = np.full((batch_size, 2), size, "float32")
            for i, photo in enumerate(photos):
                canvases[i], _ = letterbox(photo, size)
                sizes[i] = photo.shape[:2]
            if self.backbone.data_format == "channels_first":
                canvases = canvases.transpose(0, 3, 1, 2)
            found = model.predict_on_batch({"images": canvases, "image_sizes": sizes})
            parts.append({name: np.asarray(v)[: len(photos)] for name, v in found.items()})
        if not parts:
            count = model.output["confidence"].shape[1]
            empty = np.full((0, count), -1.0, "float32")
            boxes, none = np.zeros((0, count, 4), "float32"), np.zeros(0, "int32")
            classes = empty.astype("int32")
            return {"boxes": boxes, "confidence": empty, "classes": classes, "num_detections": none}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def inference_model(
        self,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        image_size: int | None = None,
        *,
        letterboxed: bool = False,
    ) -> keras.Model:
        """Return the whole way from photos to objects as one graph with static shapes.

        It shares its weights with this model.

        Args:
            score_threshold: in place of the model's.
            iou_threshold: in place of the model's.
            max_detections: in place of the model's.
            image_size: in place of the model's.
            letterboxed: `False`: the graph takes photos `(batch, height, width, 3)` of 0..255 (in
                the backbone's data format), all of one size, and letterboxes them. `True`: it
                takes a dict of `"images"`, letterboxed already (`cspdarknet.yolox.letterbox`),
                and `"image_sizes"`, `(batch, 2)`: height and width of the photos.

        Returns:
            A `keras.Model`; its outputs are those of `predict`, as a dict.

        Raises:
            ValueError: if a setting is out of range.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("yolox_nano_coco", load_weights=False)
            >>> detector = YOLOXDetector(backbone, num_classes=3, image_size=64)
            >>> whole = detector.inference_model(max_detections=10)
            >>> whole(np.zeros((2, 50, 70, 3), "float32"))["boxes"].shape == (2, 10, 4)
            True
        """
        settings = (
            check_share("score_threshold", _either(score_threshold, self.score_threshold)),
            check_share("iou_threshold", _either(iou_threshold, self.iou_threshold)),
            check_count(
                "max_detections", _either(max_detections, self.max_detections), MAX_DETECTIONS
            ),
            check_image_size(_either(image_size, self.image_size), self.strides[-1]),
            letterboxed,
            self.bounding_box_format,
        )
        if settings not in self._graphs:
            if len(self._graphs) >= MAX_GRAPHS:  # forget the oldest
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[settings] = self._graph(*settings)
        return self._graphs[settings]

    @property
    def _graphs(self) -> dict[Any, keras.Model]:
        # Kept where Keras doesn't look for layers to save.
        return self.__dict__.setdefault("_inference_models", _Hidden()).content

    def _graph(
        self,
        score: float,
        iou: float,
        count: int,
        size: int,
        letterboxed: bool,
        bounding_box_format: str,
    ) -> keras.Model:
        layout = self.backbone.data_format
        # Half precision has too few digits for pixels and areas.
        wide = "float64" if self.dtype_policy.compute_dtype == "float64" else "float32"
        if letterboxed:
            square = (size, size, 3) if layout == "channels_last" else (3, size, size)
            images = keras.Input(square, name="images", dtype=wide)
            image_sizes = keras.Input((2,), name="image_sizes", dtype=wide)
            inputs: Any = {"images": images, "image_sizes": image_sizes}
        else:
            photo = (None, None, 3) if layout == "channels_last" else (3, None, None)
            inputs = keras.Input(photo, name="photos", dtype=wide)
            letterbox_layer = Letterbox(size, layout, dtype=wide, name="letterbox")
            images, image_sizes = letterbox_layer(inputs)
        boxes, scores = DecodeBoxes(size, self.strides, dtype=wide, name="decode")(self(images))
        suppress = NonMaxSuppression(score, iou, count, dtype=wide, name="suppress")
        found = suppress(boxes, scores)
        restore = RestoreBoxes(size, bounding_box_format, dtype=wide, name="restore")
        found["boxes"] = restore(found["boxes"], image_sizes)
        return keras.Model(inputs, found, name=f"{self.name}_inference")

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this model, as plain JSON types."""
        # Through JSON, so that a config read from a file equals the one that was written.
        backbone = json.loads(json.dumps(keras.saving.serialize_keras_object(self.backbone)))
        backbone.pop("compile_config", None)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": backbone,
            "num_classes": self.num_classes,
            "bounding_box_format": self.bounding_box_format,
            "class_names": None if self.class_names is None else list(self.class_names),
            "image_size": self.image_size,
            "score_threshold": self.score_threshold,
            "iou_threshold": self.iou_threshold,
            "max_detections": self.max_detections,
            "neck_depth": self.neck_depth,
            "head_channels": self.head_channels,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a model from what `get_config` returned."""
        config = dict(config)
        if isinstance(config.get("backbone"), dict):
            inside = config["backbone"]["config"]
            config["backbone"] = CSPDarkNetBackbone.from_config(inside, custom_objects)
        return cls(**config)

    # Presets.

    @classmethod
    def from_preset(
        cls, preset: str | Path, load_weights: bool | None = None, **kwargs: Any
    ) -> "YOLOXDetector":
        """Build a detector from the preset of a detector or of a backbone.

        Of a detector's preset all weights are loaded, unless `num_classes` or `class_names` are
        others than the preset's. Then the predictions of the classes are new, to be trained, and
        backbone, neck and the rest of the head keep their weights. Of a backbone's preset only the
        backbone's weights are loaded.

        Args:
            preset: `"yolox_nano_coco"` ... `"yolox_x_coco"`, `"yolox_nano_bccd"`, any other name in
                `YOLOXDetector.presets`, a local directory written by `save_to_preset`,
                `"kaggle://owner/model/framework/variation"`, or `"hf://owner/repository"`.
            load_weights: whether to load the trained weights. `None` loads them where the preset
                has some.
            **kwargs: arguments of `YOLOXDetector` and of `CSPDarkNetBackbone` that take the place
                of the preset's. `num_classes` is required for a backbone's preset. Those
                that change what the weights mean are refused when weights are loaded.

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
        return preset_loading.build_detector(
            YOLOXDetector, CSPDarkNetBackbone, preset, load_weights, kwargs
        )


class _Hidden:
    """A dict that Keras takes for no part of a model."""

    def __init__(self) -> None:
        self.content: dict[Any, keras.Model] = {}


def _either(value: Any, default: Any) -> Any:
    return default if value is None else value


def _padded(y: Any) -> tuple[Any, Any]:
    """Return boxes and classes of a batch, with room for one object at least."""
    if not isinstance(y, Mapping) or not {"boxes", "classes"} <= set(y):
        raise ValueError(
            "The targets must be a dict of 'boxes' (batch, objects, 4) and 'classes' (batch, "
            f"objects), with -1 as padding. Received: {type(y).__name__}"
        )
    boxes, classes = ops.cast(y["boxes"], "float32"), ops.cast(y["classes"], "int32")
    shapes = tuple(boxes.shape), tuple(classes.shape)
    if len(shapes[0]) != 3 or shapes[0][2] != 4 or len(shapes[1]) != 2:
        raise ValueError(
            "'boxes' must be (batch, objects, 4), and 'classes' (batch, objects), numbers of "
            f"classes. Received: the shapes {shapes[0]} and {shapes[1]}"
        )
    if None not in (shapes[0][1], shapes[1][1]) and shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"Each box needs a class. Received: {shapes[0][1]} boxes and {shapes[1][1]} classes"
        )
    if shapes[0][1] in (0, None):  # None: TensorFlow has seen several numbers
        boxes = ops.pad(boxes, [(0, 0), (0, 1), (0, 0)])
        classes = ops.pad(classes, [(0, 0), (0, 1)], constant_values=-1)
    return boxes, classes
