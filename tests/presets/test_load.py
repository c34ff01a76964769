"""Presets: named, local, and from the hubs (with the hubs replaced by local stand-ins)."""

import json
import shutil
import sys
import types

import h5py
import keras
import numpy as np
import pytest

import cspdarknet
from cspdarknet.models import CSPDarkNetBackbone
from support import SMALL, randomize, to_numpy

NAMES = [
    "csp_darknet_tiny",
    "csp_darknet_s",
    "csp_darknet_m",
    "csp_darknet_l",
    "csp_darknet_xl",
    "csp_darknet_tiny_imagenet",
    "csp_darknet_l_imagenet",
]
BUNDLED = ["csp_darknet_tiny_clothing", "yolox_nano_bccd"]
YOLOX = [f"yolox_{size}_coco" for size in ("nano", "tiny", "s", "m", "l", "x")]


@pytest.fixture
def offline(monkeypatch):
    """Fail on any attempt to open a connection."""

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture
def preset(tmp_path):
    model = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def weights_equal(a, b):
    for x, y in zip(a.variables, b.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(x), to_numpy(y))


@pytest.mark.one_backend
class TestTables:
    def test_names(self):
        assert list(CSPDarkNetBackbone.presets) == NAMES + BUNDLED + YOLOX
        assert list(CSPDarkNetBackbone.presets_with_weights) == NAMES[5:] + BUNDLED + YOLOX
        assert list(CSPDarkNetBackbone.presets_without_weights) == NAMES[:5]

    def test_entries(self):
        for name, entry in CSPDarkNetBackbone.presets.items():
            assert str(entry["config"]["stackwise_channels"]) in entry["metadata"]["description"]
            handle = f"kaggle://keras/cspdarknet/keras/{name}/2" if name in NAMES else None
            assert entry["kaggle_handle"] == handle
        assert CSPDarkNetBackbone.presets["csp_darknet_xl"]["metadata"]["params"] == 56_837_970

    def test_aliases_list_their_own(self):
        models = cspdarknet.models
        assert list(models.CSPDarkNetTinyBackbone.presets) == ["csp_darknet_tiny_imagenet"]
        assert list(models.CSPDarkNetLBackbone.presets_with_weights) == ["csp_darknet_l_imagenet"]
        for alias in (
            models.CSPDarkNetSBackbone,
            models.CSPDarkNetMBackbone,
            models.CSPDarkNetXLBackbone,
        ):
            assert alias.presets == alias.presets_with_weights == {}

    def test_a_copy_is_handed_out(self):
        CSPDarkNetBackbone.presets["csp_darknet_tiny"]["config"]["stackwise_channels"].append(1)
        CSPDarkNetBackbone.presets.clear()
        assert len(CSPDarkNetBackbone.presets["csp_darknet_tiny"]["config"]["stackwise_depth"]) == 4


@pytest.mark.one_backend
class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_architectures_never_touch_the_network(self, name, offline):
        model = CSPDarkNetBackbone.from_preset(name, load_weights=False, name="mine")
        assert model.name == "mine"
        assert model.include_rescaling
        assert model.count_params() == CSPDarkNetBackbone.presets[name]["metadata"]["params"]
        if not name.endswith("imagenet"):
            CSPDarkNetBackbone.from_preset(name)

    def test_overrides(self):
        model = CSPDarkNetBackbone.from_preset(
            "csp_darknet_tiny",
            input_shape=(64, 64, 1),
            use_depthwise=True,
            include_rescaling=False,
            padding="symmetric",
        )
        assert (model.input_shape, model.padding) == ((None, 64, 64, 1), "symmetric")
        with pytest.raises(ValueError, match="foo"):
            CSPDarkNetBackbone.from_preset("csp_darknet_tiny", foo=1)

    def test_unknown_names_suggest_the_nearest(self):
        with pytest.raises(ValueError, match=r"Did you mean 'csp_darknet_tiny'"):
            CSPDarkNetBackbone.from_preset("csp_darknet_tny")
        with pytest.raises(ValueError, match=r"Unknown preset: 'nope'.*csp_darknet_xl"):
            CSPDarkNetBackbone.from_preset("nope", load_weights=True)
        for bad in ("", 5, None, "x" * 5000):
            with pytest.raises(ValueError, match="preset"):
                CSPDarkNetBackbone.from_preset(bad)

    def test_weights_of_an_architecture_preset(self, offline):
        with pytest.raises(ValueError, match="csp_darknet_tiny_imagenet, csp_darknet_l_imagenet"):
            CSPDarkNetBackbone.from_preset("csp_darknet_m", load_weights=True)
        with pytest.raises(ValueError, match="load_weights"):
            CSPDarkNetBackbone.from_preset("csp_darknet_m", load_weights="yes")

    def test_no_network_is_one_clear_error(self, offline, tmp_path, monkeypatch):
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        # Both hosts are tried, and named.
        with pytest.raises(ConnectionError, match=r"Kaggle.*storage\.googleapis.*by another way"):
            CSPDarkNetBackbone.from_preset("csp_darknet_tiny_imagenet")
        with pytest.raises(ConnectionError, match=r"github\.com.*by another way"):
            CSPDarkNetBackbone.from_preset("yolox_s_coco")
        with pytest.raises(ConnectionError, match=r"config\.json of 'kaggle://.*by hand"):
            CSPDarkNetBackbone.from_preset("kaggle://me/net/keras/v")

    def test_aliases_refuse_other_sizes(self):
        alias = cspdarknet.models.CSPDarkNetTinyBackbone
        assert alias.from_preset("csp_darknet_tiny").count_params() == 2_380_416
        with pytest.raises(ValueError, match="not of the size of CSPDarkNetTinyBackbone"):
            alias.from_preset("csp_darknet_l_imagenet")
        assert "preset" in cspdarknet.models.CSPDarkNetSBackbone.from_preset.__doc__


