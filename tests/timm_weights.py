"""Weights of networks of timm that follow from their names, as in the full-size records."""

import zlib

import numpy as np


def weight(key, shape):
    """Return a weight that follows from its name."""
    draw = np.random.RandomState(zlib.crc32(key.encode()))
    fan = np.prod(shape[1:])
    if key.endswith("bn.weight"):
        return draw.uniform(0.6, 1.4, shape)
    if key.endswith("running_var"):
        return draw.uniform(0.5, 1.5, shape)
    normal = draw.standard_normal(shape)
    if ".attn." in key:
        return 0.5 * normal if key.endswith("bias") else 2 * normal / np.sqrt(fan)
    if key.endswith(("bias", "running_mean")):
        return 0.2 * normal
    return normal / np.sqrt(fan)
