"""The page of the server in a real browser, where Playwright and Chromium are installed."""

import contextlib
import csv
import json

import pytest

import browsers
from browsers import chromium, opened_page
from cspdarknet.serve import ServedModel
from served_models import PHOTO, Classifier, Regressor, detector, running

sync_api = pytest.importorskip("playwright.sync_api", reason="the page is tested with Playwright")
expect = sync_api.expect

pytestmark = pytest.mark.one_backend

PIXEL = """(canvas, [x, y]) => {
    const scale = canvas.width / 64;
    return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data].slice(0, 3);
}"""
GRAY = [128, 128, 128]


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@contextlib.contextmanager
def opened(browser, api_key=None, width=1280):
    """Open the page of a server; yield it, and its errors and requests elsewhere."""
    models = [
        detector(lowest_score_threshold=0.05),
        ServedModel("colors", Classifier()),
        ServedModel("numbers", Regressor()),
    ]
    with (
        running(models, api_key=api_key) as (_, port),
        opened_page(browser, f"http://127.0.0.1:{port}/", width) as opened,
    ):
        yield opened


def drop(page, *names):
    browsers.drop(page, "#drop", PHOTO, *names)


def slide(page, name, value):
    page.locator(name).fill(str(value))


def downloaded(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value.path().read_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_from_a_dropped_photo_to_the_downloads(browser, width):
    with opened(browser, width=width) as (page, messages):
        drop(page, "=a.png", "b.png")
        summaries = page.locator(".summary")
        expect(summaries).to_have_text(["1 red", "1 red"])  # with the model's own threshold
        canvas = page.locator(".card canvas").first
        assert canvas.evaluate(PIXEL, [50, 20]) == [30, 30, 220]
        red_edge = canvas.evaluate(PIXEL, [10, 38])
        assert red_edge not in (GRAY, [220, 30, 30])
        assert canvas.evaluate(PIXEL, [20, 38]) == [220, 30, 30]

        slide(page, "#score", 0.5)
        expect(summaries).to_have_text(["1 red, 1 blue"] * 2)
        expect(page.locator("#score-value")).to_have_text("50 %")
        assert canvas.evaluate(PIXEL, [40, 24]) not in (GRAY, [30, 30, 220], red_edge)
        stored = json.loads(downloaded(page, "#json"))
        assert stored["model"] == "shapes"
        assert [image["image"] for image in stored["images"]] == ["=a.png", "b.png"]
        assert [d["class_name"] for d in stored["images"][0]["detections"]] == ["red", "blue"]
        assert stored["images"][0]["detections"][0]["xyxy"] == [10, 12, 30, 40]

        page.click("#legend >> text=2 red")
        expect(summaries).to_have_text(["1 blue"] * 2)
        rows = list(csv.reader(downloaded(page, "#csv").splitlines()))
        assert rows[0] == ["image", "class", "confidence", "left", "top", "right", "bottom"]
        assert rows[1] == ["'=a.png", "blue", "0.6", "40", "5", "60", "25"]
        assert len(rows) == 3

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("#clear")
        expect(page.locator(".card")).to_have_count(0)
    assert messages == []


def test_another_model_looks_at_the_same_photos(browser):
    with opened(browser) as (page, messages):
        drop(page, "a.png")
        expect(page.locator(".summary")).to_have_text("1 red")
        page.select_option("#model", "colors")
        expect(page.locator(".summary")).to_have_text("red 33 %, green 33 %, blue 33 %")
        expect(page.locator("#overlap-field")).to_be_hidden()
        slide(page, "#score", 0.5)
        expect(page.locator(".summary")).to_have_text("no class above the minimum")

        page.select_option("#model", "numbers")
        expect(page.locator(".summary")).to_have_text("mean 128.0, largest 128.0")
        expect(page.locator("#score-field")).to_be_hidden()
        rows = [["image", "target", "value"], *(["a.png", n, "128"] for n in ("mean", "largest"))]
        assert list(csv.reader(downloaded(page, "#csv").splitlines())) == rows
        stored = json.loads(downloaded(page, "#json"))
        assert stored["images"] == [{"image": "a.png", "targets": {"mean": 128, "largest": 128}}]
    assert messages == []


def test_the_camera(browser):
    with opened(browser) as (page, messages):
        page.click("#camera")
        label = page.locator("#live-canvas")
        expect(label).to_have_attribute("aria-label", "Camera: no objects")
        page.click("#keep")
        expect(page.locator(".card h2")).to_contain_text("camera 20")
        page.click("#stop")
        expect(page.locator("#live")).to_be_hidden()
    assert messages == []


def test_the_key_is_asked_for(browser):
    with opened(browser, api_key="e1f") as (page, _):
        page.fill("#key", "wrong")
        page.press("#key", "Enter")
        expect(page.locator("#status")).to_contain_text("needs an API key")
        page.fill("#key", "e1f")
        page.press("#key", "Enter")
        expect(page.locator("#model option")).to_have_count(3)
        expect(page.locator("#key-form")).to_be_hidden()
        drop(page, "a.png")
        expect(page.locator(".summary")).to_have_text("1 red")


def test_a_file_that_is_not_an_image_is_named(browser):
    with opened(browser) as (page, _):
        file = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no image"}
        page.set_input_files("#files", [file])
        expect(page.locator(".summary")).to_contain_text("must be an image file")


def test_every_control_has_a_name_and_is_reached_by_keys(browser):
    with opened(browser) as (page, _):
        drop(page, "a.png")
        expect(page.locator(".summary")).to_have_text("1 red")
        for role, name in (
            ("combobox", "Model"),
            ("button", "Choose photos"),
            ("slider", "Minimum confidence"),
            ("slider", "Maximum overlap of boxes"),
            ("button", "1 red"),
            ("img", "a.png: 1 red"),
        ):
            expect(page.get_by_role(role, name=name).first).to_be_visible()
        page.focus("#score")
        page.keyboard.press("Home")
        expect(page.locator(".summary")).to_have_text("1 red, 1 blue")