class TestDirectories:
    def test_round_trip(self, preset):
        assert sorted(p.name for p in preset.iterdir()) == [
            "config.json",
            "metadata.json",
            "model.weights.h5",
        ]
        metadata = json.loads((preset / "metadata.json").read_text())
        assert metadata["parameter_count"] == 255_488
        assert metadata["keras_version"] == keras.__version__
        expected = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))
        for path in (preset, str(preset)):
            weights_equal(CSPDarkNetBackbone.from_preset(path), expected)
        alias = cspdarknet.models.CSPDarkNetTinyBackbone
        weights_equal(alias.from_preset(preset), expected)
        fresh = CSPDarkNetBackbone.from_preset(preset, load_weights=False)
        assert np.all(to_numpy(fresh.get_layer("stem_conv_bn").gamma) == 1)

    def test_weights_can_be_read_by_keras_itself(self, preset):
        model = CSPDarkNetBackbone(**SMALL, include_rescaling=True)
        model.load_weights(preset / "model.weights.h5")
        weights_equal(model, CSPDarkNetBackbone.from_preset(preset))

    def test_free_overrides_keep_the_weights(self, preset, photo):
        original = CSPDarkNetBackbone.from_preset(preset)
        changed = CSPDarkNetBackbone.from_preset(
            preset, name="x", input_shape=(37, 53, 3), trainable=False, dtype="mixed_bfloat16"
        )
        weights_equal(original, changed)
        assert not changed.trainable_variables
        images = keras.Input((37, 53, 3))
        inside = CSPDarkNetBackbone.from_preset(preset, input_tensor=images)
        np.testing.assert_array_equal(to_numpy(inside(photo)), to_numpy(original(photo)))
        first = CSPDarkNetBackbone.from_preset(preset, data_format="channels_first")
        assert first.input_shape == (None, 3, None, None)
        weights_equal(original, first)

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        "override",
        [
            {"include_rescaling": False},
            {"stackwise_depth": [1, 1, 1, 1]},
            {"use_depthwise": True},
            {"padding": "symmetric"},
            {"batch_norm_epsilon": 1e-5},
        ],
    )
    def test_overrides_that_weights_cannot_follow(self, preset, override):
        with pytest.raises(ValueError, match="load_weights=False"):
            CSPDarkNetBackbone.from_preset(preset, **override)
        model = CSPDarkNetBackbone.from_preset(preset, load_weights=False, **override)
        assert model.get_config()[next(iter(override))] == next(iter(override.values()))

    @pytest.mark.one_backend
    def test_overrides_that_change_nothing_are_fine(self, preset):
        CSPDarkNetBackbone.from_preset(
            preset, include_rescaling=True, stackwise_depth=np.array([1, 2, 2, 1])
        )

    @pytest.mark.one_backend
    def test_replacing_a_preset(self, preset):
        other = CSPDarkNetBackbone([8], [1], True)
        other.save_to_preset(preset)
        assert CSPDarkNetBackbone.from_preset(preset).stackwise_channels == [8]
        assert [p.name for p in preset.parent.iterdir()] == ["preset"]

    @pytest.mark.one_backend
    def test_a_failed_save_leaves_the_old_preset(self, preset, monkeypatch):
        other = CSPDarkNetBackbone([8], [1], True)

        def full_disk(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(keras.Model, "save_weights", full_disk)
        with pytest.raises(OSError, match="No space left"):
            other.save_to_preset(preset)
        assert CSPDarkNetBackbone.from_preset(preset).stackwise_channels[0] == 16
        assert [p.name for p in preset.parent.iterdir()] == ["preset"]

    @pytest.mark.one_backend
    def test_other_directories_are_not_replaced(self, tmp_path, tiny_net):
        (tmp_path / "thesis.txt").write_text("years of work")
        (tmp_path / "config.json").write_text('{"my": "app"}')
        for place in (tmp_path, tmp_path / "thesis.txt"):
            with pytest.raises(ValueError, match="not a preset directory"):
                tiny_net.save_to_preset(place)
        with pytest.raises(ValueError, match="push_to"):
            tiny_net.save_to_preset("hf://me/net")
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    @pytest.mark.one_backend
    def test_other_files_in_a_preset_are_kept(self, preset, tiny_net):
        (preset / "README.md").write_text("my model card")
        link = preset.parent / "link"
        link.symlink_to(preset)
        tiny_net.save_to_preset(link)
        assert link.is_symlink()
        assert (preset / "README.md").read_text() == "my model card"
        assert CSPDarkNetBackbone.from_preset(preset).stackwise_channels == [4, 6]

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"input_tensor": {}},
            {"stackwise_channels": [10**30, 6]},
            {"stackwise_depth": [10**9, 1]},
            {"input_tensor": {"class_name": "Popen", "module": "subprocess", "config": {}}},
            {
                "input_tensor": {
                    "class_name": "Lambda",
                    "module": "keras.layers",
                    "config": {"function": {"class_name": "__lambda__", "config": {"code": "x"}}},
                }
            },
            {
                "input_tensor": {
                    "class_name": "Dense",
                    "module": "keras.layers",
                    "config": {"units": 1},
                }
            },
        ],
    )
    def test_hostile_configs(self, preset, config):
        content = json.loads((preset / "config.json").read_text())
        content["config"] = {**content["config"], **config} if config else {}
        (preset / "config.json").write_text(json.dumps(content))
        with pytest.raises(ValueError):  # noqa: PT011  (the texts differ, some are Keras')
            CSPDarkNetBackbone.from_preset(preset)

    def test_bfloat16_weights(self, tmp_path):
        model = CSPDarkNetBackbone(**SMALL, include_rescaling=True, dtype="bfloat16")
        model.save_to_preset(tmp_path / "half")
        again = CSPDarkNetBackbone.from_preset(tmp_path / "half")
        for a, b in zip(model.variables, again.variables, strict=True):
            np.testing.assert_array_equal(
                to_numpy(keras.ops.cast(a, "float32")), to_numpy(keras.ops.cast(b, "float32"))
            )

    def test_a_model_in_front(self, tmp_path):
        images = keras.Input((16, 16, 3))
        front = keras.Sequential([keras.layers.Conv2D(3, 1)])
        model = randomize(
            CSPDarkNetBackbone(**SMALL, include_rescaling=True, input_tensor=front(images))
        )
        model.save_to_preset(tmp_path / "p")
        weights_equal(model, CSPDarkNetBackbone.from_preset(tmp_path / "p"))
        with pytest.raises(ValueError, match="input_tensor instead of input_shape"):
            CSPDarkNetBackbone.from_preset(tmp_path / "p", input_shape=(32, 32, 3))

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda p: (p / "config.json").unlink(), "no config.json"),
            (lambda p: (p / "config.json").write_text(""), "not valid JSON"),
            (lambda p: (p / "config.json").write_text("[" * 100_000), "not valid JSON"),
            (lambda p: (p / "config.json").write_bytes(b"\xff\xfe"), "not valid JSON"),
            (lambda p: (p / "config.json").write_text("[1]"), "no 'config' entry"),
            (lambda p: (p / "config.json").write_text('{"config": 1}'), "no 'config' entry"),
            (
                lambda p: (p / "config.json").write_text('{"class_name": "X", "config": {}}'),
                "describes a 'X'",
            ),
            (lambda p: (p / "model.weights.h5").write_bytes(b"x"), "damaged"),
            (lambda p: shutil.copy(p / "config.json", p / "model.weights.h5"), "damaged"),
        ],
    )
    def test_damaged_presets(self, preset, damage, message):
        damage(preset)
        with pytest.raises(ValueError, match=message):
            CSPDarkNetBackbone.from_preset(preset)

    @pytest.mark.one_backend
    def test_missing_weights(self, preset):
        (preset / "model.weights.h5").unlink()
        with pytest.raises(ValueError, match="leave out `load_weights=True`"):
            CSPDarkNetBackbone.from_preset(preset, load_weights=True)
        CSPDarkNetBackbone.from_preset(preset)
        config = json.loads((preset / "config.json").read_text())
        (preset / "config.json").write_text(json.dumps({**config, "weights": "model.weights.h5"}))
        with pytest.raises(ValueError, match="copy the file there"):
            CSPDarkNetBackbone.from_preset(preset)

    @pytest.mark.one_backend
    def test_no_such_directory(self, tmp_path):
        with pytest.raises(ValueError, match="no preset directory"):
            CSPDarkNetBackbone.from_preset(tmp_path / "nowhere")

    def test_a_compiled_model_leaves_no_trace(self, tmp_path, tiny_net):
        tiny_net.compile("adam", "mse")
        tiny_net.fit(np.ones((2, 16, 16, 3)), np.ones((2, 2, 2, 6)), verbose=0)
        tiny_net.save_to_preset(tmp_path / "p")
        assert "compile_config" not in (tmp_path / "p" / "config.json").read_text()
        weights = tmp_path / "p" / "model.weights.h5"
        with h5py.File(weights) as file:
            assert set(file) == {"layers", "vars"}
        weights_equal(tiny_net, CSPDarkNetBackbone.from_preset(tmp_path / "p"))
        # Keras' own way of saving keeps the optimizer's state, which is no weight.
        tiny_net.save_weights(weights)
        weights_equal(tiny_net, CSPDarkNetBackbone.from_preset(tmp_path / "p"))


