"""Is `cspdarknet.analysis.embed` as fast as `Predictor.stream`?

JPEG files of 640 x 480, at most 250 different ones, become vectors of size tiny at 224 x 224.
`Predictor.stream` takes turns with an `EmbeddingRun`, which also pools the feature maps and writes
a file of vectors. A turn is a pass over all images, in this process and with the same settings.

    python benchmarks/embedding_speed.py
    python benchmarks/embedding_speed.py --images 10000 --rounds 2
"""

import os
import tempfile
import time
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.images import write_photographs
from harness.results import Row, write_results
from harness.turns import Times, Turn, median_ratio, median_seconds, take_turns

IMAGE_SIZE = 224
DISTINCT = 250  # different images; more are copies of them
STREAM, EMBED = "Predictor.stream", "embed"


def stream_turn(model: Path, folder: Path) -> Turn:
    """Return a pass of `Predictor.stream` over the deepest feature map."""
    from cspdarknet import Predictor

    predictor = Predictor(model, mode="throughput", image_size=IMAGE_SIZE)
    paths = sorted(folder.rglob("*.jpg"))

    def turn() -> list[float]:
        start = time.perf_counter()
        assert sum(1 for _ in predictor.stream(paths)) == len(paths)
        return [time.perf_counter() - start]

    return turn


def embed_turn(model: Path, folder: Path) -> Turn:
    """Return a pass of an `EmbeddingRun`, which writes a new file."""
    from cspdarknet.analysis import Embedder, EmbeddingRun
    from cspdarknet.images import find_images

    embedder = Embedder(model, image_size=IMAGE_SIZE)

    def turn() -> list[float]:
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            run = EmbeddingRun(embedder, Path(out) / "vectors.npz", str(folder))
            states = [result.state for result in run.run(find_images(folder))]
            seconds = time.perf_counter() - start
        assert set(states) == {"done"}
        return [seconds]

    return turn


def table(times: Times, count: int) -> list[Row]:
    """Return a row for each contestant."""
    return [
        {
            "contestant": name,
            "images/s": round(count / median_seconds(rounds), 1),
            f"× {STREAM}": round(median_ratio(times[STREAM], rounds), 3),
        }
        for name, rounds in times.items()
    ]


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--images", type=int, default=2000, help="number of images that are made")
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from cspdarknet import load_model
    from cspdarknet.export import export

    with tempfile.TemporaryDirectory() as temporary:
        model, folder = Path(temporary) / "tiny.onnx", Path(temporary) / "images"
        export(load_model("csp_darknet_tiny"), model)
        write_photographs(folder, options.images, distinct=DISTINCT)
        turns = {STREAM: stream_turn(model, folder), EMBED: embed_turn(model, folder)}
        text = (
            f"{options.images} JPEG files of 640 x 480 to the vectors of size tiny at "
            f"{IMAGE_SIZE}²: medians of {options.rounds} passes in turns, after one that is not "
            "counted. × is the median of the rounds' ratios; above 1, the contestant is faster."
        )
        for times in take_turns(turns, options.rounds, warm_up=1):
            rows = table(times, options.images)
            write_results(options.out, "embedding_speed", text, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
