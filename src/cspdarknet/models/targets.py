"""Checks of the images and targets that a detector is trained on."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops


class CheckedTargets(keras.Model):
    """Base class of detectors: the arrays that a model is trained on are checked first."""

    num_classes: int

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train, as `keras.Model.fit` does; for the form of `y` see `compute_loss`."""
        check_arrays(x, y, self.num_classes)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss, as `keras.Model.evaluate` does; `cspdarknet.evaluate` has the mAP."""
        check_arrays(x, y, self.num_classes)
        return super().evaluate(x, y, *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train with one batch, as `keras.Model.train_on_batch` does."""
        check_arrays(x, y, self.num_classes)
        return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of one batch, as `keras.Model.test_on_batch` does."""
        check_arrays(x, y, self.num_classes)
        return super().test_on_batch(x, y, *args, **kwargs)


def check_arrays(x: Any, y: Any, num_classes: int) -> None:
    """Refuse images with NaN and class ids out of range, which would train without an error.

    Only NumPy arrays are checked: the values of tensors and generators are not known yet.

    Raises:
        ValueError: if there are such values.
    """
    is_float = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    # One sum is quicker than a test of each value; a sum of float16 values would overflow.
    if is_float and not np.isfinite(np.sum(x, dtype="float64")):
        raise ValueError("The images must be finite numbers. Received: NaN or infinite values")
    classes = y.get("classes") if isinstance(y, Mapping) else None
    if isinstance(classes, np.ndarray) and classes.size and classes.max() >= num_classes:
        raise ValueError(
            f"'classes' must be class ids from 0, less than {num_classes}, the number of classes. "
            f"Received: {classes.max():g}"
        )


def split_targets(y: Any) -> tuple[Any, Any]:
    """Return the boxes and class ids of a batch, padded to one object at least.

    Args:
        y: a dict of `"boxes"` `(batch, objects, 4)` and `"classes"` `(batch, objects)`.

    Raises:
        ValueError: if the targets are of another form.
    """
    if not isinstance(y, Mapping) or not {"boxes", "classes"} <= set(y):
        raise ValueError(
            "The targets must be a dict of 'boxes' (batch, objects, 4) and 'classes' (batch, "
            f"objects), with -1 as padding. Received: {type(y).__name__}"
        )
    boxes, classes = ops.cast(y["boxes"], "float32"), ops.cast(y["classes"], "int32")
    box_shape, class_shape = tuple(boxes.shape), tuple(classes.shape)
    if len(box_shape) != 3 or box_shape[2] != 4 or len(class_shape) != 2:
        raise ValueError(
            "'boxes' must be (batch, objects, 4), and 'classes' class ids (batch, objects). "
            f"Received: arrays of shapes {box_shape} and {class_shape}"
        )
    if None not in (box_shape[1], class_shape[1]) and box_shape[1] != class_shape[1]:
        raise ValueError(
            "'boxes' and 'classes' must have one entry for each object. "
            f"Received: {box_shape[1]} boxes and {class_shape[1]} classes"
        )
    if box_shape[1] in (0, None):  # None: TensorFlow has traced several numbers of objects
        boxes = ops.pad(boxes, [(0, 0), (0, 1), (0, 0)])
        classes = ops.pad(classes, [(0, 0), (0, 1)], constant_values=-1)
    return boxes, classes
