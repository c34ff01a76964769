"""Check that imports inside the package go one way: down the list of layers, never up.

`python tools/check_layers.py` prints each import that goes up or sideways, lazy ones included, and
exits with status 1 if there is one. The list is the architecture; CONTRIBUTING.md explains it.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "src" / "cspdarknet"
PACKAGE = ROOT.name
# From the bottom to the top. Components on one line do not import each other.
LAYERS = (
    ("_kerascv", "_unfinished"),
    (
        *(
            "_version",
            "_extras",
            "_files",
            "_prefetch",
            "_arguments",
            "_depthwise",
            "_initialization",
        ),
        *("_keras", "_lazy"),
    ),
    ("_pixels", "_stored_images", "_image_size", "_labels", "score_thresholds"),
    ("images", "model_info", "tiles"),
    ("visualize",),
    ("detections",),
    ("topologies",),
    ("layers",),
    ("yolox",),
    ("preprocessing",),
    ("data", "checkpoints"),
    ("presets",),
    ("models",),
    ("export", "conversion"),
    ("inference",),
    ("evaluate",),
    ("reports",),
    ("train",),
    ("analysis", "scale", "serve"),
    ("cli",),
    ("__main__",),
)
RANKS = {component: rank for rank, components in enumerate(LAYERS) for component in components}
# It offers the public names of all components, imported on use.
EXEMPT = {"__init__"}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the component of each import from the package, wherever it stands."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [f"{PACKAGE}.(relative import)"]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            names = [str(node.args[0].value)] if called == "import_module" else []
        for name in names:
            if name.startswith(f"{PACKAGE}."):
                yield getattr(node, "lineno", 0), name.split(".")[1]


def violations(root: Path) -> Iterator[str]:
    """Yield a line for each import that does not go down."""
    for path in sorted(root.rglob("*.py")):
        component = path.relative_to(root).parts[0].removesuffix(".py")
        if component in EXEMPT:
            continue
        if component not in RANKS:
            yield f"{path}: the component {component!r} is not in LAYERS"
            continue
        for line, target in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if target != component and RANKS.get(target, len(LAYERS)) >= RANKS[component]:
                yield f"{path}:{line}: {component} must not import {target}"


if __name__ == "__main__":
    found = list(violations(ROOT))
    print("\n".join(found) or "imports go one way")
    sys.exit(bool(found))
