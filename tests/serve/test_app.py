"""The HTTP interface of the server."""

import asyncio
import base64
import io
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from cspdarknet.serve import Limits, ServedModel, create_app
from served_models import PHOTO, Backbone, Classifier, Held, Rectangles, detector, file_of

pytestmark = pytest.mark.one_backend

PNG = {"content-type": "image/png"}
TEXT = base64.b64encode(PHOTO).decode()
RED = {"class_id": 0, "class_name": "red", "confidence": 0.9, "xyxy": [10.0, 12.0, 30.0, 40.0]}


def models():
    return [
        detector(batch_size=4),
        detector(name="others"),
        ServedModel("colors", Classifier()),
        ServedModel("levels", Backbone()),
    ]


@pytest.fixture
def client():
    with TestClient(create_app(models())) as client:
        yield client


def bomb(width, height):
    """A PNG file whose header says that it is large."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    pixels = struct.pack(">I", 10) + b"IDAT" + bytes(10)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc + pixels


@pytest.mark.parametrize(
    "body",
    [
        {"content": PHOTO, "headers": PNG},
        {"content": PHOTO, "headers": {"content-type": "application/octet-stream"}},
        {"files": {"anything": ("image", PHOTO)}},
        {"json": {"image": TEXT}},
        {"json": {"images": [f"data:image/png;base64,{TEXT}"]}},
    ],
)
def test_every_form_of_body_gives_the_same(client, body):
    answer = client.post("/v1/detect", **body)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["model"] == "shapes"
    assert result["score_threshold"] == 0.7
    [image] = result["results"]
    assert (image["width"], image["height"], image["detections"]) == (64, 48, [RED])


def test_several_images_keep_their_order_and_their_names(client):
    names = [f"{i}.png" for i in range(6)]
    contents = [file_of(np.zeros((8, 9 + i, 3))) for i in range(6)]
    contents[2], contents[4] = b"no image", PHOTO[:-40]
    files = [("images", item) for item in zip(names, contents, strict=True)]
    results = client.post("/v1/detect", files=files).json()["results"]
    assert [r["image"] for r in results] == names
    assert [r.get("width") for r in results] == [9, 10, None, 12, None, 14]
    assert "must be an image file" in results[2]["error"]
    assert "cannot be read: damaged" in results[4]["error"]


@pytest.mark.parametrize(("threshold", "count"), [(0, 2), (0.6, 2), (0.61, 1), (0.95, 0)])
def test_a_request_chooses_its_threshold(client, threshold, count):
    query = {"score_threshold": threshold}
    answer = client.post("/v1/detect", params=query, content=PHOTO, headers=PNG).json()
    assert len(answer["results"][0]["detections"]) == count
    assert answer["score_threshold"] == threshold


def test_thresholds_may_differ_between_classes():
    model = ServedModel("a", Rectangles(), score_threshold=(0.95, 0.5))
    with TestClient(create_app([model])) as client:
        [result] = client.post("/v1/detect", content=PHOTO, headers=PNG).json()["results"]
    assert [d["class_name"] for d in result["detections"]] == ["blue"]


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_the_image_with_boxes(client, kind):
    answer = client.post(f"/v1/detect?output={kind}", content=PHOTO, headers=PNG)
    assert answer.headers["content-type"] == f"image/{kind}"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size) == (kind.upper(), (64, 48))
    before = np.asarray(Image.open(io.BytesIO(PHOTO)), int)
    changed = np.abs(np.asarray(image, int) - before).max(axis=2) > 60
    assert changed[12:40, 10].all()  # the left edge of the red box
    assert not changed[5:25, 61:].any()  # the blue one is below the threshold


def test_classes(client):
    photo = file_of(np.full((4, 4, 3), [30, 60, 10]))
    answer = client.post("/v1/predict?top=2", content=photo, headers=PNG).json()
    assert answer == {
        "model": "colors",
        "results": [
            {
                "image": "image",
                "classes": [
                    {"class_id": 1, "class_name": "green", "probability": 0.6},
                    {"class_id": 0, "class_name": "red", "probability": 0.3},
                ],
            }
        ],
    }


def test_all_classes_of_a_multi_label_classifier():
    class Tagger(Classifier):
        info = replace(Classifier.info, labels="multi", score_threshold=(0.3, 0.7, 0.1))

    photo = file_of(np.full((4, 4, 3), [30, 60, 10]))
    with TestClient(create_app([ServedModel("tags", Tagger())])) as client:
        for query, names in (("", ["red", "blue"]), ("?top=1", ["green"])):
            answer = client.post(f"/v1/predict{query}", content=photo, headers=PNG).json()
            assert [c["class_name"] for c in answer["results"][0]["classes"]] == names


def test_features(client):
    photo = file_of(np.arange(4 * 6 * 3).reshape(4, 6, 3))
    [result] = client.post("/v1/features", content=photo, headers=PNG).json()["results"]
    assert result["shapes"] == {"P1": [4, 6, 3], "P2": [2, 3, 3]}
    answer = client.post("/v1/features?output=npz", content=photo, headers=PNG)
    maps = np.load(io.BytesIO(answer.content))
    np.testing.assert_allclose(result["vector"], maps["P2"].mean(axis=(0, 1)))
    np.testing.assert_array_equal(maps["P1"].ravel(), np.arange(72))


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("detect", {"content": PHOTO}, 415, "content type must"),
        ("detect", {"content": PHOTO, "headers": {"content-type": "text/html"}}, 415, "text/html"),
        ("detect", {"data": {"a": "b"}}, 415, "content type must"),
        ("detect", {"content": b"", "headers": PNG}, 422, "no bytes"),
        ("detect", {"content": b"GIF89a", "headers": PNG}, 422, "must be an image file"),
        ("detect", {"content": PHOTO[:-40], "headers": PNG}, 422, "cannot be read: damaged"),
        ("detect", {"content": bomb(9000, 9000), "headers": PNG}, 413, "9000 x 9000"),
        ("detect", {"content": bomb(2**31 - 1, 2**31 - 1), "headers": PNG}, 413, "178 million"),
        ("detect", {"json": {}}, 400, "JSON must"),
        ("detect", {"json": [TEXT]}, 400, "another form"),
        ("detect", {"json": {"images": []}}, 400, "Received: 0"),
        ("detect", {"json": {"images": [TEXT] * 33}}, 400, "Received: 33"),
        ("detect", {"json": {"images": {"a": 1}}}, 400, "another form"),
        ("detect", {"json": {"image": "file:///etc/passwd"}}, 400, "not fetched"),
        ("detect", {"json": {"image": "https://example.org/a.png"}}, 400, "not fetched"),
        ("detect", {"json": {"image": "data:text/plain,abc"}}, 400, "not base64"),
        ("detect", {"json": {"image": "ÄÖ"}}, 400, "not base64"),
        (
            "detect",
            {"content": b"[" * 10**5, "headers": {"content-type": "application/json"}},
            400,
            "not JSON",
        ),
        (
            "detect",
            {"content": b"a", "headers": {"content-type": "multipart/form-data"}},
            400,
            "boundary",
        ),
        ("detect", {"files": [("a", PHOTO)] * 33}, 400, "Too many files"),
        ("detect?model=no", {"content": PHOTO, "headers": PNG}, 404, "'no'"),
        ("detect?model=colors", {"content": PHOTO, "headers": PNG}, 400, "use /v1/predict"),
        ("detect?score_threshold=nan", {"content": PHOTO, "headers": PNG}, 422, "score_threshold"),
        ("detect?output=jpeg", {"files": [("a", PHOTO)] * 2}, 400, "needs one image"),
        ("predict?top=0", {"content": PHOTO, "headers": PNG}, 422, "top"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(client, path, body, status, message):
    answer = client.post(f"/v1/{path}", **body)
    assert answer.status_code == status, answer.text
    assert message in json.dumps(answer.json()["detail"])
    assert "Traceback" not in answer.text
    assert client.post("/v1/detect", content=PHOTO, headers=PNG).status_code == 200


def test_a_request_names_its_model(client):
    answer = client.post("/v1/detect?model=others", content=PHOTO, headers=PNG)
    assert answer.json()["model"] == "others"
    described = client.get("/v1/models").json()["models"]
    assert [m["name"] for m in described] == ["shapes", "others", "colors", "levels"]
    assert described[0]["class_names"] == ["red", "blue"]


def test_a_task_that_no_model_has_is_not_found():
    with TestClient(create_app([detector()])) as client:
        answer = client.post("/v1/predict", content=PHOTO, headers=PNG)
    assert answer.status_code == 404
    assert "shapes (detection)" in answer.json()["detail"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_large_bodies_are_refused(is_chunked):
    content = PHOTO + bytes(2000)
    chunks = iter([content[:500], content[500:]]) if is_chunked else content
    with TestClient(create_app(models(), Limits(max_bytes=1500))) as client:
        answer = client.post("/v1/detect", content=chunks, headers=PNG)
        assert answer.status_code == 413
        assert "1500 bytes" in answer.json()["detail"]
        assert client.post("/v1/detect", content=PHOTO, headers=PNG).status_code == 200


def scope_of(method, path):
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
    }


async def ask(app, chunks, afterwards=None):
    """Send a request to the application directly, and return the status of its answer.

    Args:
        app: the application.
        chunks: the chunks of the body; `None` for one that never comes.
        afterwards: the message after the body, if one comes.
    """
    messages = [{"type": "http.request", "body": c, "more_body": True} for c in chunks if c]
    if len(messages) == len(chunks):
        messages[-1]["more_body"] = False
    sent, rest = [], iter([*messages, *([afterwards] if afterwards else [])])

    async def receive():
        return next(rest, None) or await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await app(scope_of("POST", "/v1/detect"), receive, send)
    return sent[0]["status"]


@pytest.fixture
def held():
    """A detector that waits with each image."""
    predictor = Held()
    yield predictor
    predictor.may_go_on.release(100)


async def held_request(app, held):
    """Send a request whose image the detector holds."""
    task = asyncio.create_task(ask(app, [PHOTO]))
    await asyncio.to_thread(held.started.acquire)
    return task


def test_a_full_queue_is_told_and_passes(held):
    app = create_app([detector(held, threads=1)], Limits(max_queue=2, max_images=2))

    async def scenario():
        async with app.router.lifespan_context(app):
            requests = [await held_request(app, held)]
            # One of three does not fit; which one depends on the threads that read headers.
            requests += [asyncio.create_task(ask(app, [PHOTO])) for _ in range(3)]
            done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
            held.may_go_on.release(100)
            return [task.result() for task in done], sorted(await asyncio.gather(*requests))

    assert asyncio.run(scenario()) == ([429], [200, 200, 200, 429])


def test_bodies_that_wait_take_bounded_memory(held):
    limits = Limits(max_bytes=len(PHOTO), max_body_memory=len(PHOTO))
    app = create_app([detector(held, threads=1)], limits)

    async def scenario():
        async with app.router.lifespan_context(app):
            first = await held_request(app, held)
            refused = await ask(app, [PHOTO])
            held.may_go_on.release(100)
            return await first, refused, await ask(app, [PHOTO])

    assert asyncio.run(scenario()) == (200, 429, 200)


def test_time_is_bounded(held):
    app = create_app([detector(held, threads=1)], Limits(timeout=0.01))
    with TestClient(app) as client:
        answer = client.post("/v1/detect", content=PHOTO, headers=PNG)
        held.may_go_on.release(100)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_a_body_that_stops_is_refused():
    app = create_app([detector()], Limits(body_timeout=0.01))
    assert asyncio.run(ask(app, [PHOTO[:10], None])) == 408


def test_images_of_clients_that_have_gone_are_given_up(held):
    app = create_app([detector(held, threads=1)])

    async def scenario():
        async with app.router.lifespan_context(app):
            first = await held_request(app, held)
            status = await ask(app, [PHOTO], {"type": "http.disconnect"})
            held.may_go_on.release(100)
            return status, await first

    assert asyncio.run(scenario()) == (499, 200)
    assert held.batches == [1]


@pytest.mark.parametrize("path", ["/v1/detect", "/v1/models", "/metrics", "/openapi.json"])
def test_the_key_is_needed_for_all_but_the_page_and_the_state(path):
    with TestClient(create_app(models(), api_key="e1f")) as client:
        method = "POST" if path == "/v1/detect" else "GET"
        for headers in ({}, {"authorization": "Bearer a"}, {"x-api-key": "ä".encode()}):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        for headers in ({"authorization": "bearer e1f"}, {"x-api-key": "e1f"}):
            headers = {**headers, **PNG}
            answer = client.request(method, path, headers=headers, content=PHOTO)
            assert answer.status_code == 200, answer.text
        for public in ("/", "/page/page.js", "/healthz", "/readyz"):
            assert client.get(public).status_code == 200


def test_pages_of_other_sites_are_refused(client):
    headers = {**PNG, "sec-fetch-site": "cross-site"}
    assert client.post("/v1/detect", content=PHOTO, headers=headers).status_code == 403
    headers["sec-fetch-site"] = "same-origin"
    assert client.post("/v1/detect", content=PHOTO, headers=headers).status_code == 200


def test_metrics(client):
    client.post("/v1/detect", files=[("a", PHOTO)] * 3)
    client.post("/v1/detect", content=b"", headers=PNG)
    client.get("/no/such/path")
    lines = client.get("/metrics").text.splitlines()
    assert 'cspdarknet_requests_total{path="/v1/detect",status="200"} 1.0' in lines
    assert 'cspdarknet_requests_total{path="/v1/detect",status="422"} 1.0' in lines
    assert 'cspdarknet_requests_total{path="other",status="404"} 1.0' in lines
    assert 'cspdarknet_request_seconds_count{path="/v1/detect"} 2.0' in lines
    assert 'cspdarknet_batch_images_sum{model="shapes"} 3.0' in lines
    assert 'cspdarknet_queue_images{model="shapes"} 0.0' in lines


def test_openapi_describes_bodies_and_answers(client):
    api = client.get("/openapi.json").json()
    post = api["paths"]["/v1/detect"]["post"]
    assert set(post["requestBody"]["content"]) > {"multipart/form-data", "application/json"}
    assert {p["name"] for p in post["parameters"]} == {"model", "score_threshold", "output"}
    assert {"200", "413", "429"} <= set(post["responses"])
    assert "xyxy" in api["components"]["schemas"]["Detection"]["properties"]


def test_the_page_is_complete_and_asks_nobody_else(client):
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for name in ("page.css", "page.js", "results.js"):
        text = client.get(f"/page/{name}").text
        assert len(text) > 500
        assert "://" not in text
    assert "://" not in page.text
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/"):
        assert client.get(path).status_code == 404


def test_readiness_follows_the_batchers():
    app = create_app([detector()])
    client = TestClient(app)  # whose lifespan has not begun
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    with client:
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("served", "key"), [([], None), ([None], " "), ([None], ""), ([None], "é"), ([None], "a\n")]
)
def test_arguments_are_checked(served, key):
    with pytest.raises(ValueError, match="must"):
        create_app(served, api_key=key)
