"""The preset files and the model card of a trained model that is bundled with the package."""

import argparse
import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import keras

from cspdarknet.models import load_model
from cspdarknet.presets.config import RUN_SETTINGS
from cspdarknet.presets.records import BUNDLED
from cspdarknet.presets.save import save_preset

# Settings of a recipe that the model card lists.
CARD_SETTINGS = (
    *("optimizer", "learning_rate", "weight_decay", "batch_size", "ema_decay", "clip_norm"),
    *("label_smoothing", "dropout", "batch_norm_momentum", "seed"),
)


def parse_options(description: str | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder of the training")
    parser.add_argument("name", help="name of the preset")
    parser.add_argument("--data", required=True, help="name of the dataset, for the model card")
    parser.add_argument("--folder", required=True, help="folder of the images")
    parser.add_argument("--license", required=True, help="license of the weights")
    parser.add_argument("--command", required=True, help="command that trained the model")
    parser.add_argument("--start", default="random weights", help="initial weights")
    return parser.parse_args()


def store(
    trained: keras.Model, options: argparse.Namespace, **changes: Any
) -> tuple[keras.Model, Path]:
    """Write the files of the preset, and return the stored model and its folder.

    Args:
        trained: The model.
        options: The options of the command line.
        **changes: Constructor arguments of the stored model in place of the trained one's.
    """
    model = type(trained).from_config({**trained.get_config(), **changes})
    model.set_weights(trained.get_weights())
    # The paths of the machine that trained it are left out.
    run = {k: v for k, v in run_settings(options).items() if k not in ("data", "preset")}
    source = {"name": options.data, "license": options.license, "run": run}
    folder = BUNDLED / options.name
    save_preset(model, folder, source, weights_dtype="float16")
    shutil.copy(options.run / "curves.png", folder / "curves.png")
    return load_model(folder), folder


def run_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the training stored in its run folder."""
    return dict(json.loads((options.run / RUN_SETTINGS).read_text()))


def common_fields(options: argparse.Namespace, model: keras.Model) -> dict[str, Any]:
    """Return the fields of a model card that do not depend on the task."""
    settings = run_settings(options)
    recipe = settings["recipe"]
    with (options.run / "metrics.csv").open(newline="") as file:
        epochs = list(csv.DictReader(file))
    return {
        "name": options.name,
        "names": ", ".join(model.class_names or ()),
        "data": options.data,
        "train": settings["splits"]["train"]["images"],
        "validation": settings["splits"]["validation"]["images"],
        "license": options.license,
        "start": options.start,
        "size": model.image_size,
        "parameters": model.count_params(),
        "epochs": len(epochs),
        "hours": sum(float(row["seconds"]) for row in epochs) / 3600,
        "command": options.command,
        "phases": ", ".join(f"{p['epochs']} at {p['image_size']}" for p in recipe["phases"]),
        "recipe": ", ".join(f"{key} {recipe[key]}" for key in CARD_SETTINGS if key in recipe) + ".",
    }


def decimal(value: float | None) -> str:
    """Return a metric with three decimals, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
