"""HTTP/1.1 connections with time limits for clients that neither ask nor take their answers."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from cspdarknet.serve.limits import RETRY_AFTER, Limits

TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n" % RETRY_AFTER
)


class TimedProtocol(H11Protocol):
    """A connection that is cut when a header does not arrive, or an answer is not taken, in time.

    Uvicorn has a limit only for idle connections that have been used.
    """

    limits = Limits()  # those of the server, in a subclass

    def connection_made(self, transport: Any) -> None:
        """Start the time limit of the first header."""
        super().connection_made(transport)
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.max_connections:
            transport.write(TOO_MANY)
            transport.close()
        self._limit_reading()

    def data_received(self, data: bytes) -> None:
        """Start the time limit of a header at its first bytes, and end it when it is complete."""
        super().data_received(data)
        self._limit_reading()

    def on_response_complete(self) -> None:
        """End the time limit of a header that waited for the answer before it."""
        super().on_response_complete()
        if self._is_answering():
            self._limit_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all time limits."""
        super().connection_lost(exc)
        self._reading = _ended(self._reading)
        self._writing = _ended(self._writing)

    def pause_writing(self) -> None:
        """Start the time limit of the client for taking its answer."""
        super().pause_writing()
        self._writing = self._writing or self._cut_after(self.limits.body_timeout)

    def resume_writing(self) -> None:
        """End the time limit of the client for taking its answer."""
        super().resume_writing()
        self._writing = _ended(self._writing)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _limit_reading(self) -> None:
        if self._is_answering():
            self._reading = _ended(self._reading)
        elif self._reading is None:
            # Bytes that come do not lengthen it, also those of a body that has been refused.
            self._reading = self._cut_after(self.limits.header_timeout)

    def _cut_after(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self.transport.abort)


def _ended(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer, and return `None` to put in its place."""
    if timer is not None:
        timer.cancel()
    return None
