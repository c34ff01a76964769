"""Metrics of the server in Prometheus' text format."""

from collections.abc import Mapping, Sized

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts requests, images and batches.

    Args:
        queues: for each model, what has the number of waiting images as its length.

    Example:
        >>> metrics = Metrics({"cells": [1, 2, 3]})
        >>> metrics.request("/v1/detect", 200, 0.03)
        >>> [line for line in metrics.text().decode().splitlines() if "queue" in line][-1]
        'cspdarknet_queue_images{model="cells"} 3.0'
    """

    def __init__(self, queues: Mapping[str, Sized]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(_Queues(queues))
        self._requests = Counter(
            "cspdarknet_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "cspdarknet_request_seconds",
            "Time from the header of a request to the end of its answer.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "cspdarknet_batch_images",
            "Number of images in a batch; the sum is the number of images.",
            ["model"],
            buckets=BATCH_SIZES,
            registry=registry,
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, model: str, images: int) -> None:
        """Count a batch."""
        self._batches.labels(model).observe(images)

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)


class _Queues(Collector):
    def __init__(self, queues: Mapping[str, Sized]) -> None:
        self._queues = queues

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "cspdarknet_queue_images", "Number of images that wait for a batch.", labels=["model"]
        )
        for model, queue in self._queues.items():
            family.add_metric([model], len(queue))
        return [family]
