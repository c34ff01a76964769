"""`run_server`: runs the application until a signal ends it, and answers what it has accepted."""

import contextlib
import math
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from cspdarknet.serve.limits import Limits
from cspdarknet.serve.protocol import TimedProtocol

SPARE_FILES = 256  # beside those of the connections


class Server(uvicorn.Server):
    """A server whose caller handles the signals, and sets `should_exit` to end it.

    Args:
        app: the application, as of `create_app`.
        limits: the `Limits`, as of `create_app`.

    Example:
        >>> from cspdarknet.serve import Limits, create_app, load_models
        >>> models = load_models(["csp_darknet_tiny_clothing"], runtime="keras")
        >>> server = Server(create_app(models), Limits())
        >>> server.should_exit = True  # as soon as it has started
        >>> server.run([listening_socket("127.0.0.1", 0)])
    """

    def __init__(self, app: FastAPI, limits: Limits) -> None:
        protocol = type("Protocol", (TimedProtocol,), {"limits": limits})
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            access_log=False,
            log_config=None,  # the logging of the process stays as it is
            log_level="error",  # a flood of bad requests is no flood of messages
            server_header=False,
            timeout_keep_alive=math.ceil(limits.header_timeout),
            # Bodies that arrive, and then their results.
            timeout_graceful_shutdown=math.ceil(limits.body_timeout + limits.timeout),
            backlog=limits.max_connections,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the caller."""
        yield


def run_server(
    app: FastAPI,
    limits: Limits,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_start: Callable[[Server, str], object] | None = None,
) -> None:
    """Run the application until `should_exit` of the server is set.

    Args:
        app: the application, as of `create_app`.
        limits: the `Limits`, as of `create_app`.
        host: address to listen at; `"0.0.0.0"` for all networks of the machine.
        port: port to listen at; 0 for a free one.
        on_start: called with the server and its address once it listens.

    Raises:
        OSError: if the address cannot be listened at.
    """
    allow_open_files(limits.max_connections + SPARE_FILES)
    with contextlib.closing(listening_socket(host, port)) as listener:
        server = Server(app, limits)
        shown = f"[{host}]" if ":" in host else host
        if on_start is not None:
            on_start(server, f"http://{shown}:{listener.getsockname()[1]}")
        server.run([listener])


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        OSError: if the address is in use, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"`--host` and `--port` must be a free address of this machine. Received: {host}, port "
            f"{port} ({error.strerror})"
        ) from error


def allow_open_files(count: int) -> None:
    """Let this process have a number of open files, as far as the system allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
