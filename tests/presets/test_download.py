"""Downloads, with local stand-ins for the hosts."""

import hashlib
import sys

import keras
import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.presets import download

pytestmark = pytest.mark.one_backend


def test_a_published_hash_is_checked(serve):
    requests = serve(b"weights")
    good = hashlib.sha256(b"weights").hexdigest()
    url = "https://host/a/b/w.h5"
    assert download.fetch(url, sha256=good).read_bytes() == b"weights"
    download.fetch(url, sha256=good)
    assert requests == [url]  # the second time from the cache
    other = "https://host/a/b/other.h5"
    for _ in range(2):  # nothing is left of the bad file
        with pytest.raises(CheckpointError, match="damaged or was replaced"):
            download.fetch(other, sha256="0" * 64)
    assert requests == [url, other, other]


def test_an_unknown_hash_is_kept_from_the_first_download_on(serve):
    url = "https://host/a/b/w.pth"
    serve(b"first")
    path = download.fetch(url)
    path.unlink()
    serve(b"second")
    with pytest.raises(CheckpointError, match="must have the SHA-256"):
        download.fetch(url)
    serve(b"first")
    path = download.fetch(url)
    path.write_bytes(b"changed on disk")
    with pytest.raises(CheckpointError, match="must have the SHA-256"):
        download.fetch(url)


def test_a_file_of_another_hash_is_removed_and_downloaded_anew(serve):
    requests, url = serve(b"weights"), "https://host/a/b/w.h5"
    path = download.fetch(url)
    path.write_bytes(b"changed on disk")
    with pytest.raises(CheckpointError, match="has been removed: run again"):
        download.fetch(url)
    assert download.fetch(url).read_bytes() == b"weights"
    assert requests == [url] * 2


def test_another_process_downloads_the_same_file_at_once(serve, tmp_path, monkeypatch):
    """It starts and ends while this one is at work; both have the whole file, and one hash."""
    url, requests = "https://host/a/b/w.pth", serve(b"weights")
    get_file, nested = keras.utils.get_file, []

    def slow(*args, **kwargs):
        if not nested:
            nested.append(None)
            nested[0] = download.fetch(url)
        return get_file(*args, **kwargs)

    monkeypatch.setattr(keras.utils, "get_file", slow)
    path = download.fetch(url)
    assert path == nested[0]
    assert path.read_bytes() == b"weights"
    assert requests == [url] * 2
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.sha256"]


def test_a_file_without_a_hash_is_not_trusted(serve):
    """It was left by a download that ended before its hash was written."""
    url = "https://host/a/b/w.pth"
    serve(b"weights")
    path = download.fetch(url)
    path.with_name(f"{path.name}.sha256").unlink()
    path.write_bytes(b"something else")
    assert download.fetch(url).read_bytes() == b"weights"


def test_hosts_that_cannot_be_reached(offline, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"could not be downloaded from host\.example"):
        download.fetch("https://host.example/a/b/w.h5")
    with pytest.raises(ConnectionError, match=r"config\.json of 'kaggle://.*from Kaggle"):
        download.fetch("kaggle://me/net/keras/v", "config.json")


def test_bad_kaggle_handle(offline):
    with pytest.raises(ValueError, match="not a Kaggle handle"):
        download.fetch("kaggle://nonsense", "config.json")


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'cspdarknet\[hf\]'"):
        download.fetch("hf://me/net", "config.json")
