"""Models from Hugging Face's hub, with a stand-in for it on the loopback address."""

import json
import os
import pickle

import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.presets import sources
from cspdarknet.presets.hugging_face import download_file, parse_address
from cspdarknet.presets.sources import find
from hub_server import Repository
from support import assert_same_weights

pytestmark = pytest.mark.one_backend

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


@pytest.fixture
def repository(hub):
    """The repository me/net with one commit of short files."""
    repository = hub.repositories["me/net"] = Repository()
    repository.commit({CONFIG: b"{}", WEIGHTS: b"weights" * 100})
    return repository


def cached_files(tmp_path):
    return [p for p in (tmp_path / "hub").rglob("*") if p.is_file() and "blobs" in p.parts]


def test_from_preset(hub, preset, backbone):
    hub.repositories["me/net"] = repository = Repository()
    repository.commit({file.name: file.read_bytes() for file in preset.iterdir()})
    assert_same_weights(CSPDarkNetBackbone.from_preset("hf://me/net"), backbone)
    assert hub.resolved() == {CONFIG, WEIGHTS}
    CSPDarkNetBackbone.from_preset("hf://me/net")
    assert hub.downloads(WEIGHTS) == [None]  # the second time from the cache
    files = find("hf://me/net@main", load_weights=False)
    assert (files.task, files.origin) == ("features", "hf://me/net@main")


def test_config_and_weights_are_of_one_commit(hub, preset, backbone, monkeypatch):
    hub.repositories["me/net"] = repository = Repository()
    files = {name: (preset / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    repository.commit(files)
    fetch = sources.fetch

    def fetch_and_move(address, name):
        path = fetch(address, name)
        repository.commit({**files, WEIGHTS: b"of another model"})
        return path

    monkeypatch.setattr(sources, "fetch", fetch_and_move)
    assert_same_weights(CSPDarkNetBackbone.from_preset("hf://me/net"), backbone)


class TestDownload:
    @pytest.mark.parametrize(("chunk", "second"), [(100, "bytes=300-"), (1000, None)])
    def test_after_a_cut_connection(self, hub, repository, monkeypatch, chunk, second):
        """It continues behind the last whole chunk, or starts anew if there is none."""
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", chunk)
        hub.cut[WEIGHTS] = 300
        assert download_file("hf://me/net", WEIGHTS).read_bytes() == b"weights" * 100
        assert hub.downloads(WEIGHTS) == [None, second]

    def test_revisions(self, hub, repository):
        (first,) = repository.commits
        repository.refs["v1"] = first
        assert download_file("hf://me/net", WEIGHTS).read_bytes() == b"weights" * 100
        second = repository.commit({CONFIG: b"{}", WEIGHTS: b"new"}, "main", "feature/a")
        for revision in ("", "@main", "@feature/a", f"@{second}"):
            assert download_file(f"hf://me/net{revision}", WEIGHTS).read_bytes() == b"new"
        for revision in ("@v1", f"@{first}"):
            content = download_file(f"hf://me/net{revision}", WEIGHTS).read_bytes()
            assert content == b"weights" * 100
        assert hub.downloads(WEIGHTS) == [None, None]  # one for each content

    @pytest.mark.parametrize("state", ["offline", "down", "gone", "gated"])
    def test_cached_files_without_the_hub(self, hub, repository, monkeypatch, state):
        path = download_file("hf://me/net", WEIGHTS)
        if state == "offline":
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        hub.down = 503 if state == "down" else None
        repository.private, repository.gated = state == "gone", state == "gated"
        assert download_file("hf://me/net", WEIGHTS) == path

    @pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
    def test_damaged_files_are_removed(self, hub, repository, tmp_path, name):
        good = download_file("hf://me/net", name).read_bytes()
        repository.commit({name: good + b"!"})
        hub.damaged[name] = good + b"?"
        with pytest.raises(CheckpointError, match=f"{name} of hf://me/net must have the hash"):
            download_file("hf://me/net", name)
        assert [path.read_bytes() for path in cached_files(tmp_path)] == [good]
        hub.damaged.clear()
        assert download_file("hf://me/net", name).read_bytes() == good + b"!"

    def test_a_file_that_was_changed_in_the_cache(self, hub, repository):
        download_file("hf://me/net", WEIGHTS).write_bytes(b"changed")
        with pytest.raises(CheckpointError, match="has been removed: run again"):
            download_file("hf://me/net", WEIGHTS)
        assert download_file("hf://me/net", WEIGHTS).read_bytes() == b"weights" * 100


class TestRefusals:
    def test_enormous_files_are_not_downloaded(self, hub, repository):
        repository.stated_sizes = {CONFIG: 10_000_001, WEIGHTS: 1 << 40}
        for name in (CONFIG, WEIGHTS):
            with pytest.raises(CheckpointError, match=r"must have at most .* not downloaded"):
                download_file("hf://me/net", name)
            assert hub.downloads(name) == []

    def test_what_a_repository_cannot_do(self, hub, preset, tmp_path):
        """Files outside the cache, and pickles, which would run a program when they are read."""

        class Program:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "executed"),)

        hostile = pickle.dumps(Program())
        hub.repositories["me/net"] = repository = Repository()
        config = (preset / CONFIG).read_bytes()
        names = ("../../../outside", "model.py", "pytorch_model.bin", WEIGHTS)
        repository.commit({CONFIG: config, **dict.fromkeys(names, hostile)})
        with pytest.raises(CheckpointError):
            CSPDarkNetBackbone.from_preset("hf://me/net")
        other = {**json.loads(config), "module": "os", "class_name": "system"}
        repository.commit({CONFIG: json.dumps(other).encode(), WEIGHTS: hostile})
        with pytest.raises(ValueError, match="config"):
            CSPDarkNetBackbone.from_preset("hf://me/net")
        assert not list(tmp_path.rglob("executed"))
        assert not list(tmp_path.rglob("outside"))
        assert hub.resolved() == {CONFIG, WEIGHTS}

    def test_addresses(self):
        assert parse_address("hf://me/net@refs/pr/1") == ("me/net", "refs/pr/1")
        for address in ("hf://", "hf://me/net@", "hf://me/net@../../x", "hf://me/net@a b@c"):
            with pytest.raises(ValueError, match="must be hf://owner/repository"):
                parse_address(address)
        with pytest.raises(ValueError, match="not a Hugging Face repository"):
            download_file("hf://a/b/c", CONFIG)


