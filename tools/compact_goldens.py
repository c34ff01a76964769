"""Make the reference outputs in tests/golden/references from the full record.

    python tools/compact_goldens.py ../shared/golden tests/golden/references

The original software (KerasCV, YOLOX) computed the record with random weights. The script keeps the files that the tests read, with the same paths and values: `.npz` files with the arrays in ARRAYS, and the model
files in MODELS, byte for byte, in one archive (most of them hold the same few sets of weights), to
be unpacked over a copy of the target. Each folder gets a `manifest.json` with origin, tolerances,
shapes and SHA-256. The output is the same on every run with the same versions of zlib and liblzma.
"""

import fnmatch
import hashlib
import io
import json
import lzma
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

ARCHIVE = "models.tar.xz"
MODELS = """
    kcv09_small/model.keras kcv09_small/model.weights.h5 kcv09_small/preset kcv09_small/live/preset
    kcv09_small_depthwise/model.weights.h5 kcv09_small_depthwise/preset
    kcv09_small_depthwise/live/preset kcv_keras30_small/preset kcv_keras30_small_depthwise/preset
    kcv09_classifier/model.keras kcv09_classifier/model.weights.h5 kcv09_classifier/preset
    legacy_h5/top.h5 legacy_h5/notop.h5 legacy_h5/notop_shifted_names.h5
    legacy_h5/notop_depthwise.h5 darknet_random/csp_dep033_wid025_dw.pth
    pafpn_head_random/yolox_dep033_wid025_c3.pth
"""
KINDS = ("", "_depthwise")
SIMOTA = """labels raw_* decoded fg_mask matched_gt matched_iou losses_l1
    grad_l1_reg_* grad_obj_* grad_cls_*"""
SIMOTA_CASES = ("main", "overlap", "tiny", "crowd", "outside")
ARRAYS = {
    **{f"kcv09_small{k}/io.npz": "x_b x_train b_P* train_P* train_after/*" for k in KINDS},
    **{f"kcv09_small{k}/live/io.npz": "x_c b_P* c_P*" for k in KINDS},
    "kcv09_gradients/grads.npz": "x",
    **{f"kcv09_gradients/grads{k}_from_float64.npz": "*" for k in KINDS},
    "kcv09_classifier/io.npz": "*",
    "legacy_h5/io_notop.npz": "x_b b_*",
    **{f"legacy_h5/io_{name}.npz": "b_*" for name in ("notop_depthwise", "top")},
    **{f"kcv_keras30_small{k}/io.npz": "*_b" for k in KINDS},
    "darknet_random/csp_dep033_wid025_dw_io.npz": "*",
    "pafpn_head_random/io.npz": "*",
    **{f"simota_loss/{case}.npz": SIMOTA for case in SIMOTA_CASES},
}
FIRST_IMAGE_ONLY = ("kcv09_classifier/io.npz", "pafpn_head_random/io.npz")

NET = "KerasCV CSPDarkNetBackbone, channels [16, 32, 64, 128], depth [1, 2, 2, 1], rescaling"
DEPTHWISE = f"{NET}, use_depthwise"
RANDOM = """keras.utils.set_random_seed(0), then numpy default_rng(0) over model.variables in order:
    gamma U(0.5, 1.5), beta N(0, 0.2), moving_mean N(0, 0.3), moving_variance U(0.5, 1.5); kernels
    as initialized (GlorotUniform). live: kernels multiplied by exact powers of two, so that inputs
    of batch normalizations have a standard deviation near 1. They show mistakes in a forward pass: with
    plain weights, the deep levels hardly depend on the image."""
CASES = """x_b (64 x 64) with b_P2..P5 of the plain weights in io.npz, of the live ones in
    live/io.npz; x_c (70 x 102: odd sizes on the way down) with c_P2..P5, live; x_train with
    train_P2..P5 (training=True) and train_after/<index>/<path>, the moving statistics after that
    call, plain. Images: RGB, 0..255, not integers. index: position in KerasCV's model.variables."""
YOLOX = """convolutions N(0, 1/fan_in), rescaled to outputs of standard deviation 1; batch
    normalization: gamma U(0.5, 1.5), beta N(0, 0.2), mean N(0, 0.3), variance U(0.5, 1.5), epsilon
    1e-3. Rounded to float16 before computing the outputs: the .pth, cast to float32, is exact."""
