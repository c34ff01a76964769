"""Objects inside a config that Keras builds: the layers in front of a backbone, a dtype policy.

Keras imports the class that a config names, and some of its classes read files or run functions.
"""

import math
from collections.abc import Iterator
from typing import Any

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError, shown

MODULES = ("keras", "builtins")
# They call a function, unpickle a module, or read a file that the config names.
REFUSED = {
    *("function", "__lambda__", "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer"),
    *("FlaxLayer", "StringLookup", "IntegerLookup", "TextVectorization", "Hashing"),
}
# Arguments of layers whose product is the number of weights for each input channel.
SIZES = {"filters", "units", "kernel_size", "depth_multiplier", "input_dim", "output_dim"}


def check_objects(arguments: dict[str, Any]) -> None:
    """Check the objects in the constructor arguments of a model that a file states.

    Classes that the user has registered with Keras are accepted.

    Raises:
        CheckpointError: if an object is of a class that plain models do not need, or is far larger
            than the layers in front of a backbone are.
    """
    sizes = [0]
    for item in _objects(arguments):
        name, module = item["class_name"], item.get("module")
        own = f"{module}".split(".")[0] in MODULES or module is None
        if not isinstance(name, str) or name in REFUSED or not (own or _is_registered(item)):
            raise CheckpointError(
                f"A config must describe layers of Keras or registered ones. Received: the class "
                f"{shown(name)} of the module {shown(module)}"
            )
        sizes.append(_size(item.get("config")))
    if max(sizes) * sum(sizes) > limits.MAX_FRONT_WEIGHTS:
        raise CheckpointError("A config must not describe large layers in front of the backbone.")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict that describes an object."""
    pending = [(value, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > limits.MAX_CONFIG_DEPTH:
            raise CheckpointError(
                f"A config must not be nested more than {limits.MAX_CONFIG_DEPTH} times."
            )
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            value = list(value.values())
        if isinstance(value, list):
            pending += [(item, depth + 1) for item in value]


def _is_registered(item: dict[str, Any]) -> bool:
    import keras

    registered = item.get("registered_name")
    return isinstance(registered, str) and registered in keras.saving.get_custom_objects()


def _size(config: Any) -> int:
    """Return about how many weights a layer has for each input channel; 0 for a plain layer."""
    if not isinstance(config, dict):
        return 0
    values = [config[name] for name in SIZES if name in config]
    numbers = [n for value in values for n in (value if isinstance(value, list) else [value])]
    sizes = [abs(n) for n in numbers if isinstance(n, int)]
    return math.prod(sizes) if sizes else 0
