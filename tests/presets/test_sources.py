"""Resolution of names and paths to config and weights."""

import hashlib
import json
from dataclasses import replace

import pytest

from cspdarknet import conversion
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.presets import records, sources
from cspdarknet.presets.config import BEST, LAST, RUN_SETTINGS
from cspdarknet.presets.sources import find
from support import NANO, assert_same_weights, needs_nano, randomize
from yolox_files import yolox_like

pytestmark = pytest.mark.one_backend


class TestNames:
    @pytest.mark.parametrize("name", list(records.PRESETS))
    def test_configs_never_need_the_network(self, name, offline):
        files = find(name, load_weights=False)
        assert (files.origin, files.task) == (name, records.PRESETS[name].task)
        assert files.weights is None

    def test_an_architecture_has_no_weights(self, offline):
        assert find("csp_darknet_tiny").weights is None
        with pytest.raises(ValueError, match="csp_darknet_tiny_imagenet, csp_darknet_l_imagenet"):
            find("csp_darknet_m", load_weights=True)

    def test_bundled(self, offline):
        with find("yolox_nano_bccd") as files:
            assert files.folder == records.BUNDLED / "yolox_nano_bccd"
            assert files.weights.path == files.folder / "model.weights.h5"

    def test_unknown_names_suggest_the_nearest(self):
        with pytest.raises(ValueError, match=r"Did you mean 'csp_darknet_tiny'"):
            find("csp_darknet_tny")
        with pytest.raises(ValueError, match=r"Unknown preset: 'nope'.*csp_darknet_xl"):
            find("nope", load_weights=True)
        for bad in ("", 5, None, "x" * 5000):
            with pytest.raises(ValueError, match="preset"):
                find(bad)

    @pytest.mark.parametrize("arguments", [{"load_weights": "yes"}, {"which": "first"}])
    def test_bad_arguments(self, arguments):
        with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be one of"):
            find("csp_darknet_m", **arguments)

    def test_no_network_is_one_clear_error(self, offline, tmp_path, monkeypatch):
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        # Both hosts are tried, and named.
        with pytest.raises(ConnectionError, match=r"Kaggle.*storage\.googleapis.*by another way"):
            find("csp_darknet_tiny_imagenet")
        with pytest.raises(ConnectionError, match=r"github\.com.*by another way"):
            find("yolox_s_coco")
        with pytest.raises(ConnectionError, match=r"config\.json of 'kaggle://.*by hand"):
            find("kaggle://me/net/keras/v")


class TestFolders:
    @pytest.mark.parametrize("form", [str, lambda path: path])
    def test_preset_folder(self, preset, form):
        with find(form(preset)) as files:
            assert (files.task, files.folder) == ("features", preset)
            assert files.weights.path == preset / "model.weights.h5"
        assert find(form(preset), load_weights=False).weights is None

    def test_head(self, classifier_preset):
        files = find(classifier_preset, load_weights=False)
        assert files.task == "classification"
        assert files.config.head["num_classes"] == 3
        assert "backbone" not in files.config.head

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(ValueError, match="There is no preset folder"):
            find(tmp_path / "nowhere")
        with pytest.raises(ValueError, match=r"not a preset: it has no config\.json"):
            find(tmp_path)

    def test_missing_weights(self, preset):
        (preset / "model.weights.h5").unlink()
        with pytest.raises(ValueError, match="leave out `load_weights=True`"):
            find(preset, load_weights=True)
        assert find(preset).weights is None
        config = json.loads((preset / "config.json").read_text())
        # As KerasCV writes it.
        (preset / "config.json").write_text(json.dumps({**config, "weights": "model.weights.h5"}))
        with pytest.raises(ValueError, match="copy the file there"):
            find(preset)
        assert find(preset, load_weights=False).weights is None
        (preset / "model.weights.h5").touch()
        (preset / "config.json").write_text(json.dumps({**config, "weights": None}))
        assert find(preset).weights is None

    def test_run_folder(self, classifier_preset, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        (run / RUN_SETTINGS).write_text("{}")
        with pytest.raises(ValueError, match=r"has no finished epoch yet: there is no .*best"):
            find(run)
        classifier_preset.rename(run / LAST)
        files = find(str(run), load_weights=False, which=LAST)
        assert (files.origin, files.folder, files.task) == (str(run), run / LAST, "classification")
        with pytest.raises(ValueError, match="no finished epoch"):
            find(run, which=BEST)


class TestWeightFiles:
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".keras", ".onnx"])
    def test_the_config_is_read_off_the_file(self, suffix, state_dict, tmp_path):
        path = tmp_path / f"a{suffix}"
        if suffix == ".onnx":
            pytest.importorskip("onnx")
            from onnx_files import yolox_onnx

            path.write_bytes(yolox_onnx(yolox_like()))
        elif suffix == ".pth":
            path.write_bytes(state_dict.read_bytes())
        else:
            if suffix == ".safetensors":
                pytest.importorskip("safetensors")
            conversion.save(yolox_like(), path)
        with find(str(path)) as files:
            assert files.task == "features"
            assert files.config.backbone["stackwise_channels"] == [4, 6]
            assert files.weights.path == path
            assert files.folder is None
        assert find(path, load_weights=False).weights is None

    def test_a_bare_file_does_not_tell_its_architecture(self, classifier, tmp_path):
        conversion.save(classifier, tmp_path / "a.weights.h5")
        files = find(tmp_path / "a.weights.h5", load_weights=False)
        assert (files.config.backbone, files.task) == ({}, "classification")

    def test_the_config_beside_a_file(self, preset):
        assert find(preset / "model.weights.h5", load_weights=False).folder == preset


