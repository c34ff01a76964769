"""Images for bulk jobs, and the rows of their results."""

import numpy as np
from PIL import Image


def write_images(folder, count, bad=()):
    """Write images of other colors as 000.png, 001.png and so on, and damaged ones."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / f"{i:03}.png"
        if i in bad:
            path.write_bytes(b"not an image")
        else:
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), "uint8")).save(path)
    return folder


def read_rows(out, table="results"):
    """Return the rows of all parts of a local job, by number of the part."""
    import pyarrow.parquet as parquet

    return {
        path.name: parquet.read_table(path).to_pylist()
        for path in sorted((out / table).glob("*.parquet"))
    }


def keys(out, table="results"):
    return [row["key"] for rows in read_rows(out, table).values() for row in rows]
