"""A server on the loopback address, and clients that behave badly."""

import contextlib
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cspdarknet.serve import Limits, ServedModel
from cspdarknet.serve.server import listening_socket
from served_models import PHOTO, Backbone, Held, detector, file_of, running

pytestmark = pytest.mark.one_backend

HEAD = (
    b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
)
# Short, so that a client that waits for its connection to be cut does so for no time.
IMPATIENT = Limits(header_timeout=0.05, body_timeout=0.05)


def request(port, content=PHOTO, path="/v1/detect"):
    """Send an image; return the status and the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, content, {"Content-Type": "image/png"})
    response = connection.getresponse()
    response.read()
    return response.status, connection


def status(port, content=PHOTO):
    code, connection = request(port, content)
    connection.close()
    return code


@contextlib.contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        yield client


def received(client):
    """Return all bytes up to the end of the connection."""
    chunks = []
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks)


def is_cut(client):
    """Send bytes; return whether the connection is cut."""
    try:
        client.sendall(bytes(2**20))
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize(
    "start",
    [b"", b"POST /v1/detect HTTP/1.1\r\nHost:", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /"],
)
def test_clients_that_do_not_finish_a_header_are_cut(start):
    with running([detector()], IMPATIENT) as (_, port):
        with connected(port) as client:
            client.sendall(start)
            answer = received(client)
        assert answer.count(b"HTTP/1.1 200") == start.count(b"\r\n\r\n")
        assert status(port) == 200


def test_clients_that_do_not_finish_a_body_are_told_and_cut():
    with running([detector()], IMPATIENT) as (_, port):
        with connected(port) as client:
            client.sendall(HEAD % len(PHOTO) + PHOTO[:20])
            assert received(client).startswith(b"HTTP/1.1 408")
        assert status(port) == 200


def test_a_refused_body_is_dropped_for_a_bounded_time():
    with running([detector()], Limits(header_timeout=0.05, max_bytes=1000)) as (_, port):
        with connected(port) as client:
            client.sendall(HEAD % 10**9)
            assert client.recv(65536).startswith(b"HTTP/1.1 413")
            while not is_cut(client):
                pass
        assert status(port) == 200


def test_clients_that_do_not_take_their_answer_are_cut():
    photo = file_of(np.zeros((1000, 1000, 3)))  # whose features are 12 MB
    models = [ServedModel("levels", Backbone()), detector()]
    with running(models, Limits(body_timeout=0.05)) as (server, port):
        with connected(port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = HEAD.replace(b"/v1/detect", b"/v1/features?output=npz")
            client.sendall(head % len(photo) + photo)
            client.recv(1)  # the answer has begun
            wait_until(lambda: not server.server_state.connections)
        assert status(port) == 200


def wait_until(condition):
    """Wait for a condition that another thread fulfills; the test's time limit bounds it."""
    tick = threading.Event()
    while not condition():
        tick.wait(0.005)


@pytest.mark.parametrize("sent", [0, 30, 1000])
def test_cut_connections_do_no_harm(sent, caplog):
    with running([detector()]) as (server, port):
        message = HEAD % len(PHOTO) + PHOTO
        for _ in range(20):
            with connected(port) as client:
                client.sendall(message[:sent])
        wait_until(lambda: not server.server_state.connections)
        assert status(port) == 200
    assert not caplog.records  # a message for each would fill a disk


def test_nonsense_is_refused():
    with running([detector()]) as (_, port):
        for message in (b"\x16\x03\x01\x02\x00\x01" * 50, b"\r\n" * 10 + b"\0", b"A" * 100_000):
            with connected(port) as client, contextlib.suppress(ConnectionError):
                client.sendall(message + b"\r\n\r\n")
                assert received(client)[:12] in (b"HTTP/1.1 400", b"")
        assert status(port) == 200


def test_many_clients_at_once_are_served_or_refused():
    limits = Limits(max_queue=32)
    with running([detector(batch_size=8)], limits) as (_, port):
        start = threading.Barrier(200)

        def ask():
            start.wait()
            return status(port)

        with ThreadPoolExecutor(200) as pool:
            statuses = {f.result() for f in [pool.submit(ask) for _ in range(200)]}
        assert 200 in statuses
        assert statuses <= {200, 429}
        assert status(port) == 200


def test_connections_beyond_the_limit_are_cut():
    with running([detector()], Limits(max_connections=4)) as (server, port):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connected(port)) for _ in range(5)]
            assert received(clients[-1]).startswith(b"HTTP/1.1 503")
            wait_until(lambda: len(server.server_state.connections) == 4)
        wait_until(lambda: not server.server_state.connections)
        assert status(port) == 200


def test_accepted_requests_are_answered_at_the_end():
    held = Held()
    with ThreadPoolExecutor(3) as pool, running([detector(held, threads=1)]) as (server, port):
        requests = [pool.submit(status, port)]
        held.started.acquire()
        requests += [pool.submit(status, port) for _ in range(2)]
        wait_until(lambda: len(server.server_state.tasks) == 3)
        server.should_exit = True
        wait_until(lambda: not server.servers[0].is_serving())
        with pytest.raises(ConnectionError):
            status(port)
        held.may_go_on.release(3)
        assert [r.result() for r in requests] == [200, 200, 200]


def test_an_address_in_use_is_named():
    with contextlib.closing(listening_socket("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1, port {port}"):
            listening_socket("127.0.0.1", port)
    with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
        listening_socket("no.such.host.invalid", 80)
