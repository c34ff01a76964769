"""Names of KerasCV and KerasHub that this package lacks, and where each of them is today.

Code for KerasCV uses more than the backbone. `import cspdarknet as keras_cv` serves only the lines
with CSPDarkNet; for all other public names of KerasCV an error says what to use instead.
"""

import sys
from typing import NoReturn

KEEP = "keep `import keras_cv` for it, beside `import cspdarknet`"
KERAS_HUB = "KerasHub has it, as `keras_hub.{}`"
BLOCKS = (
    "the blocks are functions of `cspdarknet.layers` (`conv_block`, `depthwise_conv_block`, "
    "`focus_stem`, `csp_stage`, `spp`)"
)
PRIVATE = f"it is private code of KerasCV; {BLOCKS}"
FINETUNE = "`cspdarknet.train` augments images itself (see `DetectionAugmentation`)"
OLD_NAME = "it is `cspdarknet.models.{0}Backbone` since KerasCV 0.5; it needs no `as_backbone()`"
DETECTOR = "use `cspdarknet.YOLOXDetector`, and its `from_preset`"

# Module of `keras_cv`, names in it (none for the module itself), and where they are today; "{}" is
# the name. Keras' own layers and backbones of KerasHub have mostly kept their names.
REPLACEMENTS: tuple[tuple[str, str, str], ...] = (
    ("bounding_box", "", "use `keras.utils.bounding_boxes`"),
    ("callbacks", "", "`cspdarknet.train` and `cspdarknet.evaluate` compute COCO's metrics"),
    ("core", "", KEEP),
    ("datasets", "", "`cspdarknet.data.read_dataset` reads Pascal VOC, COCO and class folders"),
    ("keypoint", "", KEEP),
    ("losses", "", "`keras.losses` has focal and Huber losses; a `YOLOXDetector` has its own loss"),
    ("metrics", "", "`cspdarknet.evaluate.evaluate_detector` computes COCO's metrics"),
    ("ops", "", "use `keras.ops`"),
    ("src", "", PRIVATE),
    ("training", "", "use `cspdarknet.train`"),
    ("utils", "", KEEP),
    ("visualization", "", "use `cspdarknet.Detections.plot` and `cspdarknet.visualize`"),
    (
        "layers",
        "AugMix AutoContrast CutMix Equalization MixUp RandAugment RandomBrightness "
        "RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomFlip "
        "RandomGaussianBlur RandomHue RandomRotation RandomSaturation RandomSharpness RandomShear "
        "RandomTranslation RandomZoom Rescaling Resizing Solarization",
        "Keras has it, as `keras.layers.{}`",
    ),
    ("layers", "Grayscale", "use `keras.layers.RandomGrayscale(factor=1)`"),
    ("layers", "Posterization", "use `keras.layers.RandomPosterization`"),
    ("layers", "RandomCutout GridMask", "use `keras.layers.RandomErasing`"),
    ("layers", "Augmenter RandomAugmentationPipeline", "use `keras.layers.Pipeline`"),
    ("layers", "JitteredResize Mosaic RandomCropAndResize RandomAspectRatio", FINETUNE),
    ("layers", "DropPath StochasticDepth DropBlock2D SqueezeAndExcite2D", KEEP),
    ("layers", "NonMaxSuppression MultiClassNonMaxSuppression", "`YOLOXDetector.predict` has NMS"),
    ("layers", "SpatialPyramidPooling", BLOCKS),
    ("layers", "AnchorGenerator", KERAS_HUB.format("layers.{}")),
    (
        "layers",
        "AddPositionalEmbedding AddRelativePositionalEmbedding BaseAugmentationLayer3D "
        "BaseImageAugmentationLayer BoxMatcher CenterNetLabelEncoder ChannelShuffle "
        "DynamicVoxelization FeaturePyramid FourierMix FrustumRandomDroppingPoints "
        "FrustumRandomPointFeatureNoise FusedMBConvBlock GlobalRandomDroppingPoints "
        "GlobalRandomFlip GlobalRandomRotation GlobalRandomScaling GlobalRandomTranslation "
        "GroupPointsByBoundingBoxes HeatmapDecoder HierarchicalTransformerEncoder MBConvBlock "
        "MultiHeadAttentionWithDownsampling MultiHeadAttentionWithRelativePE "
        "OverlappingPatchingAndEmbedding PatchingAndEmbedding ROIGenerator ROIPooler RandomApply "
        "RandomChannelShift RandomChoice RandomCopyPaste RandomDropBox "
        "RandomFrequencyPositionalEmbeddings RandomJpegQuality RepeatedAugmentation "
        "SegFormerMultiheadAttention SwapBackground TransformerEncoder TwoWayMultiHeadAttention "
        "VectorizedBaseImageAugmentationLayer ViTDetPatchingAndEmbedding WindowPartitioning "
        "WindowedTransformerEncoder",
        KEEP,
    ),
    ("models", "__internal__ backbones csp_darknet legacy", PRIVATE),
    ("models", "RetinaNet", KERAS_HUB.format("models.RetinaNetObjectDetector")),
    ("models", "YOLOV8Detector FasterRCNN", f"{DETECTOR}, or {KEEP}"),
    ("models", "YoloX YoloX_nano YoloX_tiny YoloX_s YoloX_m YoloX_l YoloX_x", DETECTOR),
    ("models", "CSPDarkNet", "it is `cspdarknet.models.CSPDarkNetBackbone` since KerasCV 0.5"),
    ("models", "CSPDarkNetTiny CSPDarkNetS CSPDarkNetM CSPDarkNetL", OLD_NAME),
    ("models", "CSPDarkNetX", OLD_NAME.format("CSPDarkNetXL")),
    ("models", "Backbone", "the base class is `keras.Model`, or `keras_hub.models.Backbone`"),
    ("models", "Task", KERAS_HUB.format("models.Task")),
    ("models", "DeepLabV3Plus", KERAS_HUB.format("models.DeepLabV3ImageSegmenter")),
    ("models", "SegFormer", KERAS_HUB.format("models.SegFormerImageSegmenter")),
    ("models", "SegmentAnythingModel", KERAS_HUB.format("models.SAMImageSegmenter")),
    ("models", "BASNet", KERAS_HUB.format("models.BASNetImageSegmenter")),
    ("models", "CLIP", KERAS_HUB.format("models.CLIPBackbone")),
    ("models", "StableDiffusion StableDiffusionV2", "KerasHub has newer versions of it"),
    ("models", "DarkNet21 DarkNet53", KERAS_HUB.format("models.CSPNetBackbone")),
    ("models", "VGG16Backbone", KERAS_HUB.format("models.VGGBackbone")),
    (
        "models",
        "DenseNetBackbone MiTBackbone ResNetBackbone ViTDetBackbone",
        KERAS_HUB.format("models.{}"),
    ),
    (
        "models",
        "DenseNet121Backbone DenseNet169Backbone DenseNet201Backbone",
        KERAS_HUB.format("models.DenseNetBackbone"),
    ),
    (
        "models",
        "EfficientNetLiteBackbone EfficientNetV1Backbone EfficientNetV2Backbone "
        "EfficientNetV2B0Backbone EfficientNetV2B1Backbone EfficientNetV2B2Backbone "
        "EfficientNetV2B3Backbone EfficientNetV2SBackbone EfficientNetV2MBackbone "
        "EfficientNetV2LBackbone",
        KERAS_HUB.format("models.EfficientNetBackbone"),
    ),
    (
        "models",
        "MobileNetV3Backbone MobileNetV3SmallBackbone MobileNetV3LargeBackbone",
        KERAS_HUB.format("models.MobileNetBackbone"),
    ),
    (
        "models",
        "ResNetV2Backbone ResNet18Backbone ResNet34Backbone ResNet50Backbone ResNet101Backbone "
        "ResNet152Backbone ResNet18V2Backbone ResNet34V2Backbone ResNet50V2Backbone "
        "ResNet101V2Backbone ResNet152V2Backbone",
        KERAS_HUB.format("models.ResNetBackbone"),
    ),
    (
        "models",
        "CenterPillarBackbone MultiHeadCenterPillar SAMMaskDecoder SAMPromptEncoder "
        "TwoWayTransformer VideoClassifier VideoSwinBackbone YOLOV8Backbone classification "
        "feature_extractor object_detection retinanet segmentation stable_diffusion yolov8",
        KEEP,
    ),
)
PRESETS: tuple[tuple[str, str], ...] = (
    (
        "csp_darknet_53_ra_imagenet csp_resnet_50_ra_imagenet csp_resnext_50_ra_imagenet "
        "darknet_53_imagenet",
        "is a preset of KerasHub: use `keras_hub.models.CSPNetBackbone`",
    ),
    (
        "yolo_v8_m_pascalvoc yolo_v8_xs_backbone yolo_v8_s_backbone yolo_v8_m_backbone "
        "yolo_v8_l_backbone yolo_v8_xl_backbone yolo_v8_xs_backbone_coco yolo_v8_s_backbone_coco "
        "yolo_v8_m_backbone_coco yolo_v8_l_backbone_coco yolo_v8_xl_backbone_coco "
        "retinanet_resnet50_pascalvoc",
        "is a preset of KerasCV for another network",
    ),
)

