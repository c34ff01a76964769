"""`CSPDarkNetBackbone`: the network, its feature pyramid, and how it is saved."""

import copy
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import keras

from cspdarknet import layers
from cspdarknet.models import arguments, graph
from cspdarknet.models.base import PresetModel
from cspdarknet.presets import load as preset_loading


@keras.saving.register_keras_serializable(package="cspdarknet")
class CSPDarkNetBackbone(PresetModel):
    """The CSPDarkNet architecture: a Focus stem, then one CSP stage for each pyramid level.

    Stage `i` halves the height and width (rounding up) and is level `P{i + 2}` of the feature
    pyramid: four stages give P2 to P5, with strides 4 to 32. The last stage has spatial pyramid
    pooling and no residual connections. Images of any size are accepted, odd and tiny ones too.

    Args:
        stackwise_channels: A list of ints, the number of channels for each stage, at least 2.
        stackwise_depth: A list of ints, the number of bottlenecks for each stage.
        include_rescaling: bool, whether to rescale the inputs. If set to `True`, inputs will be
            passed through a `Rescaling(1/255.0)` layer, so that images are given as 0..255.
        use_depthwise: bool, whether depthwise separable blocks take the place of the
            3x3 convolutions in the stages.
        input_shape: optional shape tuple without the batch, `(height, width, channels)` (the
            channels first if `data_format` says so); `None` for a size that varies.
        input_tensor: optional Keras tensor to use as image input for the model: `keras.Input()`
            or the output of a layer, whose predecessors then belong to the model, as
            in `keras.applications`.
        padding: `"same"` (TensorFlow's rule, that of KerasCV's weights) or `"symmetric"` (PyTorch's
            rule, that of YOLOX's weights).
        data_format: `"channels_last"`, `"channels_first"` or `None` for Keras' global setting.
        batch_norm_epsilon: float, added to the variances.
        batch_norm_momentum: float, momentum of the moving averages.
        frozen_layers: names of layers that are not trained: the state that `freeze` sets, as it
            is saved.
        image_shape: another name for `input_shape`, that of KerasHub.
        dtype: dtype or dtype policy of all layers; `None` for Keras' global policy.
        **kwargs: `name` and `trainable`.

    Attributes:
        pyramid_level_inputs: dict from level ("P2", ...) to the name of the layer that ends it.
        pyramid_outputs: dict from level to its symbolic Keras tensor.

    Raises:
        ValueError: if an argument is not of the form above.

    Example:
        >>> backbone = CSPDarkNetBackbone(
        ...     stackwise_channels=[48, 96, 192, 384],
        ...     stackwise_depth=[1, 3, 3, 1],
        ...     include_rescaling=True,
        ... )
        >>> backbone.predict(np.ones((1, 224, 224, 3)), verbose=0).shape
        (1, 7, 7, 384)

    References:
        YOLOX (https://arxiv.org/abs/2107.08430), CSPNet (https://arxiv.org/abs/1911.11929). The
        numbers are those of `keras_cv.models.CSPDarkNetBackbone` 0.9.
    """

    # KerasHub's interface of a backbone; a network for images embeds no tokens.
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
        batch_norm_epsilon: float = 1e-3,
        batch_norm_momentum: float = 0.99,
        frozen_layers: Sequence[str] = (),
        image_shape: tuple[int | None, ...] | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if unknown := sorted(set(kwargs) - {"name", "trainable"}):
            raise ValueError(f"Unrecognized keyword arguments: {', '.join(unknown)}")
        channels, depth = arguments.check_stages(stackwise_channels, stackwise_depth)
        include_rescaling = arguments.check_bool("include_rescaling", include_rescaling)
        use_depthwise = arguments.check_bool("use_depthwise", use_depthwise)
        trainable = arguments.check_bool("trainable", kwargs.pop("trainable", True))
        policy = arguments.check_dtype(dtype)
        settings = layers.BlockSettings(
            padding=padding,
            data_format=keras.config.image_data_format() if data_format is None else data_format,
            batch_norm_epsilon=batch_norm_epsilon,
            batch_norm_momentum=batch_norm_momentum,
            dtype=policy,
        )
        shape = arguments.resolve_input_shape(
            input_shape, image_shape, input_tensor, settings.image_format
        )

        # Functional model.
        if input_tensor is None:
            images = keras.Input(shape, dtype=policy.variable_dtype, name="images")
            sources: Any = images
        else:
            images = input_tensor
            sources = graph.source_inputs(images)
            sources = sources[0] if len(sources) == 1 else sources
        x = images
        if include_rescaling or "float" not in images.dtype:
            # Scaling by 1 turns integer pixels into floats.
            scale = 1 / 255.0 if include_rescaling else 1.0
            name = graph.free_name("rescaling", sources)
            x = keras.layers.Rescaling(scale, dtype=policy, name=name)(x)
        x = layers.focus_stem(x, channels[0] // 2, name="stem_conv", settings=settings)
        spatial_block = layers.depthwise_conv_block if use_depthwise else layers.conv_block
        pyramid = {}
        for i, (filters, bottlenecks) in enumerate(zip(channels, depth, strict=True)):
            stage, last = f"dark{i + 2}", i == len(channels) - 1
            x = spatial_block(x, filters, 3, 2, name=f"{stage}_conv", settings=settings)
            if last:
                x = layers.spp(x, filters, name=f"{stage}_spp", settings=settings)
            x = layers.csp_stage(
                x,
                filters,
                bottlenecks,
                use_depthwise=use_depthwise,
                residual=not last,
                name=f"{stage}_csp",
                settings=settings,
            )
            pyramid[f"P{i + 2}"] = x
        super().__init__(inputs=sources, outputs=x, **kwargs)

        # Config.
        self.stackwise_channels = channels
        self.stackwise_depth = depth
        self.include_rescaling = include_rescaling
        self.use_depthwise = use_depthwise
        self.image_shape = shape
        self.input_tensor = input_tensor
        self.padding = padding
        self.data_format = settings.image_format
        self.batch_norm_epsilon = batch_norm_epsilon
        self.batch_norm_momentum = batch_norm_momentum
        self.dtype_policy = policy

        self.pyramid_level_inputs = {f"P{i + 2}": f"dark{i + 2}_csp" for i in range(len(channels))}
        self.pyramid_outputs = pyramid
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
        """Pixels of the image for one step of each pyramid level, such as `{"P2": 4, ...}`."""
        return {level: 2 ** int(level[1:]) for level in self.pyramid_level_inputs}

    def feature_pyramid(self, levels: Sequence[str | int] = ("P3", "P4", "P5")) -> keras.Model:
        """Return a model that maps images to a dict of feature maps.

        It shares its layers and weights with this backbone and consists of standard Keras layers.

        Args:
            levels: names of levels, or indices into them (-1 is the deepest).

        Returns:
            A functional `keras.Model` from images to `{"P3": ..., "P4": ..., "P5": ...}`.

        Raises:
            ValueError: if a level does not exist in this backbone.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
            >>> pyramid = backbone.feature_pyramid(["P3", "P5"])
            >>> pyramid.predict(np.ones((1, 64, 64, 3)), verbose=0)["P3"].shape
            (1, 8, 8, 96)
        """
        if isinstance(levels, str) or arguments.is_integer(levels):
            levels = [levels]  # type: ignore[list-item]
        if not isinstance(levels, Iterable):
            raise ValueError(f"`levels` must be a list of levels. Received: levels={levels!r}")
        names = [self._level_name(level) for level in levels]
        if not names:
            raise ValueError("`levels` must name at least one level. Received: levels=[]")
        outputs = {name: self.pyramid_outputs[name] for name in names}
        return keras.Model(self.input, outputs, name=f"{self.name}_pyramid")

    def _level_name(self, level: str | int) -> str:
        names = list(self.pyramid_level_inputs)
        if arguments.is_integer(level) and -len(names) <= int(level) < len(names):
            return names[int(level)]
        if level not in names:
            raise ValueError(f"The levels are {', '.join(names)}. Received: {level!r}")
        return str(level)

    # Fine-tuning.

    def freeze(self, up_to: str | int | None = "stem") -> Self:
        """Freeze the first part of the network, and make the rest trainable.

        Frozen batch-norm layers run in inference mode: their moving statistics stay as they are,
        with `training=True` too. Call it before `compile()`. The state is saved with the model.

        Args:
            up_to: the last part to freeze: `"stem"`, a level such as `"P3"`, or the number of
                stages after the stem (0 is the stem alone). `None` freezes nothing.

        Returns:
            This backbone.

        Raises:
            ValueError: if there is no such part.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
            >>> backbone.freeze("P3").frozen_stages
            2
        """
        count = self._stage_count(up_to)
        parts = self._parts()
        own = {layer.name for part in parts for layer in part}
        others = [(layer, layer.trainable) for layer in self.layers if layer.name not in own]
        self.trainable = True  # of all layers; those in front of `input_tensor` keep their state
        for layer, state in others:
            layer.trainable = state
        for i, part in enumerate(parts):
            for layer in part:
                layer.trainable = i > count
        return self

    @property
    def frozen_stages(self) -> int | None:
        """How many stages after the stem are frozen: 0 for the stem alone, `None` for nothing."""
        count = -1
        for part in self._parts():
            if any(layer.trainable for layer in part):
                break
            count += 1
        return None if count < 0 else count

    @property
    def frozen_layers(self) -> list[str]:
        """Names of the layers with weights that are not trained."""
        return [layer.name for part in self._parts() for layer in part if not layer.trainable]

    def _stage_count(self, up_to: str | int | None) -> int:
        stages = len(self.stackwise_channels)
        if up_to is None:
            return -1
        if up_to == "stem":
            return 0
        if isinstance(up_to, str):
            return list(self.pyramid_level_inputs).index(self._level_name(up_to)) + 1
        if not (arguments.is_integer(up_to) and 0 <= up_to <= stages):
            raise ValueError(
                f"`up_to` must be 'stem', a level, a number of stages in 0..{stages}, or None. "
                f"Received: up_to={up_to!r}"
            )
        return int(up_to)

    def _parts(self) -> list[list[keras.layers.Layer]]:
        """The layers that hold weights: those of the stem, then those of each stage."""
        prefixes = ["stem_conv_"] + [f"dark{i + 2}_" for i in range(len(self.stackwise_channels))]
        weighted = [layer for layer in self.layers if layer.weights]
        return [[layer for layer in weighted if layer.name.startswith(p)] for p in prefixes]

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this model, as plain JSON types."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "stackwise_channels": list(self.stackwise_channels),
            "stackwise_depth": list(self.stackwise_depth),
            "include_rescaling": self.include_rescaling,
            "use_depthwise": self.use_depthwise,
            "input_shape": list(self.image_shape),
            "input_tensor": self._serialized_input(),
            "padding": self.padding,
            "data_format": self.data_format,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "batch_norm_momentum": self.batch_norm_momentum,
            "frozen_layers": self.frozen_layers,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def _serialized_input(self) -> dict[str, Any] | None:
        """The graph in front of the backbone, where `input_tensor` brought one."""
        if self.input_tensor is None:
            return None
        if self.input is self.input_tensor:
            before = graph.producer(self.input_tensor)  # the layer that `keras.Input` made
        else:
            before = keras.Model(self.input, self.input_tensor, name="input_tensor")
        # Through JSON, so that a config read from a file equals the one that was written.
        return dict(json.loads(json.dumps(keras.saving.serialize_keras_object(before))))

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a model from what `get_config` returned (KerasCV's configs are accepted too)."""
        config = dict(config)
        before = config.get("input_tensor")
        if isinstance(before, dict):
            before = copy.deepcopy(before)  # Keras empties what it deserializes
            before = keras.saving.deserialize_keras_object(before, custom_objects=custom_objects)
            if not isinstance(before, (keras.Model, keras.layers.InputLayer)):
                raise ValueError(
                    f"`input_tensor` in a config must be a model. Received: {before!r}"
                )
            config.update(input_tensor=before.output, input_shape=None)
        return cls(**config)

    # Presets.

    @classmethod
    def from_preset(
        cls, preset: str | Path, load_weights: bool | None = None, **kwargs: Any
    ) -> "CSPDarkNetBackbone":
        """Build a backbone from a preset's config and weights.

        Of a classifier's preset it is the classifier's backbone, with the weights trained there.

        Args:
            preset: one of `CSPDarkNetBackbone.presets`; a local directory written by
                `save_to_preset` or by KerasCV; `"kaggle://owner/model/framework/variation"`; or
                `"hf://owner/repository"`. Presets that are an architecture only never touch the
                network.
            load_weights: whether to load the trained weights. `None` loads them where the preset
                has some.
            **kwargs: constructor arguments that take the place of the preset's, such as `name`,
                `dtype`, `input_shape`. Those that change what the weights mean are refused when
                weights are loaded.

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
        return preset_loading.build_backbone(CSPDarkNetBackbone, preset, load_weights, kwargs)