# Model, weights, arrays of each folder, and its tolerance if it is not this one.
TOLERANCE = "1e-4 of the largest absolute reference value"
ABOUT = {
    "kcv09_small": (NET, RANDOM, CASES),
    "kcv09_small_depthwise": (DEPTHWISE, RANDOM, CASES),
    "kcv09_gradients": (
        "The networks of ../kcv09_small and ../kcv09_small_depthwise",
        "Those of the presets there (plain, not live).",
        """grads.npz: x, for both networks. *_from_float64.npz: loss_float64 = mean(P5**2) +
        mean(P3**2) with training=True, and grad/<index>/<path>, rounded from float64.""",
        "float32: 5.5e-4 of the largest value of each gradient, as KerasCV's own; float64: 1e-4",
    ),
    "kcv09_classifier": (
        f"ImageClassifier on {NET}; 7 classes, average pooling, softmax",
        f"{RANDOM} The weights are the live ones; bias of the predictions N(0, 0.3) from default_rng(7).",
        "First image of three: x, features (P5), logits (computed with NumPy), probs.",
    ),
    "legacy_h5": (
        """KerasCV CSPDarkNet of Keras 2, depth_multiplier=0.33, width_multiplier=0.125: channels
        [16, 32, 64, 128], depth [1, 3, 3, 1], rescaling. top.h5: 10 classes. notop_shifted_names:
        the values of notop.h5 from the second model of a process: other counters in the names.""",
        """Distributions of ../kcv09_small, live, in layer order, default_rng(0); kernel of the
        predictions times 0.25, their bias N(0, 0.3) from default_rng(7).""",
        "x_b in io_notop.npz is the input for all three .npz files: b_P2..P5, b_probs.",
    ),
    "kcv_keras30_small": (NET, "As in ../kcv09_small/preset.", "input_b, P2_b..P5_b"),
    "kcv_keras30_small_depthwise": (DEPTHWISE, "Random.", "input_b, P2_b..P5_b"),
    "darknet_random": (
        "YOLOX CSPDarknet(dep_mul=0.33, wid_mul=0.25, depthwise=True), evaluation mode",
        f"Random: {YOLOX}",
        "x0, x1: N(0, 1), NCHW; dark3_0..dark5_0 belong to x0.",
    ),
    "pafpn_head_random": (
        "YOLOX, YOLOPAFPN and YOLOXHead: depth 0.33, width 0.25, 3 classes, evaluation mode",
        f"Random: {YOLOX} Biases of the predictions: N(0, 1).",
        """First image of two. x: BGR, NCHW. raw: dx, dy, log w, log h, sigmoid(obj),
        sigmoid(classes). decoded: cx, cy, w, h in pixels, then the same sigmoids. Rows: strides 8,
        16, 32, each row-major. pan_s8..32: outputs of the PAFPN. dark3..5: of the backbone.""",
        "raw and feature maps: absolute 1e-4; decoded: absolute 5e-3 + relative 1e-4",
    ),
    "simota_loss": (
        """YOLOXHead.get_losses (SimOTA, losses): 256 x 256 images, 3 classes, 1344 anchor points.
        main: a head with random weights; other cases: chosen raw outputs near the ground truth.""",
        "None: the raw outputs are stored.",
        """labels: class, cx, cy, w, h in pixels, zero rows are padding. raw_*: NCHW. decoded: cx,
        cy, w, h. fg_mask, matched_gt (-1: background), matched_iou by anchor point. losses_l1:
        total, iou (times 5), conf, cls, l1, matches per ground truth. grad_*: gradients of the
        total, L1 loss included, by the raw outputs.""",
        "Assignments: exact; IoU: 1e-5; losses, gradients: 1e-4 (absolute)",
    ),
}
CHANGE = "max_abs_change_by_typical_mistakes"
FACTS = f"""versions keras keras_cv tensorflow seed seeds config max_abs_diff_over_max_ref
    float32_vs_float64_max_abs {CHANGE} {CHANGE}_input0"""


def facts_of(folder: str, source: Path) -> dict[str, Any]:
    """Return versions, seeds and measured errors from the manifests of the full record."""
    shared = json.loads((source / "kerascv_manifest.json").read_text())
    entry = shared["entries"].get(folder)
    if entry is None:
        text = (source / folder / "manifest.json").read_text()
        entry = json.loads(text.replace("centre", "center"))
    entry |= entry.get("cases", {}).get("csp_dep033_wid025_dw", {})
    facts = {key: entry[key] for key in FACTS.split() if key in entry}
    if folder.startswith("kcv09_small"):
        facts["error_by_mistake"] = shared["mutations"]["table"][f"{folder}/live/io.npz"]
        facts["error_by_backend"] = shared["other_backends"]
    if folder == "simota_loss":
        facts["decisions"] = {c: entry["cases"][c]["images"] for c in SIMOTA_CASES}
    return facts


def reduced(path: Path, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file that are kept, values unchanged."""
    with np.load(path) as file:
        keys = [key for p in ARRAYS[name].split() for key in fnmatch.filter(file.files, p)]
        kept = {key: file[key] for key in keys}
    if name in FIRST_IMAGE_ONLY:
        kept = {key: array[:1] for key, array in kept.items()}
    if name.startswith("simota_loss/"):
        kept["decoded"] = kept["decoded"][..., :4]  # the rest equals raw_obj_* and raw_cls_*
    return kept


def record_of(data: bytes, **more: Any) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **more}


def main(source: Path, target: Path) -> None:
    if target.exists():
        sys.exit(f"The target must not exist. Received: {target}. Delete it first.")
    contents: dict[str, bytes] = {}
    records: dict[str, dict[str, Any]] = {}
    for name in ARRAYS:
        arrays, buffer = reduced(source / name, name), io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        contents[name] = buffer.getvalue()
        shapes = {key: f"{array.dtype}{list(array.shape)}" for key, array in arrays.items()}
        records[name] = record_of(contents[name], arrays=shapes)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in (source / entry for entry in MODELS.split()):
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                member = tarfile.TarInfo(file.relative_to(source).as_posix())
                data = file.read_bytes()
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
                records[member.name] = record_of(data, archive=ARCHIVE)
    contents[ARCHIVE] = lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    manifests: dict[str, Any] = {
        "manifest.json": {
            "description": "Reference outputs; origin: see the manifest.json of each folder. "
            f"{ARCHIVE}: the model files of all folders. Made by tools/compact_goldens.py.",
            "files": {ARCHIVE: record_of(contents[ARCHIVE])},
        }
    }
    for folder, about in ABOUT.items():
        names, texts = ("model", "weights", "arrays", "tolerance"), (*about, TOLERANCE)[:4]
        manifests[f"{folder}/manifest.json"] = {
            **{name: " ".join(text.split()) for name, text in zip(names, texts, strict=True)},
            "rights": "Random weights and inputs: no trained weights, no photographs.",
            **facts_of(folder, source),
            "files": {n: r for n, r in records.items() if n.split("/")[0] == folder},
        }
    contents |= {name: json.dumps(m, indent=1).encode() + b"\n" for name, m in manifests.items()}
    for name, data in contents.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
