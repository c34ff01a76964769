"""Which options of a recipe make a better detector of the same photos?

A detector is trained from one model with named variants of a recipe, each with several seeds, and
its best validation mAP is compared. A run that is there is not trained again, and one that was
interrupted continues, so that the same command finishes the table.

    KERAS_BACKEND=torch python benchmarks/detector_recipes.py --data DIR --runs runs --seeds 0 1 2
    KERAS_BACKEND=torch python benchmarks/detector_recipes.py --data DIR --runs runs --teacher LARGE
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.arguments import benchmark_parser
from harness.results import Row, write_results

from cspdarknet.train import DetectionRecipe, customize, load_recipe, train_detector

# Changes of the recipe. `multi_scale` is off in `finetune`, and mosaic is off at its end.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "shift": {"shift": 0.8},
    "copy_paste": {"copy_paste": 0.5},
    "balanced": {"repeat_threshold": 0.9},
    "multi_scale": {"multi_scale": (0.75, 1.25)},
    "mosaic_off": {"mosaic": 0.0},
    "mosaic_to_the_end": {},
    "mixup": {"mixup": 0.3},
    "flip_vertical": {"flip_vertical": 0.5},
    "no_ema": {"ema_decay": 0.0},
    "slower_ema": {"ema_decay": 0.995},
    "teacher": {},
}


def recipe_of(variant: str, args: argparse.Namespace, seed: int) -> DetectionRecipe:
    """Return the recipe of a variant."""
    recipe = customize(
        load_recipe(args.recipe, "detection"),
        epochs=args.epochs,
        image_size=args.image_size,
        seed=seed,
        **VARIANTS[variant],
    )
    if variant != "mosaic_to_the_end":
        return recipe
    phases = [{**phase, "no_mixing": False} for phase in recipe.to_json()["phases"]]
    return DetectionRecipe.from_json({**recipe.to_json(), "phases": phases})


def best_map(variant: str, args: argparse.Namespace, seed: int) -> float:
    """Train a variant, and return the validation mAP of its best epoch."""
    history = train_detector(
        args.data,
        args.runs / f"{variant}_{seed}",
        args.model,
        recipe_of(variant, args, seed),
        on_problem="fix",
        teacher=args.teacher if variant == "teacher" else None,
    )
    return float(max(row["val_map"] for row in history if row["val_map"] is not None))


def row_of(variant: str, values: Sequence[float]) -> Row:
    """Return the row of the table of a variant."""
    return {
        "variant": variant,
        "seeds": len(values),
        "mean mAP": round(sum(values) / len(values), 4),
        "lowest": round(min(values), 4),
        "highest": round(max(values), 4),
    }


def main() -> None:
    args = parsed()
    rows = []
    for variant in args.variants:
        values = [best_map(variant, args, seed) for seed in args.seeds]
        rows.append(row_of(variant, values))
        print(rows[-1])
    text = (
        f"# Recipes of detectors\n\n{args.model} on {args.data.name}, recipe {args.recipe}, "
        "mAP of the best epoch on the validation images."
    )
    write_results(args.out, args.name, text, rows)


def parsed() -> argparse.Namespace:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--model", default="yolox_nano_coco", help="the model to start from")
    parser.add_argument("--recipe", default="finetune")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--teacher", help="a detector of the same classes, for `teacher`")
    parser.add_argument("--variants", nargs="+", choices=[*VARIANTS])
    parser.add_argument("--name", default="detector_recipes", help="name of the result files")
    args = parser.parse_args()
    if args.variants is None:
        args.variants = [name for name in VARIANTS if args.teacher or name != "teacher"]
    if "teacher" in args.variants and args.teacher is None:
        parser.error("the variant `teacher` needs --teacher")
    return args


if __name__ == "__main__":
    main()
