"""Small labeled images for tests: three classes that a tiny network learns in seconds."""

import numpy as np
from PIL import Image

from cspdarknet.train import ClassificationRecipe, Phase

COLORS = {"blue": (30, 60, 200), "green": (40, 170, 60), "red": (200, 40, 40)}
BOXED_COLORS = {"blue": (30, 60, 220), "red": (220, 40, 40)}
# The smallest values that exercise every step of a training.
QUICK = ClassificationRecipe(
    phases=(Phase(1, 32, "head"), Phase(2, 32, "all")),
    batch_size=6,
    layer_decay=0.8,
    dropout=0.2,
    batch_norm_momentum=0.5,
    ema_decay=0.9,
)


def write_class_folders(folder, per_class=6, size=(40, 36), seed=0):
    """Noisy images of one color, in a folder for each class."""
    rng = np.random.default_rng(seed)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            noise = rng.normal(0, 25, (size[1], size[0], 3))
            pixels = (np.array(color) + noise).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def write_preset(folder):
    """A preset of the cheapest backbone, for trainings to start from."""
    from cspdarknet.models import CSPDarkNetBackbone

    CSPDarkNetBackbone([8, 12], [1, 1], include_rescaling=True).save_to_preset(folder)
    return folder


def write_yolo_dataset(folder, count=10, size=64, seed=0):
    """Images of colored squares on gray noise, with boxes in the YOLO format."""
    rng = np.random.default_rng(seed)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(BOXED_COLORS))
    for i in range(count):
        pixels = rng.normal(128, 20, (size, size, 3))
        lines = []
        for label, color in enumerate(BOXED_COLORS.values()):
            side = int(rng.integers(14, 26))
            left, top = rng.integers(0, size - side, 2)
            pixels[top : top + side, left : left + side] = color
            box = np.array([left + side / 2, top + side / 2, side, side]) / size
            lines.append(f"{label} " + " ".join(f"{value:.6f}" for value in box))
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / f"images/{i}.png")
        (folder / f"labels/{i}.txt").write_text("\n".join(lines))
    return folder


def write_multi_label_dataset(folder, count=12, size=32, seed=0):
    """Images with stripes of some of the colors, and a table with a column for each color."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    width, rows = size // 3, [f"file,{','.join(COLORS)}"]
    for i in range(count):
        pixels = rng.normal(128, 20, (size, size, 3))
        labels = [int(label) for label in rng.random(len(COLORS)) < 0.5]
        for place, (label, color) in enumerate(zip(labels, COLORS.values(), strict=True)):
            if label:
                pixels[:, place * width : (place + 1) * width] = color
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{','.join(map(str, labels))}")
    (folder / "_classes.csv").write_text("\n".join(rows))
    return folder
