"""A browser for the tests of pages, where Playwright and Chromium are installed."""

import base64
import contextlib
import shutil

import pytest

ARGUMENTS = [
    "--no-sandbox",  # which a root user needs
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
DROP = """([content, names]) => {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    for (const name of names) data.items.add(new File([bytes], name, { type: "image/png" }));
    return data;
}"""


@contextlib.contextmanager
def chromium():
    """Start Chromium and yield it; skip the test where it is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except sync_api.Error as error:
            pytest.skip(f"pages are tested with Chromium, which does not start: {error.message}")
        with contextlib.closing(browser):
            yield browser


@contextlib.contextmanager
def opened_page(browser, origin, width=1280):
    """Open a page of a server; yield it, and its errors and requests elsewhere.

    Args:
        browser: as of `chromium`.
        origin: address of the server, with a slash at its end.
        width: of the window, in pixels.
    """
    with contextlib.closing(
        browser.new_context(viewport={"width": width, "height": 844})
    ) as context:
        page = context.new_page()
        messages = []
        page.on("console", lambda m: m.type == "error" and messages.append(m.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda r: r.url.startswith((origin, "blob:")) or messages.append(r.url))
        page.goto(origin)
        yield page, messages


def drop(page, element, content, *names):
    """Drop image files of one content on an element of a page."""
    data = page.evaluate_handle(DROP, [base64.b64encode(content).decode(), names])
    page.dispatch_event(element, "drop", {"dataTransfer": data})
