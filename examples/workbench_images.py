"""Draws the pictures of the guide to the workbench, from pieces of photographs.

    pip install 'cspdarknet[torch,openvino,analysis]' scikit-image
    python examples/workbench_images.py

The photographs are part of scikit-image: `astronaut` (NASA, public domain), `coffee` (Rachel
Michetti, CC0), `chelsea` (Stéfan van der Walt, CC0) and `rocket` (SpaceX, public
domain); and of scikit-learn: `china` (danielbuechele) and `flower` (vultilion), both CC BY 2.0.
"""

import tempfile
from pathlib import Path

from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

from cspdarknet.analysis import (
    check_by_embeddings,
    draw_groups,
    draw_neighbors,
    embed,
    probe,
    search,
)
from cspdarknet.visualize import save_picture

OUT = Path(__file__).resolve().parents[1] / "docs" / "images"
SIDE, STEP = 128, 64  # pixels of a piece, and from one to the next
MODEL = "csp_darknet_tiny_clothing"
QUERIES = ("flower/192_256.jpg", "chelsea/064_064.jpg")
MODELS = {
    "csp_darknet_tiny_clothing": MODEL,
    "yolox_nano_bccd": "yolox_nano_bccd",
    "random weights": "csp_darknet_tiny",
}


def write_pieces(folder: Path) -> None:
    """Write the pieces of each photograph into a folder of its name."""
    photographs = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee")}
    photographs["rocket"] = data.rocket()
    photographs["china"], photographs["flower"] = load_sample_images().images
    for name, photograph in photographs.items():
        (folder / name).mkdir(parents=True)
        height, width = photograph.shape[:2]
        for y in range(0, height - SIDE + 1, STEP):
            for x in range(0, width - SIDE + 1, STEP):
                piece = Image.fromarray(photograph[y : y + SIDE, x : x + SIDE])
                piece.save(folder / name / f"{y:03}_{x:03}.jpg", quality=92)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        pieces = Path(temporary) / "pieces"
        write_pieces(pieces)
        embeddings = embed(pieces, MODEL, levels=["P3", "P5"], normalize=True)
        neighbors = search(embeddings, QUERIES, top=6)
        save_picture(draw_neighbors(neighbors, embeddings), OUT / "neighbors.jpg")
        check = check_by_embeddings(pieces, MODEL, levels=["P3", "P5"])
        save_picture(draw_groups(check.groups[2:5]), OUT / "near_duplicates.jpg")
        report = probe(pieces, MODELS, shots=[1, 5, 20])
    with (OUT / "probe.png").open("wb") as file:
        report.draw(file)
    for result in report.results:
        print(result.model, result.method, result.shots, f"{result.accuracy:.3f}")


if __name__ == "__main__":
    main()
