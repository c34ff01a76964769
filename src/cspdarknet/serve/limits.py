"""`Limits`: how much one client, and all of them together, may ask of the server."""

from dataclasses import dataclass, fields

from cspdarknet._arguments import check_count, check_positive
from cspdarknet.images import MAX_PIXELS

SECONDS = ("timeout", "body_timeout", "header_timeout")
RETRY_AFTER = 1  # seconds, after which a refused client may try again


@dataclass(frozen=True)
class Limits:
    """Limits of the server. What is beyond them is refused before it takes memory or time.

    Args:
        max_bytes: maximum size of the body of a request.
        max_body_memory: maximum size of the bodies of all unanswered requests together, of which
            there are up to three copies.
        max_pixels: maximum number of pixels of an image, and of the images that are decoded for one
            batch together.
        max_images: maximum number of images in a request.
        max_queue: maximum number of images that wait for a model.
        max_connections: maximum number of open connections.
        timeout: maximum number of seconds from the arrival of a whole request to its results.
        body_timeout: maximum number of seconds in which the body of a request arrives, or in which
            a client takes its answer.
        header_timeout: maximum number of seconds in which the header of a request arrives, and for
            which a connection may be idle.

    Raises:
        ValueError: if a limit is not a positive number, or the limits do not fit each other.

    Example:
        >>> Limits(max_pixels=12_000_000).max_images
        32
    """

    max_bytes: int = 32 * 2**20
    max_body_memory: int = 256 * 2**20
    max_pixels: int = 50_000_000
    max_images: int = 32
    max_queue: int = 256
    max_connections: int = 1000
    timeout: float = 30
    body_timeout: float = 30
    header_timeout: float = 10

    def __post_init__(self) -> None:
        for field in fields(self):
            check = check_positive if field.name in SECONDS else check_count
            check(field.name, getattr(self, field.name))
        check_count("max_pixels", self.max_pixels, most=MAX_PIXELS)
        for name, other in (("max_bytes", "max_body_memory"), ("max_images", "max_queue")):
            if getattr(self, name) > getattr(self, other):
                raise ValueError(
                    f"`{name}` must be at most `{other}`, or some requests never fit. Received: "
                    f"{name}={getattr(self, name)}, {other}={getattr(self, other)}"
                )