class TestErrors:
    """Each is one plain message: rule, what was received, remedy."""

    @pytest.mark.parametrize(
        ("change", "address", "message"),
        [
            (
                {"gated": True},
                "",
                r"have accepted its terms\. Received: .*403.*Accept them at h",
            ),
            ({"private": True}, "", r"must be a repository .*401.*Check the spelling.*hf auth"),
            ({}, "s", r"hf://me/nets must be a repository that exists.*Check the spelling"),
            ({}, "@v9", r"must name a branch, a tag or a commit.*404.*leave out @v9"),
            ({"commits": {}}, "", "must name a branch"),
        ],
    )
    def test_of_repositories(self, repository, change, address, message):
        vars(repository).update(change)
        with pytest.raises(ValueError, match=message) as caught:
            download_file(f"hf://me/net{address}", CONFIG)
        assert "\n" not in str(caught.value)
        assert not isinstance(caught.value, ConnectionError)

    def test_of_missing_files(self, repository):
        with pytest.raises(ValueError, match=r"must be a preset .* without tokenizer\.json"):
            download_file("hf://me/net", "tokenizer.json")

    def test_offline(self, repository, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ConnectionError, match=r"HF_HUB_OFFLINE forbids.*into a folder by hand"):
            find("hf://me/net")

    @pytest.mark.parametrize("state", ["down", "closed"])
    def test_unreachable(self, hub, repository, state):
        if state == "closed":
            hub.stop()
        else:
            hub.down = 503
        with pytest.raises(ConnectionError, match=r"from Hugging Face .*into a folder by hand"):
            find("hf://me/net")

    def test_a_login_that_has_expired(self, hub, repository):
        hub.down = 401
        with pytest.raises(ValueError, match=r"log in with `hf auth login`"):
            download_file("hf://me/net", CONFIG)

    def test_a_private_repository_with_a_login(self, hub, repository, monkeypatch):
        repository.private, hub.tokens = True, {"secret"}
        monkeypatch.setenv("HF_TOKEN", "secret")
        assert download_file("hf://me/net", CONFIG).read_bytes() == b"{}"
