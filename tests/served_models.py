"""Stand-ins for the predictors of a server, image files in memory, and a running server."""

import contextlib
import threading
from io import BytesIO

import numpy as np
from PIL import Image

from cspdarknet.images import ImageError, read_image
from cspdarknet.model_info import ModelInfo
from cspdarknet.serve import Limits, ServedModel, create_app
from cspdarknet.serve.server import Server, listening_socket
from fake_detector import FakePredictor, paint

RECTANGLES = [("red", 10, 12, 30, 40), ("blue", 40, 5, 60, 25)]


class Rectangles(FakePredictor):
    """A detector that also takes bytes; it remembers the sizes of its batches."""

    runtime = "fake"

    def __init__(self):
        super().__init__()
        self.batches = []

    def __call__(self, image):
        self.batches.append(1)
        return self.detect(read_image(image))

    def stream(self, images):
        images = list(images)
        self.batches.append(len(images))
        return super().stream(images)


class Held(Rectangles):
    """A detector that waits with each batch until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.started, self.may_go_on = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, image):
        self.started.release()
        self.may_go_on.acquire()
        return super().__call__(image)


class Classifier:
    """A classifier whose probabilities are those of the first pixel's channels."""

    info = ModelInfo("classification", class_names=("red", "green", "blue"), image_size=8)
    runtime = "fake"

    def __call__(self, image):
        pixel = read_image(image)[0, 0].astype("float32")
        return pixel / pixel.sum()

    def stream(self, images):
        for image in images:
            try:
                yield image, self(image)
            except ImageError as error:
                yield image, error


class Regressor(Classifier):
    """A regressor of the mean and the largest value of the first pixel's channels."""

    info = ModelInfo("regression", targets=("mean", "largest"), image_size=8)

    def __call__(self, image):
        pixel = read_image(image)[0, 0].astype("float32")
        return np.array([pixel.mean(), pixel.max()])


class Backbone(Classifier):
    """A backbone of two levels."""

    info = ModelInfo("features")

    def __call__(self, image):
        pixels = read_image(image).astype("float32")
        return {"P1": pixels, "P2": pixels[::2, ::2]}


def file_of(array, kind="PNG"):
    file = BytesIO()
    Image.fromarray(np.asarray(array, "uint8")).save(file, kind)
    return file.getvalue()


PHOTO = file_of(paint((48, 64), RECTANGLES))


def detector(predictor=None, name="shapes", **settings):
    predictor = predictor or Rectangles()
    return ServedModel(name, predictor, score_threshold=0.7, **settings)


@contextlib.contextmanager
def running(models, limits=None, api_key=None):
    """Run a server on a free port of the loopback address; yield the server and its port."""
    limits = limits or Limits()
    server = Server(create_app(models, limits, api_key), limits)
    with contextlib.closing(listening_socket("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
