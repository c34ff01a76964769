"""Cache of converted models: ONNX graphs in a folder, under the hash of all that they depend on."""

import contextlib
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from cspdarknet._files import write_whole
from cspdarknet._keras import keras_home, model_settings
from cspdarknet._version import __version__
from cspdarknet.presets.download import CACHE
from cspdarknet.presets.sources import PresetPaths

FOLDER_VARIABLE = "CSPDARKNET_GRAPH_CACHE"
MAX_BYTES = 2**30  # of all graphs; the one that was used longest ago is removed first
HASH_DIGITS = 32


def cache_folder() -> Path | None:
    """Return the folder of the cached graphs, or `None` if the user wants none.

    It is `~/.keras/models/cspdarknet/graphs` (`KERAS_HOME` replaces `~/.keras`), or the folder in
    the environment variable `CSPDARKNET_GRAPH_CACHE`; an empty value turns the cache off.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given is None:
        return keras_home() / CACHE / "graphs"
    return Path(given) if given else None


def graph_key(paths: PresetPaths, weights_sha256: str, **choices: Any) -> str:
    """Return the key of a graph: the hash of all that it depends on.

    Args:
        paths: config and weights of the model.
        weights_sha256: SHA-256 of the weight file.
        **choices: what is fixed in the graph, such as the runtime and the thresholds.
    """
    config = paths.config
    parts = {
        "code": _code_version(),
        "keras": model_settings(),
        "config": None if config is None else [config.backbone, config.head],
        "weights": [weights_sha256, None if paths.weights is None else paths.weights.name],
        "choices": choices,
    }
    return _hash(json.dumps(parts, sort_keys=True, default=repr).encode())


@cache
def _code_version() -> str:
    """Return the version of the package, with a hash that changes when its files are edited."""
    root = Path(__file__).parents[1]
    files = sorted((str(path), path.stat()) for path in root.rglob("*.py"))
    stamps = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in files]
    return f"{__version__} {_hash(repr(stamps).encode())}"


def read_graph(key: str) -> bytes | None:
    """Return the cached graph of a key; `None` if there is none, or it is damaged."""
    folder = cache_folder()
    for path in [] if folder is None else folder.glob(f"{key}-*.onnx"):
        with contextlib.suppress(OSError):
            graph = path.read_bytes()
            if path == _path(path.parent, key, graph):
                os.utime(path)  # it is the one that was used last
                return graph
            path.unlink()
    return None


def write_graph(key: str, graph: bytes) -> None:
    """Put a graph into the cache.

    A folder that is full or read-only is not an error: the graph is then made again next time.
    """
    folder = cache_folder()
    if folder is None or len(graph) > MAX_BYTES:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(folder, len(graph))
        write_whole(_path(folder, key, graph), lambda part: part.write_bytes(graph))


def _path(folder: Path, key: str, graph: bytes) -> Path:
    """Return the path of a graph. The hash of its content in the name shows whether it is whole."""
    return folder / f"{key}-{_hash(graph)}.onnx"


def _make_room(folder: Path, num_bytes: int) -> None:
    """Remove graphs until a number of bytes fits in, those that were used longest ago first."""
    stats = {}
    for path in folder.glob("*.onnx"):
        with contextlib.suppress(OSError):  # another process may have removed it
            stats[path] = path.stat()
    total = num_bytes + sum(stat.st_size for stat in stats.values())
    for path in sorted(stats, key=lambda path: stats[path].st_mtime):
        if total > MAX_BYTES:
            total -= stats[path].st_size
            with contextlib.suppress(OSError):
                path.unlink()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
