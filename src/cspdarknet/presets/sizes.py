"""Channels and depths of the model sizes, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Architecture of one model size.

    Attributes:
        stackwise_channels: number of channels of each stage (P2, P3, P4, P5).
        stackwise_depth: number of bottlenecks of each stage.
        parameters: number of parameters of the backbone, including moving means and variances.
        use_depthwise: whether the 3x3 convolutions are depthwise separable.
    """

    stackwise_channels: tuple[int, ...]
    stackwise_depth: tuple[int, ...]
    parameters: int
    use_depthwise: bool = False


SIZES = {
    "tiny": Size((48, 96, 192, 384), (1, 3, 3, 1), 2_380_416),
    "s": Size((64, 128, 256, 512), (1, 3, 3, 1), 4_223_488),
    "m": Size((96, 192, 384, 768), (2, 6, 6, 2), 12_374_400),
    "l": Size((128, 256, 512, 1024), (3, 9, 9, 3), 27_111_424),
    "xl": Size((170, 340, 680, 1360), (4, 12, 12, 4), 56_837_970),
    # Two sizes of YOLOX that KerasCV does not have; YOLOX-x is narrower than KerasCV's XL.
    "nano": Size((32, 64, 128, 256), (1, 3, 3, 1), 466_720, use_depthwise=True),
    "x": Size((160, 320, 640, 1280), (4, 12, 12, 4), 50_354_560),
}
