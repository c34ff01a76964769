"""`cspdarknet serve`, in a process of its own and in this one."""

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import webbrowser

import keras
import pytest

import cspdarknet.serve
from served_models import PHOTO, detector
from support import run_command

pytestmark = pytest.mark.one_backend

KEY = "CSPDARKNET_API_KEY"


@pytest.fixture
def served(monkeypatch):
    """The arguments with which a server would run."""
    given = {}

    def run_server(app, limits, **settings):
        given.update(settings, limits=limits, app=app)

    def load_models(sources, **settings):
        given.update(settings, sources=sources)
        return [detector()]

    monkeypatch.setattr(cspdarknet.serve, "run_server", run_server, raising=False)
    monkeypatch.setattr(cspdarknet.serve, "load_models", load_models, raising=False)
    monkeypatch.delenv(KEY, raising=False)
    return given


def test_the_options(served):
    result = run_command(
        *("serve", "a=one", "two", "--port", 1, "--score-threshold", "0.3", "--levels", "P3, P4"),
        *("--max-megabytes", 1000, "--max-megapixels", 2, "--batch-size", 4, "--timeout", 7),
    )
    assert result.exit_code == 0, result.output
    assert served["sources"] == ["a=one", "two"]
    assert (served["host"], served["port"]) == ("127.0.0.1", 1)
    assert served["options"].score_threshold == 0.3
    assert (served["levels"], served["batch_size"]) == (["P3", "P4"], 4)
    limits = served["limits"]
    assert limits.max_bytes == limits.max_body_memory == 1000 * 2**20
    assert (limits.max_pixels, limits.timeout) == (2_000_000, 7)
    assert "shapes: detection, fake" in result.output
    assert "Warning" not in result.output


@pytest.mark.parametrize("has_key", [False, True])
def test_an_open_server_is_pointed_out(served, monkeypatch, has_key):
    if has_key:
        monkeypatch.setenv(KEY, "e1f")
    result = run_command("serve", "a", "--host", "0.0.0.0")
    assert ("set CSPDARKNET_API_KEY" in result.output) is not has_key


def test_the_page_is_opened_on_demand(served, monkeypatch):
    opened = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", opened.put)
    for arguments in ([], ["--open"]):
        assert run_command("serve", "a", *arguments).exit_code == 0
        served["on_start"](None, "http://0.0.0.0:8000")
    assert opened.get(timeout=60) == "http://127.0.0.1:8000"
    assert opened.empty()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_model"], "no_such_model"),
        (["a=yolox_nano_bccd", "a=no"], "a twice"),
        (["yolox_nano_bccd", "--max-images", "300"], "`max_images` must be at most"),
    ],
)
def test_errors_are_one_line(arguments, message):
    result = run_command("serve", *arguments)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = run_command("serve", "yolox_nano_bccd")
    assert isinstance(result.exception, ImportError)
    assert "cspdarknet[serve]" in str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for another process")
def test_from_the_start_to_sigterm():
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), KEY: "e1f"}
    arguments = ["serve", "cells=yolox_nano_bccd", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cspdarknet", *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            lines = iter(process.stderr.readline, "")
            port = next(m[1] for line in lines if (m := re.search(r"127\.0\.0\.1:(\d+)", line)))
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
            headers = {"Content-Type": "image/png", "Authorization": "Bearer e1f"}
            connection.request("POST", "/v1/detect", PHOTO, headers)
            response = connection.getresponse()
            assert (response.status, json.load(response)["model"]) == (200, "cells")
            # The server has accepted the second request when the first bytes of it are sent.
            connection.putrequest("POST", "/v1/detect")
            for name, value in {**headers, "Content-Length": str(len(PHOTO))}.items():
                connection.putheader(name, value)
            connection.putheader("Expect", "100-continue")
            connection.endheaders()
            assert connection.sock.recv(100).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGTERM)
            connection.send(PHOTO)
            assert connection.getresponse().status == 200
            connection.close()
            assert process.wait(300) == 0
            assert "All accepted requests are answered" in process.stderr.read()
        finally:
            process.kill()
