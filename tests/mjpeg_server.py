"""A camera that sends JPEG images over HTTP on the loopback address, and can be killed."""

import io
import queue
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


class MjpegServer:
    """Sends images as multipart JPEG, each when the test says so.

    `stop` closes the connections and the port, and `start` opens the same port again.
    """

    def __init__(self):
        self.connected = threading.Semaphore(0)  # one for each request
        self._images = queue.SimpleQueue()
        self._port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}/camera.mjpg"

    def start(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server._serve(self)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def send(self, *images):
        """Send images, arrays; `None` ends the connection."""
        for image in images:
            self._images.put(image)

    def stop(self):
        """Close the port; the connection ends by `send(None)`."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request):
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        self.connected.release()
        while (image := self._images.get()) is not None:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=95)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {file.tell()}\r\n\r\n"
            request.wfile.write(head.encode() + file.getvalue() + b"\r\n")
            request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)
