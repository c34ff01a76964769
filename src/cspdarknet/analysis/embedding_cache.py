"""Vectors of a dataset's images, kept in a folder, so that they are computed once."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cspdarknet._files import OutputFolder
from cspdarknet.analysis.embedder import Embedder
from cspdarknet.analysis.embedding_run import embed_files
from cspdarknet.analysis.embeddings import Embeddings, load_embeddings
from cspdarknet.images import ImageFile

# Called with what is done next and the number of its steps; returns the function that counts them.
Progress = Callable[[str, int], Callable[[int], None]]


def embed_dataset(
    paths: Sequence[Path],
    embedder: Embedder,
    cache: str | Path | None,
    purpose: str,
    progress: Progress | None = None,
    label: str = "embedding",
) -> Embeddings:
    """Return the vectors of image files, as far as they can be used; the keys are absolute paths.

    Args:
        paths: the image files. Those that are given twice count once.
        embedder: the `Embedder`.
        cache: folder with a file for each model, settings, purpose and folder of images, of which
            vectors that are newer than their image are taken; `None` to keep nothing.
        purpose: what the vectors are for, which decides on the images in the file.
        progress: shows the progress.
        label: its label.
    """
    unique = list(dict.fromkeys(path.absolute() for path in paths))
    files = [ImageFile(path, path) for path in unique]
    out = None
    if cache is not None and files:
        root = os.path.commonpath([path.parent for path in unique])
        text = "\n".join([purpose, root, embedder.settings.to_json()])
        key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]
        out = OutputFolder(cache).path / f"{key}.safetensors"
        _drop_if_damaged(out)
    advance = progress(label, len(files)) if progress else None
    return embed_files(files, embedder, out, progress=advance, drop_others=True)


def _drop_if_damaged(path: Path) -> None:
    """Delete a file of the cache that cannot be read, as after a loss of power."""
    try:
        if path.exists():
            load_embeddings(path)
    except ValueError:
        path.unlink()