@pytest.mark.one_backend
class TestHubs:
    def test_kaggle(self, preset, monkeypatch):
        import kagglehub

        asked = []

        def download(handle, path):
            asked.append((handle, path))
            return str(preset / path)

        monkeypatch.setattr(kagglehub, "model_download", download)
        expected = CSPDarkNetBackbone.from_preset(preset)
        weights_equal(CSPDarkNetBackbone.from_preset("kaggle://me/net/keras/v"), expected)
        assert asked == [
            ("me/net/keras/v", "config.json"),
            ("me/net/keras/v", "model.weights.h5"),
        ]
        asked.clear()
        CSPDarkNetBackbone.from_preset("kaggle://me/net/keras/v", load_weights=False)
        assert asked == [("me/net/keras/v", "config.json")]

    def test_bad_kaggle_handle(self, offline):
        with pytest.raises(ValueError, match="no Kaggle handle"):
            CSPDarkNetBackbone.from_preset("kaggle://nonsense")

    def test_hugging_face(self, preset, monkeypatch):
        hub = pytest.importorskip("huggingface_hub")
        monkeypatch.setattr(hub, "hf_hub_download", lambda repository, file: str(preset / file))
        expected = CSPDarkNetBackbone.from_preset(preset)
        weights_equal(CSPDarkNetBackbone.from_preset("hf://me/net"), expected)

    def test_hugging_face_offline(self, offline, monkeypatch, tmp_path):
        hub = pytest.importorskip("huggingface_hub")
        with pytest.raises(ValueError, match="no Hugging Face repository"):
            CSPDarkNetBackbone.from_preset("hf://a/b/c")

        def unreachable(repository, file):
            raise hub.errors.LocalEntryNotFoundError("cannot find the host")

        monkeypatch.setattr(hub, "hf_hub_download", unreachable)
        with pytest.raises(ConnectionError, match=r"Hugging Face.*by hand"):
            CSPDarkNetBackbone.from_preset("hf://me/net")

    def test_missing_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(ImportError, match=r"pip install 'cspdarknet\[hf\]'"):
            CSPDarkNetBackbone.from_preset("hf://me/net")


@pytest.mark.network
@pytest.mark.parametrize("name", ["csp_darknet_tiny_imagenet"])
def test_published_figures_of_the_imagenet_preset(name):
    """KerasCV's own preset test: five figures, to a hundredth."""
    model = CSPDarkNetBackbone.from_preset(name)
    found = to_numpy(model(np.ones((1, 512, 512, 3), "float32")))[0, 0, 0, :5]
    expected = [-0.16216235, 0.7333651, 0.4312072, 0.738807, -0.2515305]
    np.testing.assert_allclose(found, expected, atol=0.01, rtol=0.01)


@pytest.mark.one_backend
def test_missing_module_is_told_apart_from_a_broken_one(monkeypatch):
    from cspdarknet._extras import require

    assert isinstance(require("json", "x", "This"), types.ModuleType)
    with pytest.raises(ImportError, match=r"This needs no_such_module: run `pip install"):
        require("no_such_module", "x", "This")
