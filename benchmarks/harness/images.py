"""Images that the benchmarks make themselves: noise and synthetic photographs."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 640, 480  # of a photograph, in pixels
SCALES = (1, 2, 4, 8, 16, 32, 64)  # of the detail in a photograph, in pixels


def noise(batch_size: int, image_size: int) -> np.ndarray:
    """Return a batch of noise, float32 `(batch, size, size, 3)` in 0..255."""
    shape = (batch_size, image_size, image_size, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def to_plain(images: np.ndarray) -> np.ndarray:
    """Return RGB images as the plain networks take them: BGR, channels first."""
    return np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))


def photograph(rng: np.random.Generator) -> np.ndarray:
    """Return noise with detail at all scales, uint8 `(480, 640, 3)`.

    A JPEG file of it is about as large as one of a photograph.
    """
    total = np.zeros((HEIGHT, WIDTH, 3))
    for scale in SCALES:
        shape = (HEIGHT // scale + 1, WIDTH // scale + 1, 3)
        detail = Image.fromarray(rng.integers(0, 255, shape, "uint8"))
        enlarged = detail.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        total += scale**0.7 * (np.asarray(enlarged, "float32") - 127)
    total = 127 + 55 * total / total.std()
    image = Image.fromarray(total.clip(0, 255).astype("uint8"))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))


def write_photographs(
    folder: Path, count: int, classes: int = 1, distinct: int | None = None
) -> None:
    """Write JPEG files of quality 90, in a folder for each class.

    Args:
        folder: Where they are written.
        count: Number of files.
        classes: Number of folders.
        distinct: Number of different files, of which the others are copies, since a file takes
            over 0.1 seconds to make. All are different by default.
    """
    rng = np.random.default_rng(0)
    paths = [folder / f"class{i % classes}" / f"{i:04}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if distinct is not None and i >= distinct:
            shutil.copyfile(paths[i % distinct], path)
        else:
            Image.fromarray(photograph(rng)).save(path, quality=90)