class TestDownloads:
    def test_the_second_source_is_tried(self, serve, monkeypatch):
        import kagglehub

        def no_host(*args, **kwargs):
            raise OSError("no such host")

        monkeypatch.setattr(kagglehub, "model_download", no_host)
        requests = serve(b"weights")
        preset = records.PRESETS["csp_darknet_tiny_imagenet"]
        hashed = records.Source(preset.sources[1].uri, hashlib.sha256(b"weights").hexdigest())
        path = sources._first_reachable("x", (preset.sources[0], hashed))
        assert path.read_bytes() == b"weights"
        assert requests[0].endswith("cspdarknettiny/imagenet/classification-v0-notop.h5")

    def test_yolox(self, serve, tmp_path, monkeypatch):
        size = records.SIZES["nano"]
        model = CSPDarkNetBackbone(
            size.stackwise_channels,
            size.stackwise_depth,
            include_rescaling=False,
            use_depthwise=True,
            padding="symmetric",
        )
        conversion.save(randomize(model), tmp_path / "nano.pth")
        content = (tmp_path / "nano.pth").read_bytes()
        requests = serve(content)
        record = records.PRESETS["yolox_nano_coco"]
        source = records.Source(record.sources[0].uri, hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(records.PRESETS, record.name, replace(record, sources=(source,)))
        assert_same_weights(CSPDarkNetBackbone.from_preset("yolox_nano_coco"), model)
        assert requests == [f"{records.YOLOX_FILES}/yolox_nano.pth"]


class TestHubs:
    @pytest.fixture
    def kaggle(self, classifier_preset, monkeypatch):
        import kagglehub

        requests = []

        def download_one(handle, path):
            requests.append((handle, path))
            return str(classifier_preset / path)

        monkeypatch.setattr(kagglehub, "model_download", download_one)
        return requests

    def test_kaggle(self, kaggle, classifier):
        model = ImageClassifier.from_preset("kaggle://me/net/keras/v")
        assert_same_weights(model, classifier)
        assert kaggle == [
            ("me/net/keras/v", "config.json"),
            ("me/net/keras/v", "model.weights.h5"),
        ]

    def test_the_config_alone(self, kaggle):
        files = find("kaggle://me/net/keras/v", load_weights=False)
        assert (files.task, files.folder) == ("classification", None)
        assert kaggle == [("me/net/keras/v", "config.json")]


@needs_nano
@pytest.mark.network
def test_the_official_nano_is_the_reference_one():
    """The file of the release gives the same outputs as its reference copy."""
    expected = CSPDarkNetBackbone.from_preset(NANO / "yolox_nano.pth")
    assert_same_weights(CSPDarkNetBackbone.from_preset("yolox_nano_coco"), expected)
