"""Random predictions and ground truth for tests of YOLOX's label assignment and losses."""

import numpy as np
from hypothesis import strategies as st

STRIDES = (8, 16, 32)
SIZE = 64
ANCHORS = 8 * 8 + 4 * 4 + 2 * 2
BATCH, OBJECTS, CLASSES = 2, 4, 3  # the same for all examples: compiled programs are reused


@st.composite
def examples(draw):
    """Raw outputs, boxes and class ids, many of them at the limits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.0, 1.0, 10.0, 1e4, 1e30]))
    outputs = {
        name: (scale * rng.normal(size=(BATCH, ANCHORS, n))).astype("float32")
        for name, n in (("boxes", 4), ("objectness", 1), ("classes", CLASSES))
    }
    spread = draw(st.sampled_from([1.0, 64.0, 1e3, 1e6]))
    boxes = rng.uniform(-0.2 * spread, 1.2 * spread, (BATCH, OBJECTS, 4))
    boxes[..., 2:] = rng.choice([0.0, 1e-6, 1.0, 20.0, 1e6], (BATCH, OBJECTS, 2))
    classes = rng.integers(-1, CLASSES, (BATCH, OBJECTS)).astype("int32")
    if draw(st.booleans()):
        boxes[:, 1:] = boxes[:, :1]  # the same box again and again
    if draw(st.booleans()):
        classes[0] = -1
    if draw(st.booleans()):
        boxes[:, -1, draw(st.integers(0, 3))] = draw(st.sampled_from([np.nan, np.inf, -np.inf, -5]))
        classes[1, -1] = draw(st.sampled_from([0, CLASSES, 1000]))
    return outputs, boxes.astype("float32"), classes