_PACKAGE = __name__.partition(".")[0]
_REPLACEMENTS = {
    f"{module}.{name}".rstrip("."): where.format(name)
    for module, names, where in REPLACEMENTS
    for name in names.split() or [""]
}
_PRESETS = {name: where for names, where in PRESETS for name in names.split()}


def explain(path: str) -> str | None:
    """Return where a public name of KerasCV is today; `None` for all other names.

    Args:
        path: the name, with this package in place of `keras_cv`.

    Example:
        >>> print(explain("cspdarknet.layers.RandomFlip"))
        `keras_cv.layers.RandomFlip` is not a part of cspdarknet: Keras has it, as
        `keras.layers.RandomFlip`. Change only the lines with CSPDarkNet: see docs/from-kerascv.md.
    """
    name = path.removeprefix(f"{_PACKAGE}.")
    where = _REPLACEMENTS.get(name)
    if where is None:
        return None
    return (
        f"`keras_cv.{name}` is not a part of {_PACKAGE}: {where}. "
        "Change only the lines with CSPDarkNet: see docs/from-kerascv.md."
    )


def explain_preset(name: str) -> str:
    """Return which network a preset of KerasCV or KerasHub is for; empty for other names."""
    where = _PRESETS.get(name)
    return f"{name!r} {where}. " if where else ""


def missing(module: str, name: str) -> NoReturn:
    """Raise the error of a module that lacks a name, as its `__getattr__`.

    Raises:
        AttributeError: always.
    """
    text = explain(f"{module}.{name}")
    raise AttributeError(text or f"module {module!r} has no attribute {name!r}")


class ImportHook:
    """Last finder of `sys.meta_path`, for imports of names that this package does not have.

    `from package import name` would hide the text of the package's own `AttributeError`.
    """

    @staticmethod
    def find_spec(path: str, *_: object) -> None:
        """Raise an error for a name of KerasCV; leave all others to Python.

        Raises:
            ImportError: if it is a name of KerasCV.
        """
        if path.startswith(f"{_PACKAGE}.") and (text := explain(path)):
            raise ImportError(text)


def install_import_hook() -> None:
    """Add the finder to `sys.meta_path`, once."""
    if all(type(finder).__name__ != ImportHook.__name__ for finder in sys.meta_path):
        sys.meta_path.append(ImportHook())  # type: ignore[arg-type]
