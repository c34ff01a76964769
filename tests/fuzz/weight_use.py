"""The worker's use of weight files: opens them, and loads them into models."""

import warnings

import numpy as np

from cspdarknet import load_model
from cspdarknet.checkpoints import CheckpointError, load_weights
from cspdarknet.checkpoints.formats import open_checkpoint

MAX_MESSAGE = 5_000


class UseError(Exception):
    """A refused file has changed a weight or has a bad message; or a loaded one is not finite."""


def prepare(folder):
    """Return the use of weight files.

    Args:
        folder: a preset folder for each model that files are loaded into.
    """
    warnings.simplefilter("ignore")
    models = {path.name: load_model(path) for path in sorted(folder.iterdir())}
    before = {name: model.get_weights() for name, model in models.items()}

    def use(path, call, model=None):
        try:
            if call == "load_model":
                _check_finite(load_model(path))
            elif call == "open":
                _open(path)
            else:
                _load(path, models[model], before[model])
        except ValueError as error:
            return _refused(error, path)
        return "loaded"

    return use


def _open(path):
    """Read all that a file states of itself."""
    with open_checkpoint(path) as checkpoint:
        checkpoint.config()
        for name in checkpoint.shapes:
            checkpoint.read(name)


def _load(path, model, before):
    """Load a file into a model, which is then as it was before."""
    try:
        load_weights(model, path)
    except BaseException:
        for a, b in zip(before, model.get_weights(), strict=True):
            if not np.array_equal(a, b):
                model.set_weights(before)
                raise UseError("a refused file has changed a weight") from None
        raise
    _check_finite(model)
    model.set_weights(before)


def _check_finite(model):
    if not all(np.isfinite(array).all() for array in model.get_weights()):
        raise UseError("a loaded weight is not finite")


def _refused(error, path):
    """Return the outcome of an error, which must be a short one that names the file."""
    if type(error).__name__ == "UnicodeEncodeError" or not isinstance(error, CheckpointError):
        raise error
    text = str(error)
    if len(text) > MAX_MESSAGE:
        raise UseError(f"the error has {len(text)} characters") from error
    if str(path) not in text:
        raise UseError(f"the error does not name the file: {text[:500]}") from error
    return "out of memory" if "more memory than" in text else "refused"
