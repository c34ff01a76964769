"""What `import cspdarknet` costs beside `import keras`: fresh processes in turn.

KERAS_BACKEND=jax python benchmarks/import_time.py
"""

import argparse
import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    """Time a fresh Python that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    seconds("import cspdarknet")  # fills the file cache
    pairs = [(seconds("import keras"), seconds("import cspdarknet")) for _ in range(rounds)]
    keras_time, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"import keras {keras_time:.2f} s, import cspdarknet {ours:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
