"""How long does importing the package take, compared with `import keras`?

New processes take turns. `import cspdarknet` does not import Keras; its models do.

    KERAS_BACKEND=jax python benchmarks/import_time.py
"""

from harness.arguments import benchmark_parser
from harness.results import markdown
from harness.turns import median_ratio, median_seconds, take_turns
from harness.workers import startup_seconds

IMPORTS = ("import keras", "import cspdarknet", "import cspdarknet.models")


def main() -> None:
    options = benchmark_parser(__doc__, rounds=9, out=False).parse_args()
    turns = {code: lambda code=code: [startup_seconds(code)] for code in IMPORTS}
    *_, times = take_turns(turns, options.rounds, warm_up=1)  # which fills the file cache
    rows = [
        {
            "program": code,
            "seconds": round(median_seconds(times[code]), 2),
            "ratio": round(median_ratio(times[code], times[IMPORTS[0]]), 2),
        }
        for code in IMPORTS
    ]
    print(markdown(rows))


if __name__ == "__main__":
    main()
