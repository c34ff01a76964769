"""`cspdarknet evaluate --calibrate`: the temperature of a classifier, fitted on its images."""

from pathlib import Path

from rich.console import Console

from cspdarknet._image_size import ImageSize
from cspdarknet.cli.evaluate_thresholds import folder_to_change
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.evaluate import Calibration
from cspdarknet.presets.config import CONFIG
from cspdarknet.presets.save import save_temperature, stored_temperature
from cspdarknet.reports.calibration import NO_TEMPERATURE, calibration_rows

FEW_IMAGES = 200


def calibrated_preset(
    model: str, which: str, calibrate: bool, image_size: ImageSize | None, augment: bool
) -> Path:
    """Return the preset folder that `--save-temperature` writes to.

    Args:
        model: the argument MODEL.
        which: the model of a run folder, `"best"` or `"last"`.
        calibrate: the option `--calibrate`.
        image_size: the option `--image-size`.
        augment: the option `--augment`.

    Raises:
        ValueError: if the options do not fit, or the model is in no folder.
    """
    if not calibrate or image_size is not None or augment:
        raise ValueError(
            "`--save-temperature` needs `--calibrate`, without `--augment` and at the model's own "
            f"image size. Received: {calibrate=}, {image_size=}, {augment=}"
        )
    return folder_to_change(model, which, "--save-temperature")


def show_calibration(
    calibration: Calibration, images: int, preset: Path | None, console: Console
) -> None:
    """Print the metrics before and after, and store the temperature if a folder is given.

    Args:
        calibration: the calibration.
        images: number of images that it was fitted on.
        preset: the preset folder to store the temperature in; `None` to store it nowhere.
        console: the console to print on.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True, highlight=False)

    say("\ncalibration:")
    table = plain_table()
    temperature = calibration.temperature
    table.add_column("", overflow="fold")
    for title in ("as it is", *(() if temperature is None else ("calibrated",))):
        table.add_column(title, justify="right", no_wrap=True)
    for row in calibration_rows(calibration):
        table.add_row(*row)
    print_table(console, table)
    if temperature is None:
        say(f"{NO_TEMPERATURE} Use other images, or more of them.")
        return
    say(f"temperature {temperature:.4g}, fitted on these {images} images")
    if images < FEW_IMAGES:
        say(f"Warning: a temperature from fewer than {FEW_IMAGES} images is uncertain.")
    if preset is not None:
        # The probabilities are those of the temperature that is stored already.
        total = temperature * stored_temperature(preset)
        save_temperature(preset, total)
        say(f"stored in {preset / CONFIG}: temperature {total:.4g}, used by default")
