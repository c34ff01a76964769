"""Small labelled photos for tests: three classes that a tiny network learns in seconds."""

import numpy as np
from PIL import Image

from cspdarknet.train import Recipe, Stage

COLOURS = {"blue": (30, 60, 200), "green": (40, 170, 60), "red": (200, 40, 40)}
# As little as shows every part of a training at work.
QUICK = Recipe(
    stages=(Stage(1, 32, "head"), Stage(2, 32, "all")),
    batch_size=6,
    layer_decay=0.8,
    dropout=0.2,
    batch_norm_momentum=0.5,
    ema_decay=0.9,
)


def write_photos(folder, per_class=6, size=(40, 36), seed=0):
    """Noisy photos of one colour, in a folder for each class."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            noise = rng.normal(0, 25, (size[1], size[0], 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def write_preset(folder):
    """A preset of the cheapest backbone, for trainings to start from."""
    from cspdarknet.models import CSPDarkNetBackbone

    CSPDarkNetBackbone([8, 12], [1, 1], include_rescaling=True).save_to_preset(folder)
    return folder
