"""What `Predictor` asks of Keras' backends; all else about it is in `test_predictor.py`."""

import threading

import keras
import numpy as np
import pytest

from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import randomize, relative_error


@pytest.fixture(scope="module")
def classifier():
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, image_size=32))


@pytest.fixture
def photos():
    return list(np.random.default_rng(0).integers(0, 256, (7, 40, 36, 3), "uint8"))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_of_all_sizes(classifier, photos, batch_size):
    """The last batch is a smaller one."""
    predictor = Predictor(classifier, runtime="keras", batch_size=batch_size)
    assert np.shape(predictor(photos)) == (7, 3)
    images = np.stack(photos)[:, 4:36, 2:34]
    expected = classifier.predict(images.astype("float32"), verbose=0)
    for count in (3, 7, 1):
        found = predictor.run(images[:count])["probabilities"]
        assert relative_error(found, expected[:count]) < 1e-5


def test_half_precision_comes_as_float32(classifier, photos):
    backbone = CSPDarkNetBackbone([8, 12], [1, 1], include_rescaling=True, dtype="mixed_bfloat16")
    for result in Predictor(backbone, runtime="keras")(photos[0]).values():
        assert result.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_threads_and_the_users_own_predict_do_not_disturb_each_other(classifier, photos):
    predictor = Predictor(classifier, runtime="keras")
    expected = predictor(photos[0])
    image = np.zeros((1, 32, 32, 3), "float32")
    found, errors = [], []

    def work():
        try:
            found.extend(predictor(photos[0]) for _ in range(20))
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(10):
        classifier.predict(image, verbose=0)
    for worker in workers:
        worker.join()
    assert not errors
    np.testing.assert_allclose(found, [expected] * 60, atol=1e-5)
