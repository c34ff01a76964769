"""Is the server as fast as `Predictor.stream`, and does it answer evenly and for long?

Photographs of 640 x 480 are detected by a bundled detector. `Predictor.stream` takes turns with a
server in another process, which clients of this process ask over the loopback address. A second
table has the times of answers at half of that load, with requests at random times. `--soak` goes on
at full load, and compares the server's memory at its start and its end.

    python benchmarks/serve_load.py
    python benchmarks/serve_load.py --rounds 5 --seconds 20 --soak 600
"""

import asyncio
import contextlib
import io
import os
import random
import re
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import photograph
from harness.results import Row, write_results
from harness.turns import Turn, median_ratio, median_seconds, take_turns
from PIL import Image

MODEL = "yolox_nano_bccd"
STREAM, SERVER = "Predictor.stream", "server"
MEBIBYTE = 2**20


class Address(NamedTuple):
    """Port and process of a server."""

    port: int
    process: int


def photographs(count: int) -> list[bytes]:
    files = []
    for seed in range(count):
        file = io.BytesIO()
        Image.fromarray(photograph(np.random.default_rng(seed))).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


@contextlib.contextmanager
def server() -> Iterator[Address]:
    """Run a server in a process of its own."""
    command = [sys.executable, "-m", "cspdarknet", "serve", MODEL, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            matches = (re.search(r"127\.0\.0\.1:(\d+)", line) for line in process.stderr)
            port = next(int(match[1]) for match in matches if match)
            yield Address(port, process.pid)
        finally:
            process.terminate()


async def answers(port: int, images: Sequence[bytes]) -> list[float]:
    """Ask for one image after the other on one connection, and return the seconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    for image in images:
        start = time.perf_counter()
        head = (
            "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(image)}\r\n\r\n"
        )
        writer.write(head.encode() + image)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert length
        await reader.readexactly(int(length[1]))
        seconds.append(time.perf_counter() - start)
    writer.close()
    return seconds


async def full_load(port: int, images: Sequence[bytes], clients: int) -> list[float]:
    """Send images by several clients, each of which waits for its answer."""
    tasks = [answers(port, images[i::clients]) for i in range(clients)]
    return [s for seconds in await asyncio.gather(*tasks) for s in seconds]


async def part_load(port: int, images: Sequence[bytes], rate: float, seconds: float) -> list[float]:
    """Send requests at random times, at a rate, each on a connection of its own."""
    rng, tasks = random.Random(0), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        tasks.append(asyncio.ensure_future(answers(port, [rng.choice(images)])))
        await asyncio.sleep(rng.expovariate(rate))
    return [(await task)[0] for task in tasks]


def stream_turn(images: Sequence[bytes]) -> Turn:
    from cspdarknet import Predictor

    predictor = Predictor(MODEL, mode="throughput")

    def turn() -> list[float]:
        start = time.perf_counter()
        assert sum(1 for _ in predictor.stream(images)) == len(images)
        return [(time.perf_counter() - start) / len(images)]

    return turn


def server_turn(port: int, images: Sequence[bytes], clients: int) -> Turn:
    def turn() -> list[float]:
        start = time.perf_counter()
        asyncio.run(full_load(port, images, clients))
        return [(time.perf_counter() - start) / len(images)]

    return turn


def megabytes(process: int) -> float:
    """Return the memory of a process (Linux)."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert match
    return round(int(match[1]) / 1024, 1)


def throughput(address: Address, images: Sequence[bytes], options: Namespace) -> list[Row]:
    turns = {
        STREAM: stream_turn(images),
        SERVER: server_turn(address.port, images, options.clients),
    }
    *_, times = take_turns(turns, options.rounds, warm_up=1)
    return [
        {
            "measured": f"{name}, full load",
            "images/s": round(1 / median_seconds(rounds), 1),
            f"× {STREAM}": round(median_ratio(times[STREAM], rounds), 3),
        }
        for name, rounds in times.items()
    ]


def half_load(address: Address, images: Sequence[bytes], rate: float, seconds: float) -> Row:
    asked = sorted(asyncio.run(part_load(address.port, images, rate, seconds)))
    median, p99 = statistics.median(asked), asked[int(0.99 * len(asked))]
    return {
        "measured": "server, half load",
        "images/s": round(len(asked) / seconds, 1),
        "median (ms)": round(1000 * median, 1),
        "p99 (ms)": round(1000 * p99, 1),
        "p99 / median": round(p99 / median, 2),
    }


def soak(address: Address, images: Sequence[bytes], options: Namespace) -> Row:
    """Go on at full load; an answer that is not 200 is an error."""
    start, count, early = time.perf_counter(), 0, 0.0
    while (passed := time.perf_counter() - start) < options.soak:
        if not early and passed > options.soak / 5:
            early = megabytes(address.process)
        count += len(asyncio.run(full_load(address.port, images, options.clients)))
    return {
        "measured": f"server, {options.soak:g} s at full load",
        "images/s": round(count / passed, 1),
        "MB after a fifth": early,
        "MB at the end": megabytes(address.process),
    }


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3, seconds=15)
    parser.add_argument("--images", type=int, default=160, help="number of requests in a turn")
    parser.add_argument("--clients", type=int, default=8, help="number of clients at full load")
    parser.add_argument("--soak", type=float, default=20, help="seconds at full load at the end")
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    files = photographs(8)
    images = [files[i % len(files)] for i in range(options.images)]
    with server() as address:
        rows = throughput(address, images, options)
        rows.append(half_load(address, files, rows[1]["images/s"] / 2, options.seconds))
        rows.append(soak(address, images, options))
    text = (
        f"JPEG photographs of 640 x 480, by `{MODEL}`. Full load: {options.images} requests of "
        f"{options.clients} clients in a turn, medians of {options.rounds} turns; × is the median "
        "of the rounds' ratios. Half load: half as many requests in a second, at random times. The "
        "clients run on the same processor as the server."
    )
    write_results(options.out, "serve_load", text, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
