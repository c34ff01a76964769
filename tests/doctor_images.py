"""Pictures that look different from each other, for the tests of the data doctor."""

import numpy as np
from PIL import Image


def picture(seed, size=(240, 180)):
    """Smooth random detail at several scales, in color."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (3, 6, 12):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype("uint8"))
        total += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), "float32") / 3
    return Image.fromarray(total.clip(0, 255).astype("uint8"))


def save_pictures(folder, seeds):
    """Write pictures as `<seed>.png`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}.png" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        picture(seed).save(path)
    return paths
