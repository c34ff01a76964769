"""Images with boxes for tests: black with filled rectangles, so that pixels show the boxes."""

import numpy as np

from cspdarknet.data import DetectionSample


def sample_of(*boxes, size=(64, 64), channel=0):
    """A black image, width x height, with filled boxes in one channel; box i has label i."""
    image = np.zeros((size[1], size[0], 3), "uint8")
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right, channel] = 255
    return DetectionSample(
        image, np.array(boxes, "float32").reshape(-1, 4), np.arange(len(boxes), dtype="int32")
    )


def seen_box(image, channel=0):
    """Left, top, right and bottom of the bright pixels of a channel."""
    rows, columns = np.nonzero(image[..., channel] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
