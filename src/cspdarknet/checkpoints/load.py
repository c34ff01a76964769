"""Load a weight file into a model: all of it, checked, or nothing."""

from pathlib import Path
from typing import Any

from cspdarknet.checkpoints import hdf5, layouts, targets


def load_weights(model: Any, path: str | Path) -> None:
    """Load a `.weights.h5` file of this package or of KerasCV into a backbone.

    The file is read by structure: each of its weights must have its place in the model, and each of
    the model's weights must be in the file, with the same shape and finite values. Only then is
    the first of them assigned.

    Args:
        model: a `CSPDarkNetBackbone` of the file's architecture.
        path: the file.

    Raises:
        CheckpointError: (a `ValueError`) if the file is damaged, unsafe or of another model.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> backbone.save_weights("my.weights.h5")
        >>> load_weights(backbone, "my.weights.h5")
    """
    path = Path(path)
    with hdf5.opened(path) as file:
        found = hdf5.datasets(file)
        layout = layouts.kerascv_layout if layouts.is_kerascv(found) else layouts.keras_layout
        wanted = layout(model)
        targets.check(str(path), {name: item.shape for name, item in found.items()}, wanted)
        arrays = {name: hdf5.read(file, name, found[name]) for name in wanted}
    targets.assign(str(path), arrays, wanted)
