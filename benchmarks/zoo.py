"""FLOPs and time of an image of every built-in preset, for the tables of the models.

Each model has random weights, is exported to ONNX (a detector without its box decoding and NMS),
and runs in float32 on the installed runtimes, an image at a time, at the size that its accuracy was
published for; backbones at 224 pixels. The faster runtime counts. The numbers of a preset that was
measured before are kept; `--again` measures all. Needs an idle machine.

    KERAS_BACKEND=torch python benchmarks/zoo.py
"""

import tempfile
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from harness.arguments import benchmark_parser
from harness.results import Row, read_csv, write_csv, write_results

from cspdarknet import export, load_model
from cspdarknet.inference.benchmark import benchmark_runtimes
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE
from cspdarknet.presets.measured import FILE
from cspdarknet.presets.records import PRESETS, Preset

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "zoo.png"
COLORS = {"KerasCV": "#888888", "timm": "#1f77b4", "YOLOX": "#d62728"}


def main() -> None:
    parser = benchmark_parser(__doc__, seconds=1.0)
    parser.add_argument("--again", action="store_true", help="measure all presets")
    args = parser.parse_args()
    rows = {} if args.again else {str(row["name"]): row for row in read_csv(FILE)}
    for preset in PRESETS.values():
        if preset.name not in rows:
            rows[preset.name] = measured(preset, args.seconds)
            print(rows[preset.name], flush=True)
            write_csv(FILE, [rows[name] for name in PRESETS if name in rows])
    text = (
        "# Models\n\nFLOPs (a multiplication and an addition are two) and time of an image in "
        "float32, random weights, the faster of ONNX Runtime and OpenVINO."
    )
    write_results(args.out, "zoo", text, list(rows.values()))
    draw(rows)


def measured(preset: Preset, seconds: float) -> Row:
    """Return FLOPs and milliseconds of an image."""
    model = load_model(preset.name, load_weights=False)
    size = preset.image_size or getattr(model, "image_size", None) or DEFAULT_IMAGE_SIZE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        export.export(model, file, raw_outputs=preset.task == "detection")
        comparison = benchmark_runtimes(file, image_size=size, seconds=seconds)
    fastest = next(speed for speed in comparison.speeds if speed.precision == "float32")
    assert comparison.flops is not None
    return {
        "name": preset.name,
        "pixels": size,
        "gflops": round(comparison.flops / 1e9, 2),
        "milliseconds": round(1000 * fastest.seconds, 1),
        "runtime": fastest.runtime,
    }


def draw(rows: dict[str, Row]) -> None:
    """Draw accuracy over time for the classifiers of ImageNet, and for the detectors of COCO."""
    matplotlib.use("Agg")
    figure, panels = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for axes, dataset, title in zip(
        panels, ("ImageNet", "COCO"), ("top-1 on ImageNet, %", "AP on COCO, %"), strict=True
    ):
        models = [p for p in PRESETS.values() if p.dataset == dataset and p.metric]
        models.sort(key=lambda preset: float(preset.metric.split()[-1]))
        for number, preset in enumerate(models, start=1):
            family = "YOLOX" if dataset == "COCO" else "timm" if "." in preset.name else "KerasCV"
            point = rows[preset.name]["milliseconds"], float(preset.metric.split()[-1])
            label = f"{number}  {preset.name.split('.')[0]}"
            axes.plot(*point, "o", color=COLORS[family], label=label)
            right = number % 2 == 1  # so that the numbers of close points do not overlap
            axes.annotate(
                str(number),
                point,
                (5, -3) if right else (-5, 2),
                textcoords="offset points",
                ha="left" if right else "right",
                fontsize=9,
            )
        axes.set(xlabel="milliseconds per image, two cores", ylabel=title, xscale="log")
        axes.margins(x=0.1)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize=8, handlelength=1)
    figure.savefig(PICTURE, dpi=120)


if __name__ == "__main__":
    main()
