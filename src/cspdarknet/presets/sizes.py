"""Channels and depths of the model sizes, as data."""

from dataclasses import dataclass

from cspdarknet.topologies import YOLOX


@dataclass(frozen=True)
class Size:
    """Architecture of one model size.

    Attributes:
        stackwise_channels: number of channels of each stage (P2, P3, P4, P5).
        stackwise_depth: number of bottlenecks of each stage.
        parameters: number of parameters of the backbone, including moving means and variances.
        use_depthwise: whether the 3x3 convolutions are depthwise separable.
        topology: key of `cspdarknet.topologies.TOPOLOGIES`.
    """

    stackwise_channels: tuple[int, ...]
    stackwise_depth: tuple[int, ...]
    parameters: int
    use_depthwise: bool = False
    topology: str = YOLOX


# timm's models: topology, channels and depth of the stages, parameters and moving statistics.
_S, _M = (64, 128, 256, 512), (96, 192, 384, 768)
_L, _X = (128, 256, 512, 1024), (160, 320, 640, 1280)
_DARKNET_53 = (64, 128, 256, 512, 1024), (1, 2, 8, 8, 4)
_CS3_S, _CS3_M = (_S, (1, 3, 4, 1)), (_M, (2, 4, 6, 2))
_CS3_L, _CS3_X = (_L, (3, 6, 9, 3)), (_X, (3, 7, 11, 3))
TIMM_SIZES = (
    ("cspdarknet53", "cspdarknet53", *_DARKNET_53, 26_617_184, 35_328),
    ("darknet53", "darknet53", *_DARKNET_53, 40_584_928, 35_712),
    ("darknetaa53", "darknetaa53", *_DARKNET_53, 34_997_984, 35_712),
    ("cs3darknet_s", "cs3darknet", *_CS3_S, 2_763_344, 8_864),
    ("cs3darknet_m", "cs3darknet", *_CS3_M, 8_541_240, 16_944),
    ("cs3darknet_l", "cs3darknet", *_CS3_L, 20_139_168, 28_992),
    ("cs3darknet_x", "cs3darknet", *_CS3_X, 33_765_320, 39_440),
    ("cs3darknet_focus_s", "cs3darknet_focus", *_CS3_S, 2_761_728, 8_832),
    ("cs3darknet_focus_m", "cs3darknet_focus", *_CS3_M, 8_535_360, 16_896),
    ("cs3darknet_focus_l", "cs3darknet_focus", *_CS3_L, 20_126_720, 28_928),
    ("cs3darknet_focus_x", "cs3darknet_focus", *_CS3_X, 33_744_000, 39_360),
    ("cs3sedarknet_l", "cs3sedarknet", *_CS3_L, 20_888_592, 28_992),
    ("cs3sedarknet_x", "cs3sedarknet_x", *_CS3_X, 34_116_904, 39_440),
    ("cs3edgenet_x", "cs3edgenet", *_CS3_X, 46_540_120, 46_240),
    ("cs3se_edgenet_x", "cs3se_edgenet", *_CS3_X, 49_440_584, 46_240),
)

SIZES = {
    "tiny": Size((48, 96, 192, 384), (1, 3, 3, 1), 2_380_416),
    "s": Size((64, 128, 256, 512), (1, 3, 3, 1), 4_223_488),
    "m": Size((96, 192, 384, 768), (2, 6, 6, 2), 12_374_400),
    "l": Size((128, 256, 512, 1024), (3, 9, 9, 3), 27_111_424),
    "xl": Size((170, 340, 680, 1360), (4, 12, 12, 4), 56_837_970),
    # Two sizes of YOLOX that KerasCV does not have; YOLOX-x is narrower than KerasCV's XL.
    "nano": Size((32, 64, 128, 256), (1, 3, 3, 1), 466_720, use_depthwise=True),
    "x": Size((160, 320, 640, 1280), (4, 12, 12, 4), 50_354_560),
    **{
        name: Size(channels, depth, parameters + statistics, topology=topology)
        for name, topology, channels, depth, parameters, statistics in TIMM_SIZES
    },
}
