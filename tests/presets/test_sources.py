"""Where preset files come from and go to, with local stand-ins for the hosts."""

import hashlib

import keras
import numpy as np
import pytest

from cspdarknet import checkpoints, upload_preset
from cspdarknet.checkpoints import CheckpointError
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.presets import download, records, sources
from support import (
    GOLDEN,
    assert_same_weights,
    needs_golden,
    randomize,
    relative_error,
    to_numpy,
)
from yolox_files import build

pytestmark = pytest.mark.one_backend

TOLERANCE = 1e-4


class TestSources:
    """Downloads, with local files in place of the hosts."""

    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))

    def serve(self, monkeypatch, data):
        asked = []

        def get_file(name, origin, cache_dir, cache_subdir):
            asked.append(origin)
            if isinstance(data, Exception):
                raise data
            path = download.Path(cache_dir) / cache_subdir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return str(path)

        monkeypatch.setattr(keras.utils, "get_file", get_file)
        return asked

    def test_a_published_hash_is_checked(self, monkeypatch):
        asked = self.serve(monkeypatch, b"weights")
        good = hashlib.sha256(b"weights").hexdigest()
        url = "https://host/a/b/w.h5"
        assert download.fetch(url, sha256=good).read_bytes() == b"weights"
        download.fetch(url, sha256=good)
        assert asked == [url]  # the second time from the cache
        with pytest.raises(CheckpointError, match="damaged or was replaced"):
            download.fetch("https://host/a/b/other.h5", sha256="0" * 64)
        with pytest.raises(CheckpointError):  # nothing of the bad file is left
            download.fetch("https://host/a/b/other.h5", sha256="0" * 64)
        assert len(asked) == 3

    def test_an_unknown_hash_is_kept_from_the_first_download_on(self, monkeypatch):
        url = "https://host/a/b/w.pth"
        self.serve(monkeypatch, b"first")
        path = download.fetch(url)
        path.unlink()
        self.serve(monkeypatch, b"second")
        with pytest.raises(CheckpointError, match="expected"):
            download.fetch(url)
        self.serve(monkeypatch, b"first")
        path = download.fetch(url)
        path.write_bytes(b"changed on disk")
        with pytest.raises(CheckpointError, match="expected"):
            download.fetch(url)

    def test_the_second_source_is_tried(self, monkeypatch, tmp_path):
        import kagglehub

        def no_host(*args, **kwargs):
            raise OSError("no such host")

        monkeypatch.setattr(kagglehub, "model_download", no_host)
        asked = self.serve(monkeypatch, b"weights")
        preset = records.PRESETS["csp_darknet_tiny_imagenet"]
        hashed = records.Source(preset.sources[1].uri, hashlib.sha256(b"weights").hexdigest())
        path = sources._first_reachable("x", (preset.sources[0], hashed))
        assert path.read_bytes() == b"weights"
        assert asked[0].endswith("cspdarknettiny/imagenet/classification-v0-notop.h5")

    def test_yolox_preset(self, monkeypatch, tmp_path):
        size = records.SIZES["nano"]
        model = randomize(
            CSPDarkNetBackbone(
                size.stackwise_channels,
                size.stackwise_depth,
                include_rescaling=False,
                use_depthwise=True,
                padding="symmetric",
            )
        )
        checkpoints.save(model, tmp_path / "nano.pth")
        asked = self.serve(monkeypatch, (tmp_path / "nano.pth").read_bytes())
        assert_same_weights(model, CSPDarkNetBackbone.from_preset("yolox_nano_coco"))
        assert asked == [f"{records.YOLOX_FILES}/yolox_nano.pth"]
        # The factor of the rescaling moves into the stem's weights.
        scaled = CSPDarkNetBackbone.from_preset("yolox_nano_coco", include_rescaling=True)
        x = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
        assert relative_error(scaled(x), to_numpy(model(x))) <= TOLERANCE
        with pytest.raises(ValueError, match="padding"):
            CSPDarkNetBackbone.from_preset("yolox_nano_coco", padding="same")


@needs_golden
@pytest.mark.network
def test_the_official_nano_is_the_reference_one(photo):
    """The release's own file gives what the reference copy of it gives."""
    expected = to_numpy(checkpoints.load(GOLDEN / "nano_real" / "yolox_nano.pth")(photo))
    found = CSPDarkNetBackbone.from_preset("yolox_nano_coco")(photo)
    assert relative_error(found, expected) <= TOLERANCE


class TestUpload:
    @pytest.fixture
    def preset(self, state_dict, tmp_path):
        checkpoints.save(checkpoints.load(state_dict), tmp_path / "p", {"name": "a.pth"})
        return tmp_path / "p"

    def test_hugging_face(self, preset, monkeypatch):
        hub = pytest.importorskip("huggingface_hub")
        calls = []
        monkeypatch.setattr(hub, "create_repo", lambda *a, **k: calls.append(("create", a, k)))
        monkeypatch.setattr(hub, "upload_folder", lambda **k: calls.append(("upload", k)))
        upload_preset("hf://me/net", preset)
        assert calls == [
            ("create", ("me/net",), {"exist_ok": True}),
            ("upload", {"repo_id": "me/net", "folder_path": str(preset)}),
        ]
        card = (preset / "README.md").read_text()
        assert card.startswith("---\nlibrary_name: keras\n")
        assert 'from_preset("hf://me/net")' in card
        assert "[4, 6]" in card
        assert "a.pth" in card
        (preset / "README.md").write_text("my own card")
        upload_preset("hf://me/net", preset)
        assert (preset / "README.md").read_text() == "my own card"

    def test_kaggle_on_saving(self, monkeypatch, tmp_path):
        import kagglehub

        calls = []
        monkeypatch.setattr(kagglehub, "model_upload", lambda *a: calls.append(a))
        build().save_to_preset(tmp_path / "p", push_to="kaggle://me/net/keras/v")
        assert calls == [("me/net/keras/v", str(tmp_path / "p"))]
        assert_same_weights(build(), CSPDarkNetBackbone.from_preset(tmp_path / "p"))

    def test_bad_places(self, preset, tmp_path):
        with pytest.raises(ValueError, match="kaggle"):
            upload_preset("s3://bucket", preset)
        with pytest.raises(ValueError, match="no preset"):
            upload_preset("hf://me/net", tmp_path / "none")
