"""Images in the body of a request: raw bytes, multipart form data, or base64 in JSON."""

import base64
import binascii
import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image
from starlette.datastructures import UploadFile

from cspdarknet.serve.batching import EncodedImage
from cspdarknet.serve.limits import Limits

RAW_TYPES = ("application/octet-stream",)  # beside image/…
JSON_RULE = (
    'The JSON must be {"images": [TEXT, ...]} or {"image": TEXT}. Each text is an image file in '
    "base64, or a data URL of one"
)
# The body in OpenAPI's terms.
_FILE = {"type": "string", "format": "binary"}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "image/*": {"schema": _FILE},
        "application/octet-stream": {"schema": _FILE},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"images": {"type": "array", "items": _FILE}},
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"image": _BASE64, "images": {"type": "array", "items": _BASE64}},
            }
        },
    },
}
File = tuple[str, bytes]  # name and content


class RefusedImage(NamedTuple):
    """An image that cannot be used.

    Attributes:
        name: its name for the client.
        error: why it is refused.
    """

    name: str
    error: HTTPException


Received = EncodedImage | RefusedImage


async def read_images(request: Request, limits: Limits) -> list[Received]:
    """Read the images of a request, and check the header of each.

    Args:
        request: the request. Its content type decides how the body is read.
        limits: the limits.

    Returns:
        The images, and those that cannot be used.

    Raises:
        HTTPException: if the body is of another type or form, has no image or too many, or its only
            image cannot be used.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        files = await _from_form(request, limits)
    elif kind == "application/json":
        files = await run_in_threadpool(_from_json, await request.body())
    elif kind.startswith("image/") or kind in RAW_TYPES:
        files = [("image", await request.body())]
    else:
        raise HTTPException(
            415,
            "The content type must be that of an image, application/octet-stream, "
            f"multipart/form-data or application/json. Received: {kind or 'none'}",
        )
    if not 1 <= len(files) <= limits.max_images:
        raise HTTPException(
            400, f"A request must have 1 to {limits.max_images} images. Received: {len(files)}"
        )
    images = await run_in_threadpool(_checked, files, limits.max_pixels)
    if len(images) == 1 and isinstance(images[0], RefusedImage):
        raise images[0].error
    return images


async def _from_form(request: Request, limits: Limits) -> list[File]:
    most = limits.max_images
    async with request.form(
        max_files=most, max_fields=most, max_part_size=limits.max_bytes
    ) as form:
        parts = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        return [(part.filename or "image", await part.read()) for part in parts]


def _from_json(body: bytes) -> list[File]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{JSON_RULE}. Received: not JSON") from error
    texts = content.get("images", [content.get("image")]) if isinstance(content, dict) else None
    if not isinstance(texts, list):
        raise HTTPException(400, f"{JSON_RULE}. Received: another form")
    return [(f"image {i}", _decoded(text)) for i, text in enumerate(texts)]


def _decoded(text: Any) -> bytes:
    """Return the bytes of an image in base64; addresses are not fetched."""
    if not isinstance(text, str):
        raise HTTPException(400, f"{JSON_RULE}. Received: a {type(text).__name__}")
    head, separator, data = text.partition(",") if text.startswith("data:") else ("", "", text)
    try:
        if separator and not head.endswith(";base64"):
            raise ValueError(head)
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error) as error:
        is_address = "://" in text[:20]
        received = "an address, which is not fetched" if is_address else "not base64"
        raise HTTPException(400, f"{JSON_RULE}. Received: {received}") from error


def _checked(files: Sequence[File], max_pixels: int) -> list[Received]:
    images: list[Received] = []
    for name, content in files:
        try:
            images.append(EncodedImage(name, content, _pixels(content, max_pixels)))
        except HTTPException as error:
            images.append(RefusedImage(name, error))
    return images


def _pixels(content: bytes, max_pixels: int) -> int:
    """Return the number of pixels in the header of an image file.

    Raises:
        HTTPException: if there are too many, or it is not an image.
    """
    too_many = f"An image must have at most {max_pixels} pixels."
    try:
        with Image.open(BytesIO(content)) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise HTTPException(413, f"{too_many} Received: more than 178 million") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        received = f"{len(content)} bytes of another kind" if content else "no bytes"
        raise HTTPException(422, f"The body must be an image file. Received: {received}") from error
    if width * height > max_pixels:
        raise HTTPException(413, f"{too_many} Received: {width} x {height}")
    return width * height
