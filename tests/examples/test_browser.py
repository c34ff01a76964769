"""The example of ONNX Runtime Web, built by npm and run in a real browser."""

import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cspdarknet
from browsers import chromium, drop, opened_page
from cspdarknet import DetectionOptions, Predictor
from cspdarknet.export import build_onnx
from cspdarknet.models import load_model
from served_models import file_of

sync_api = pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright")
expect = sync_api.expect

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/browser"
PHOTO = Path(cspdarknet.__file__).parent / "presets/bundled/yolox_nano_bccd/example.jpg"
WAIT = 60_000  # milliseconds, after which a test fails that gets no answer
LEAST = 0.05  # score threshold of the exported detector

pytestmark = pytest.mark.one_backend


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The example with its packages, and models for it."""
    if shutil.which("npm") is None:
        pytest.skip("the example is built by npm, which is not installed")
    if not (EXAMPLE / "node_modules").is_dir():
        pytest.skip(f"the example's packages are missing: run `npm ci` in {EXAMPLE}")
    pytest.importorskip("onnxruntime", reason="exported models need ONNX Runtime")
    folder = tmp_path_factory.mktemp("browser") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (folder / "node_modules").symlink_to(EXAMPLE / "node_modules")
    shutil.rmtree(folder / "models", ignore_errors=True)
    (folder / "models").mkdir()
    return folder / "models"


@pytest.fixture(scope="module")
def site(models):
    """The address of the page, built with a detector and a classifier."""
    detector = load_model("yolox_nano_bccd")
    options = DetectionOptions(score_threshold=LEAST)
    cells = build_onnx(detector, letterbox=True, options=options)
    (models / "cells.onnx").write_bytes(cells.SerializeToString())
    garments = build_onnx(load_model("csp_darknet_tiny_clothing"))
    (models / "garments.onnx").write_bytes(garments.SerializeToString())
    subprocess.run(["npm", "run", "build"], cwd=models.parent, check=True, capture_output=True)
    with served(models.parent / "dist") as address:
        yield address


def downloaded(page):
    with page.expect_download() as download:
        page.click("#json")
    return json.loads(download.value.path().read_text())


@pytest.mark.slow
def test_boxes_and_classes_are_those_of_a_predictor(site, models):
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    garment = photo[100:260, 100:260]  # of the classifier's size, which is not resized
    with chromium() as browser, opened_page(browser, site, 390) as (page, messages):
        page.set_default_timeout(WAIT)
        expect(page.locator("#input")).to_be_visible(timeout=WAIT)
        drop(page, "#input", file_of(photo), "cells.png")
        expect(page.locator("#summary")).to_contain_text("RBC", timeout=WAIT)
        default = downloaded(page)["detections"]
        page.locator("#score").fill(str(LEAST))
        found = downloaded(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

        page.select_option("#models", "garments.onnx")
        expect(page.locator("#score-value")).to_have_text("10 %", timeout=WAIT)
        drop(page, "#input", file_of(garment), "garment.png")
        expect(page.locator("#canvas")).to_have_attribute(
            "aria-label", re.compile("^garment.png: .*%"), timeout=WAIT
        )
        page.locator("#score").fill("0")
        classes = downloaded(page)["classes"]
    assert messages == []

    expected = Predictor(models / "cells.onnx")(photo)
    assert len(expected) == len(found["detections"]) > len(default) > 5
    assert (found["width"], found["height"]) == (640, 480)
    for name, values in (
        ("xyxy", expected.xyxy),
        ("confidence", expected.confidence),
        ("class_id", expected.class_id),
    ):
        np.testing.assert_allclose([d[name] for d in found["detections"]], values, atol=1e-3)
    assert all(d["confidence"] >= 0.5 for d in default)
    predictor = Predictor(models / "garments.onnx")
    probabilities = dict(zip(predictor.class_names, predictor(garment), strict=True))
    assert len(classes) == len(probabilities)
    for entry in classes:
        assert entry["probability"] == pytest.approx(probabilities[entry["class_name"]], abs=1e-3)


def test_packages_are_pinned_and_of_no_private_server():
    package = json.loads((EXAMPLE / "package.json").read_text())
    lock = json.loads((EXAMPLE / "package-lock.json").read_text())
    pinned = {**package["dependencies"], **package["devDependencies"]}
    for name, version in pinned.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    for name, entry in lock["packages"].items():
        if name:
            assert entry["integrity"].startswith("sha512-")
            assert entry.get("resolved", "").startswith(("https://registry.npmjs.org/", ""))
    assert '"http' not in (EXAMPLE / "package-lock.json").read_text()
