"""Recognition of swapped arguments in the commands that take MODEL and other files."""

import re
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from cspdarknet.model_info import read_model_info
from cspdarknet.presets.config import CONFIG, RUN_SETTINGS, WEIGHTS
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE
from cspdarknet.presets.records import PRESETS

_HUB = re.compile(r"^(kaggle|hf):/+")  # a `Path` joins the slashes of a hub's address
WEIGHT_SUFFIXES = (".pth", ".pt", ".onnx", ".safetensors", ".h5", ".hdf5", ".keras")


class ModelCommand(TyperCommand):
    """A command whose argument `model` stands before its other arguments."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, unless its arguments are swapped."""
        arguments = [p.name for p in self.params if p.param_type_name == "argument"]
        if "model" in arguments:
            others: list[str] = []
            for name in arguments:
                value = [] if name == "model" else ctx.params[name]
                values = value if isinstance(value, (list, tuple)) else [value]
                others += [_HUB.sub(r"\1://", str(value)) for value in values]
            _check_order(ctx.command_path, ctx.params["model"], others)
        return super().invoke(ctx)


def _check_order(command: str, model: str, others: list[str]) -> None:
    """Check that no other argument names a model where MODEL does not.

    Raises:
        ValueError: if one does.
    """
    named = next((text for text in others if _names_model(text)), None)
    if named is None or _names_model(model):
        return
    rest = [model, *(text for text in others if text != named)]
    raise ValueError(
        f"MODEL must be a model. Received: {model}, while {named} is one. Did you swap the "
        f"arguments? Run `{command} {named} {' '.join(rest[:3])}{' …' if rest[3:] else ''}`."
    )


def _names_model(text: str) -> bool:
    """Whether a text is the name of a preset, or the path of a file or folder of a model."""
    if text in PRESETS or text.startswith((KAGGLE, HUGGING_FACE)):
        return True
    path = Path(text)
    if path.is_dir():
        is_preset = (path / CONFIG).is_file() and (path / WEIGHTS).is_file()
        return is_preset or (path / RUN_SETTINGS).is_file()
    if path.suffix == ".xml":
        return read_model_info(path) is not None
    return path.suffix in WEIGHT_SUFFIXES and path.is_file()
