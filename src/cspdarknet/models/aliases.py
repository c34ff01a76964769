"""The five sizes of KerasCV as classes, such as `CSPDarkNetTinyBackbone`."""

from pathlib import Path
from typing import Any

from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.base import classproperty
from cspdarknet.presets.listing import describe
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sizes import SIZES

# The order of positional arguments on KerasCV's documentation page, and in its code.
DOCUMENTED_ORDER = (
    "stackwise_channels",
    "stackwise_depth",
    "include_rescaling",
    "use_depthwise",
    "input_shape",
    "input_tensor",
)
KERASCV_ORDER = ("include_rescaling", "input_shape", "input_tensor")


class _SizedBackbone(CSPDarkNetBackbone):
    """Base class of the aliases.

    Attributes:
        size: key of `cspdarknet.presets.sizes.SIZES`.
    """

    size: str

    def __new__(cls, *args: Any, **kwargs: Any) -> CSPDarkNetBackbone:  # type: ignore[misc]
        order = KERASCV_ORDER if args and isinstance(args[0], bool) else DOCUMENTED_ORDER
        if len(args) > len(order):
            raise TypeError(f"{cls.__name__} takes at most {len(order)} positional arguments.")
        positional = dict(zip(order, args, strict=False))
        if twice := sorted(set(positional) & set(kwargs)):
            raise TypeError(f"{cls.__name__} got two values for {', '.join(twice)}.")
        size = SIZES[cls.size]
        defaults = {
            "stackwise_channels": size.stackwise_channels,
            "stackwise_depth": size.stackwise_depth,
            "include_rescaling": True,
        }
        return CSPDarkNetBackbone(**{**defaults, **positional, **kwargs})

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The presets of this size that KerasCV published with trained weights."""
        published = {n: p for n, p in PRESETS.items() if p.kaggle_handle and p.has_weights}
        return describe(
            {n: p for n, p in published.items() if p.size == getattr(cls, "size", p.size)}
        )

    @classmethod
    def from_preset(
        cls, preset: str | Path, load_weights: bool | None = None, **kwargs: Any
    ) -> CSPDarkNetBackbone:
        """Build a backbone of this size from a preset.

        Args:
            preset: as in `CSPDarkNetBackbone.from_preset`, but of the built-in presets only those
                of this size. KerasCV's presets with trained weights are
                {presets}.
            load_weights: as in `CSPDarkNetBackbone.from_preset`.
            **kwargs: as in `CSPDarkNetBackbone.from_preset`.

        Returns:
            A `CSPDarkNetBackbone`.

        Raises:
            ValueError: as in `CSPDarkNetBackbone.from_preset`, or if it is a built-in preset of
                another size.
        """
        record = PRESETS.get(preset) if isinstance(preset, str) else None
        if record is not None and record.size != cls.size:
            names = ", ".join(n for n, p in PRESETS.items() if p.size == cls.size)
            raise ValueError(
                f"The preset {preset!r} is not of the size of {cls.__name__}: use "
                f"CSPDarkNetBackbone.from_preset, or one of {names}."
            )
        return super().from_preset(preset, load_weights, **kwargs)


class CSPDarkNetTinyBackbone(_SizedBackbone):
    """`CSPDarkNetBackbone` with [48, 96, 192, 384] channels and [1, 3, 3, 1] bottlenecks.

    All arguments are optional and those of `CSPDarkNetBackbone`; `include_rescaling` is `True` by
    default. The result is an instance of `CSPDarkNetBackbone` with random weights.

    Args:
        include_rescaling: bool, whether to rescale the inputs from 0..255 to 0..1.
        input_tensor: optional Keras tensor to use as image input for the model.
        input_shape: optional shape tuple, defaults to `(None, None, 3)`.
        **kwargs: further arguments of `CSPDarkNetBackbone`.

    Example:
        >>> CSPDarkNetTinyBackbone().predict(np.ones((8, 224, 224, 3)), verbose=0).shape
        (8, 7, 7, 384)
    """

    size = "tiny"


class CSPDarkNetSBackbone(_SizedBackbone):
    """`CSPDarkNetBackbone` with [64, 128, 256, 512] channels and [1, 3, 3, 1] bottlenecks.

    Arguments as in `CSPDarkNetTinyBackbone`.
    """

    size = "s"


class CSPDarkNetMBackbone(_SizedBackbone):
    """`CSPDarkNetBackbone` with [96, 192, 384, 768] channels and [2, 6, 6, 2] bottlenecks.

    Arguments as in `CSPDarkNetTinyBackbone`.
    """

    size = "m"


class CSPDarkNetLBackbone(_SizedBackbone):
    """`CSPDarkNetBackbone` with [128, 256, 512, 1024] channels and [3, 9, 9, 3] bottlenecks.

    Arguments as in `CSPDarkNetTinyBackbone`.
    """

    size = "l"


class CSPDarkNetXLBackbone(_SizedBackbone):
    """`CSPDarkNetBackbone` with [170, 340, 680, 1360] channels and [4, 12, 12, 4] bottlenecks.

    Arguments as in `CSPDarkNetTinyBackbone`.
    """

    size = "xl"
