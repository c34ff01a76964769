"""Distillation: models that are trained on the outputs of a teacher, too.

References:
    Classifiers: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"
    (https://arxiv.org/abs/1503.02531). Detectors: Mehta and Ozturk 2018, "Object detection at 200
    Frames Per Second" (https://arxiv.org/abs/1805.06361): at each anchor point, the losses of box
    and classes are scaled by the objectness that the teacher predicts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from cspdarknet._labels import MULTI, SINGLE
from cspdarknet.models import ImageClassifier, YOLOXDetector
from cspdarknet.models.steps import loss_divisor
from cspdarknet.train.teacher import PREFIX, Teacher
from cspdarknet.yolox.anchors import anchor_grid, decode_boxes
from cspdarknet.yolox.boxes import from_center, iou
from cspdarknet.yolox.losses import BOX_WEIGHT

OUTPUTS = ("boxes", "objectness", "classes")  # raw outputs of a detector


def classifier_loss(
    logits: Any, teacher_logits: Any, temperature: float, weight: Any, labels: str = SINGLE
) -> Any:
    """Return the cross-entropy with the teacher's probabilities at a temperature.

    The probabilities of multi-label classifiers are those of each class on its own. The
    cross-entropy's gradient has the size of that of the labels at any temperature.

    Args:
        logits: logits `(batch, classes)`.
        teacher_logits: those of the teacher.
        temperature: number that both are divided by.
        weight: weight of each image, `(batch,)`; `None` for equal weights.
        labels: the kind of labels.

    Returns:
        The mean over the images.
    """
    own, wanted = (ops.cast(x, "float32") / temperature for x in (logits, teacher_logits))
    if labels == MULTI:
        losses = ops.mean(_crossentropy(own, ops.sigmoid(wanted)), axis=-1)
    else:
        losses = -ops.sum(ops.softmax(wanted) * ops.log_softmax(own), axis=-1)
    losses = temperature**2 * losses
    if weight is not None:
        losses = losses * ops.cast(ops.reshape(weight, ops.shape(losses)), "float32")
    return ops.mean(losses)


def detector_loss(
    outputs: Mapping[str, Any],
    teacher: Mapping[str, Any],
    image_size: tuple[Any, Any],
    strides: Sequence[int],
    weight: Any,
    divisor: Callable[[Any], Any],
) -> Any:
    """Return the losses of boxes, objectness and classes with the teacher's outputs as targets.

    They are sums over all anchor points, divided by the sum of the teacher's objectness, as
    YOLOX's own losses are by the number of positives.

    Args:
        outputs: raw outputs of the detector.
        teacher: those of the teacher.
        image_size: height and width of the images in pixels.
        strides: stride of each level in pixels.
        weight: weight of each image, `(batch,)`; `None` for equal weights.
        divisor: function from the number of positives to the divisor, as in `yolox_losses`.
    """
    own, wanted = (
        {name: ops.cast(values[name], "float32") for name in OUTPUTS}
        for values in (outputs, teacher)
    )
    image_weight = ops.ones_like(own["objectness"][:, :, 0])
    if weight is not None:
        image_weight = image_weight * ops.cast(ops.reshape(weight, (-1, 1)), "float32")
    objectness = ops.sigmoid(wanted["objectness"][:, :, 0])
    positives = objectness * image_weight
    grid, anchor_strides = anchor_grid(*image_size, strides)
    boxes, targets = (
        from_center(decode_boxes(values["boxes"], grid, anchor_strides)) for values in (own, wanted)
    )
    box_loss = BOX_WEIGHT * (1 - iou(boxes, targets) ** 2)
    class_loss = _crossentropy(own["classes"], ops.sigmoid(wanted["classes"]))
    objectness_loss = _crossentropy(own["objectness"][:, :, 0], objectness)
    total = ops.sum((box_loss + ops.sum(class_loss, axis=-1)) * positives)
    return (total + ops.sum(objectness_loss * image_weight)) / divisor(ops.sum(positives))


def _crossentropy(logits: Any, targets: Any) -> Any:
    return ops.maximum(logits, 0.0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))


class DistilledClassifier(ImageClassifier):
    """An `ImageClassifier` with logits that is trained with a teacher.

    Attributes:
        teacher: the options of the teacher.
    """

    teacher: Teacher

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of the labels plus that of the teacher."""
        loss = super().compute_loss(x, y["labels"], y_pred, sample_weight, training)
        options = self.teacher
        return loss + options.weight * classifier_loss(
            y_pred, y[f"{PREFIX}logits"], options.temperature, sample_weight, self.labels
        )

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the metrics of the labels."""
        return super().compute_metrics(x, y["labels"], y_pred, sample_weight)


class DistilledDetector(YOLOXDetector):
    """A `YOLOXDetector` that is trained with a teacher.

    Attributes:
        teacher: the options of the teacher.
    """

    teacher: Teacher

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return YOLOX's losses plus that of the teacher."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        outputs = {name: y[f"{PREFIX}{name}"] for name in OUTPUTS}
        return loss + self.teacher.weight * detector_loss(
            y_pred,
            outputs,
            self._image_size(x),
            self.strides,
            sample_weight,
            loss_divisor(training),
        )


DISTILLED: dict[type[keras.Model], type[keras.Model]] = {
    ImageClassifier: DistilledClassifier,
    YOLOXDetector: DistilledDetector,
}
