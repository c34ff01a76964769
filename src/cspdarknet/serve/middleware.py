"""ASGI middleware: limits on the bodies of requests, the API key, headers, and metrics."""

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cspdarknet.serve.limits import RETRY_AFTER, Limits

PRIVATE_PATHS = ("/v1/", "/metrics", "/openapi.json")
COUNTED_PATHS = (
    *("/v1/predict", "/v1/detect", "/v1/features", "/v1/models"),
    *("/", "/healthz", "/readyz", "/metrics"),
)
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _RefusedError(Exception):
    """A body is refused while it is read."""

    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail


class BodyLimits:
    """Refuses bodies that are too large or too slow, or all together take too much memory.

    Args:
        app: the application.
        limits: the limits.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._held = 0  # bytes of the bodies of unanswered requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own, is_complete, refusal = 0, False, None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.body_timeout

        async def limited() -> Message:
            nonlocal own, is_complete, refusal
            if is_complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
                count = len(message.get("body", b""))
                own += count
                self._held += count
                self._check(own)
            except TimeoutError:
                seconds = self._limits.body_timeout
                refusal = _RefusedError(408, f"The body must arrive within {seconds} s.")
                raise refusal from None
            except _RefusedError as error:
                refusal = error
                raise
            is_complete = not message.get("more_body", False)
            return message

        async def checked_send(message: Message) -> None:
            # Frameworks turn errors of `receive` into answers of their own.
            if refusal is None:
                await send(message)

        try:
            self._check_length(Headers(scope=scope).get("content-length", ""))
            await self._app(scope, limited, checked_send)
        except _RefusedError as error:
            refusal = error
        finally:
            self._held -= own
        if refusal is not None:
            await _answer(refusal.status, refusal.detail)(scope, receive, send)

    def _check_length(self, length: str) -> None:
        if length.isdecimal():
            self._check(int(length), already_held=0)

    def _check(self, own: int, already_held: int | None = None) -> None:
        limits = self._limits
        held = self._held if already_held is None else self._held + own
        if own > limits.max_bytes:
            raise _RefusedError(413, f"The body must have at most {limits.max_bytes} bytes.")
        if held > limits.max_body_memory:
            raise _RefusedError(429, "The server has no memory for more requests: try again later.")


class Safeguards:
    """Asks for the API key, refuses requests of other sites, adds headers, and counts requests.

    Args:
        app: the application.
        api_key: the key; `None` for none.
        count: called with path, status and seconds of each answered request.
    """

    def __init__(
        self, app: ASGIApp, api_key: str | None, count: Callable[[str, int, float], None]
    ) -> None:
        self._app, self._count = app, count
        self._key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 499  # of clients that have gone

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._refusal(scope) or self._app
        try:
            await app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # in the midst of a body: there is nobody to answer
        except Exception:
            status = 500
            raise
        finally:
            path = scope["path"] if scope["path"] in COUNTED_PATHS else "other"
            self._count(path, status, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not scope["path"].startswith(PRIVATE_PATHS):
            return None
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return _answer(403, "Pages of other sites must not use this server.")
        if self._key is not None and not hmac.compare_digest(_given_key(headers), self._key):
            return _answer(
                401,
                "This server needs an API key: send it as `Authorization: Bearer KEY`.",
                {"www-authenticate": "Bearer"},
            )
        return None


def _given_key(headers: Headers) -> bytes:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return (key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")).encode()


def _answer(status: int, detail: str, headers: dict[str, Any] | None = None) -> JSONResponse:
    if status == 429:
        headers = {"retry-after": str(RETRY_AFTER)}
    return JSONResponse({"detail": detail}, status, headers)
