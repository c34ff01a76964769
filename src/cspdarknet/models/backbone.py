"""`CSPDarkNetBackbone`: the CSPDarkNet feature extractor as a Keras model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras

from cspdarknet._arguments import check_bool, is_integer
from cspdarknet.layers import BlockSettings
from cspdarknet.models import arguments, graph, network
from cspdarknet.models.base import PresetModel, deserialize, serialize
from cspdarknet.models.steps import use_torch_functions
from cspdarknet.presets.load import build
from cspdarknet.presets.sources import find
from cspdarknet.topologies import YOLOX, Architecture


@keras.saving.register_keras_serializable(package="cspdarknet")
class CSPDarkNetBackbone(PresetModel):
    """The CSPDarkNet architecture: a Focus stem, then one CSP stage for each pyramid level.

    Each stage halves the height and width (rounding up). The stages are the levels P2, P3, ... of
    the feature pyramid: four stages give P2 to P5, with strides 4 to 32. The last stage has spatial
    pyramid pooling and no residual connections. Images of any size are accepted, odd and tiny ones
    too. With another `topology` it is a network of timm's CSPDarkNet line, from the same blocks.

    Args:
        stackwise_channels: a list of ints, the number of channels for each stage, at least 2.
        stackwise_depth: a list of ints, the number of bottlenecks for each stage.
        include_rescaling: bool, whether to rescale the inputs. If set to `True`, inputs will be
            passed through a `Rescaling(1/255.0)` layer, so that images are given as 0..255.
        use_depthwise: bool, whether depthwise separable blocks replace the 3x3 convolutions in
            the stages.
        input_shape: optional shape tuple without the batch, `(height, width, channels)` (the
            channels first if `data_format` says so); `None` for a size that varies.
        input_tensor: optional Keras tensor to use as image input for the model: `keras.Input()`
            or the output of a layer, whose predecessors then belong to the model, as in
            `keras.applications`.
        padding: `"same"` (TensorFlow's rule, for KerasCV's weights) or `"symmetric"` (PyTorch's
            rule, for YOLOX's weights).
        data_format: `"channels_last"`, `"channels_first"` or `None` for Keras's global setting.
        activation: the activation after each convolution: `"silu"`, `"relu"`, `"leaky_relu"`
            (negative slope 0.1), `"relu6"` or `"hard_swish"`. A detector on this backbone uses it
            in its neck and head, too.
        mean: optional list of floats, one for each channel: images `x` become `(x - mean) / std`,
            after the division by 255 if `include_rescaling` is `True`. ImageNet's are
            `[0.485, 0.456, 0.406]`.
        std: list of floats, given together with `mean`. ImageNet's are `[0.229, 0.224, 0.225]`.
        batch_norm_epsilon: float, added to the variances.
        batch_norm_momentum: float, momentum of the moving averages.
        topology: one of `cspdarknet.topologies.TOPOLOGIES`: `"yolox"` for the network of KerasCV
            and YOLOX, or a branch of timm's family, such as `"cs3darknet"` or `"darknet53"`. timm's
            models also have padding `"symmetric"` and `batch_norm_epsilon=1e-5`, as their presets
            say.
        stem_channels: list of ints, the number of channels of each convolution of the stem of
            timm's networks; `None` for their share of the first stage's channels.
        output_stride: 8, 16 or 32: dilation replaces the strides of the stages that would exceed
            it, with the same weights; `None` if all stages halve the size.
        frozen_layers: names of layers that are not trained: the saved form of the state that
            `freeze` sets.
        image_shape: another name for `input_shape`, as in KerasHub.
        dtype: dtype or dtype policy of all layers; `None` for Keras's global policy.
        **kwargs: `name` and `trainable`.

    Attributes:
        pyramid_level_inputs: dict from level ("P2", ...) to the name of the layer that ends it.
        pyramid_outputs: dict from level to its symbolic Keras tensor.

    Raises:
        ValueError: if an argument is of another type or out of range.

    Example:
        >>> backbone = CSPDarkNetBackbone(
        ...     stackwise_channels=[48, 96, 192, 384],
        ...     stackwise_depth=[1, 3, 3, 1],
        ...     include_rescaling=True,
        ... )
        >>> backbone.predict(np.ones((1, 224, 224, 3)), verbose=0).shape
        (1, 7, 7, 384)

    References:
        CSPNet (https://arxiv.org/abs/1911.11929); YOLOX (https://arxiv.org/abs/2107.08430),
        `yolox/models/darknet.py`. The outputs are those of `keras_cv.models.CSPDarkNetBackbone`
        0.9.
    """

    task = "features"
    # KerasHub's interface of a backbone: a vision backbone has no token embedding.
    token_embedding = None

    def __init__(
        self,
        stackwise_channels: Sequence[int],
        stackwise_depth: Sequence[int],
        include_rescaling: bool,
        use_depthwise: bool = False,
        input_shape: tuple[int | None, ...] | None = arguments.DEFAULT_INPUT_SHAPE,
        input_tensor: Any = None,
        *,
        padding: str = "same",
        data_format: str | None = None,
        activation: str = "silu",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        batch_norm_epsilon: float = 1e-3,
        batch_norm_momentum: float = 0.99,
        topology: str = YOLOX,
        stem_channels: Sequence[int] | None = None,
        output_stride: int | None = None,
        frozen_layers: Sequence[str] = (),
        image_shape: tuple[int | None, ...] | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        trainable = arguments.pop_trainable(kwargs)
        include_rescaling = check_bool("include_rescaling", include_rescaling)
        architecture = arguments.check_architecture(
            stackwise_channels,
            stackwise_depth,
            use_depthwise,
            topology,
            stem_channels,
            output_stride,
        )
        settings = BlockSettings(
            padding=padding,
            data_format=keras.config.image_data_format() if data_format is None else data_format,
            activation=activation,
            batch_norm_epsilon=batch_norm_epsilon,
            batch_norm_momentum=batch_norm_momentum,
            dtype=arguments.check_dtype(dtype),
        )
        image_format = settings.image_format
        shape = arguments.resolve_input_shape(input_shape, image_shape, input_tensor, image_format)
        arguments.check_backbone_size(architecture, shape, image_format)
        mean, std = arguments.check_normalization(mean, std, shape, image_format)

        # Functional model.
        inputs, x = network.image_input(shape, input_tensor, include_rescaling, mean, std, settings)
        pyramid = network.pyramid_outputs(x, architecture, settings)
        super().__init__(inputs=inputs, outputs=list(pyramid.values())[-1], **kwargs)

        # Config.
        self.include_rescaling = include_rescaling
        self.image_shape = shape
        self.input_tensor = input_tensor
        self.mean, self.std = mean, std
        self._keep_architecture(architecture, pyramid)
        self._keep_settings(settings)
        self._freeze_layers(frozen_layers, trainable)

    def _keep_architecture(self, architecture: Architecture, pyramid: dict[str, Any]) -> None:
        self.architecture = architecture
        self.stackwise_channels = list(architecture.stackwise_channels)
        self.stackwise_depth = list(architecture.stackwise_depth)
        self.use_depthwise = architecture.use_depthwise
        self.output_stride = architecture.output_stride
        self.pyramid_level_inputs = {level: graph.producer(x).name for level, x in pyramid.items()}
        self.pyramid_outputs = pyramid

    def _keep_settings(self, settings: BlockSettings) -> None:
        self.padding = settings.padding
        self.data_format = settings.image_format
        self.activation = settings.activation
        self.batch_norm_epsilon = settings.batch_norm_epsilon
        self.batch_norm_momentum = settings.batch_norm_momentum
        self.dtype_policy = settings.dtype

    def _freeze_layers(self, frozen_layers: Sequence[str], trainable: bool) -> None:
        for name in frozen_layers:
            self.get_layer(name).trainable = False
        if not trainable:
            self.trainable = False

    # Features.

    @property
    def feature_channels(self) -> dict[str, int]:
        """Number of channels of each pyramid level, such as `{"P2": 48, ...}`."""
        return dict(zip(self.pyramid_level_inputs, self.stackwise_channels, strict=True))

    @property
    def feature_strides(self) -> dict[str, int]:
        """Stride of each pyramid level Pk in pixels: 2**k, and at most `output_stride`."""
        return {f"P{stage.level}": stage.stride for stage in self.architecture.stages()}

    def feature_pyramid(self, levels: Sequence[str | int] = ("P3", "P4", "P5")) -> keras.Model:
        """Return a model that maps images to a dict of feature maps.

        It shares its layers and weights with this backbone and consists of standard Keras layers.

        Args:
            levels: names of levels, indices of levels (-1 is the deepest), `"stem"`, or names of
                layers such as `"dark4_csp_bottleneck1_conv2"`.

        Returns:
            A functional `keras.Model` from images to `{"P3": ..., "P4": ..., "P5": ...}`.

        Raises:
            ValueError: if a level or layer does not exist.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
            >>> pyramid = backbone.feature_pyramid(["P3", "P5"])
            >>> pyramid.predict(np.ones((1, 64, 64, 3)), verbose=0)["P3"].shape
            (1, 8, 8, 96)
        """
        levels = arguments.check_levels(levels)
        names = [self._level_name(level) if is_integer(level) else level for level in levels]
        aliases = {"stem": self.architecture.stem_layer, **self.pyramid_level_inputs}
        outputs = {name: graph.named_output(self, name, aliases) for name in names}
        pyramid = keras.Model(self.input, outputs, name=f"{self.name}_pyramid")
        return use_torch_functions(pyramid, self.data_format)

    def _level_name(self, level: str | int) -> str:
        names = list(self.pyramid_level_inputs)
        if is_integer(level) and -len(names) <= int(level) < len(names):
            return names[int(level)]
        if level not in names:
            raise ValueError(
                f"The pyramid level must be one of {', '.join(names)}, or an index. "
                f"Received: {level!r}"
            )
        return str(level)

    # Fine-tuning.

    def freeze(self, up_to: str | int | None = "stem") -> Self:
        """Freeze the stem and the first stages, and make the rest trainable.

        Frozen batch normalization layers run in inference mode: their moving statistics do not
        change, with `training=True` either. Call this before `compile()`. The state is saved with
        the model.

        Args:
            up_to: the last stage to freeze: `"stem"`, a level such as `"P3"`, or the number of
                stages after the stem (0 is the stem alone). `None` freezes nothing.

        Returns:
            This backbone.

        Raises:
            ValueError: if there is no such stage.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
            >>> backbone.freeze("P3").frozen_stages
            2
        """
        count = self._stage_count(up_to)
        stages = self._stage_layers()
        own = {layer.name for stage in stages for layer in stage}
        others = [(layer, layer.trainable) for layer in self.layers if layer.name not in own]
        self.trainable = True  # sets it for all layers; those before `input_tensor` are set back
        for layer, trainable in others:
            layer.trainable = trainable
        for i, stage in enumerate(stages):
            for layer in stage:
                layer.trainable = i > count
        return self

    @property
    def frozen_stages(self) -> int | None:
        """Number of frozen stages after the stem: 0 for the stem alone, `None` for nothing."""
        count = -1
        for stage in self._stage_layers():
            if any(layer.trainable for layer in stage):
                break
            count += 1
        return None if count < 0 else count

    @property
    def frozen_layers(self) -> list[str]:
        """Names of the layers with weights that are not trained."""
        layers = [layer for stage in self._stage_layers() for layer in stage]
        return [layer.name for layer in layers if not layer.trainable]

    def _stage_count(self, up_to: str | int | None) -> int:
        stages = len(self.stackwise_channels)
        if up_to is None:
            return -1
        if up_to == "stem":
            return 0
        if isinstance(up_to, str):
            return list(self.pyramid_level_inputs).index(self._level_name(up_to)) + 1
        if not (is_integer(up_to) and 0 <= up_to <= stages):
            raise ValueError(
                f"`up_to` must be 'stem', a pyramid level, a number of stages in 0..{stages}, or "
                f"None. Received: up_to={up_to!r}"
            )
        return int(up_to)

    def _stage_layers(self) -> list[list[keras.layers.Layer]]:
        """Return the layers with weights: those of the stem, then those of each stage."""
        prefixes = ["stem_"] + [f"dark{level[1:]}_" for level in self.pyramid_level_inputs]
        weighted = [layer for layer in self.layers if layer.weights]
        return [[layer for layer in weighted if layer.name.startswith(p)] for p in prefixes]

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this model, as JSON types."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "stackwise_channels": list(self.stackwise_channels),
            "stackwise_depth": list(self.stackwise_depth),
            "include_rescaling": self.include_rescaling,
            "use_depthwise": self.use_depthwise,
            "input_shape": list(self.image_shape),
            "input_tensor": self._serialize_input(),
            "padding": self.padding,
            "data_format": self.data_format,
            "activation": self.activation,
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "batch_norm_momentum": self.batch_norm_momentum,
            **self._topology_config(),
            "frozen_layers": self.frozen_layers,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def _topology_config(self) -> dict[str, Any]:
        """Return the arguments of other networks than KerasCV's and YOLOX's."""
        dilated = {} if self.output_stride is None else {"output_stride": self.output_stride}
        if self.architecture.name == YOLOX:
            return dilated
        stem = [filters for filters, *_ in self.architecture.stem]
        return {**dilated, "topology": self.architecture.name, "stem_channels": stem}

    def _serialize_input(self) -> dict[str, Any] | None:
        """Return the config of the layers that compute `input_tensor`, if it was given."""
        if self.input_tensor is None:
            return None
        if self.input is self.input_tensor:
            return serialize(graph.producer(self.input_tensor))  # the layer of `keras.Input`
        return serialize(keras.Model(self.input, self.input_tensor, name="input_tensor"))

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a model from the result of `get_config`, or from a config of KerasCV."""
        config = dict(config)
        if isinstance(config.get("input_tensor"), dict):
            front = deserialize(config["input_tensor"], custom_objects)
            if not isinstance(front, (keras.Model, keras.layers.InputLayer)):
                raise ValueError(
                    "`input_tensor` in a config must be a model or an input layer. "
                    f"Received: {front!r}"
                )
            config.update(input_tensor=front.output, input_shape=None)
        return cls(**config)

    # Presets.

    @classmethod
    def from_preset(
        cls, preset: str | Path, load_weights: bool | None = None, **kwargs: Any
    ) -> "CSPDarkNetBackbone":
        """Build a backbone from a preset's config and weights.

        From the preset of a classifier or detector, its backbone is loaded.

        Args:
            preset: a preset folder written by `save_to_preset` or by KerasCV; a run folder of a
                training; a weight file; `"kaggle://owner/model/framework/variation"`;
                `"hf://owner/repository"`; or one of
                {presets}.
                For trained weights choose one of
                {presets_with_weights};
                the others are an architecture only and never need the network.
            load_weights: whether to load the trained weights. `None` loads them if the preset has
                any.
            **kwargs: constructor arguments that override the preset's, such as `name`, `dtype`,
                `input_shape`. Those that the weights depend on cannot be overridden when weights
                are loaded.

        Returns:
            A `CSPDarkNetBackbone`.

        Raises:
            ValueError: if the preset is unknown, has no weights though `load_weights=True`, or its
                weights do not fit its config.
            ConnectionError: if files must be fetched and cannot be.

        Example:
            >>> CSPDarkNetBackbone.from_preset("csp_darknet_tiny").count_params()
            2380416
        """
        return build(CSPDarkNetBackbone, find(preset, load_weights), kwargs)
