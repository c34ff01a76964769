"""What `Predictor` needs of Keras's backends; the rest is in `test_predictor.py`."""

import threading

import keras
import numpy as np
import pytest

from cspdarknet.inference import Predictor, keras_runtime
from cspdarknet.inference.keras_runtime import KerasRuntime
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import TINY_NET, randomize, relative_error


@pytest.fixture
def images():
    return list(np.random.default_rng(0).integers(0, 256, (7, 40, 36, 3), "uint8"))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_of_all_sizes(classifier, images, batch_size):
    """The last batch is smaller."""
    predictor = Predictor(classifier, runtime="keras", batch_size=batch_size)
    assert np.shape(predictor(images)) == (7, 3)
    crops = np.stack(images)[:, 4:36, 2:34]
    expected = classifier.predict(crops.astype("float32"), verbose=0)
    for count in (3, 7, 1):
        probabilities = predictor.run(crops[:count])["probabilities"]
        assert relative_error(probabilities, expected[:count]) < 1e-5


def test_half_precision_comes_as_float32(images):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype="mixed_bfloat16")
    for result in Predictor(backbone, runtime="keras")(images[0]).values():
        assert result.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.one_backend
def test_outputs_in_half_precision_are_converted(classifier, monkeypatch):
    import ml_dtypes

    runtime = KerasRuntime(classifier)
    half = {"probabilities": np.ones((1, 3), ml_dtypes.bfloat16), "classes": np.ones(1, "int32")}
    monkeypatch.setattr(runtime, "_call", lambda images: half)
    outputs = runtime.run(np.zeros((1, 32, 32, 3), "float32"))
    assert [value.dtype for value in outputs.values()] == ["float32", "int32"]


def test_threads_and_the_users_own_predict_do_not_disturb_each_other(classifier, images):
    predictor = Predictor(classifier, runtime="keras")
    expected = predictor(images[0])
    image = np.zeros((1, 32, 32, 3), "float32")
    results, errors = [], []

    def work():
        try:
            results.extend(predictor(images[0]) for _ in range(20))
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
    np.testing.assert_allclose(results, [expected] * 60, atol=1e-5)


@pytest.fixture
def compilations(monkeypatch):
    """Grows whenever JAX traces a graph to compile it."""
    count, original = [], keras.StatelessScope

    def counting(*args, **kwargs):
        count.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(keras_runtime.keras, "StatelessScope", counting)
    return count


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_new_weights_need_no_compilation(images, compilations, dtype):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype=dtype)
    model = randomize(ImageClassifier(backbone, 3, image_size=32))
    predictor = Predictor(model, runtime="keras")
    before = predictor(images[0])
    assert bool(compilations) == (keras.backend.backend() == "jax")
    compilations.clear()
    randomize(model, seed=1)
    backbone.trainable = False  # the order of the variables must not depend on this
    predictor.update_weights()
    after = predictor(images[0])
    assert not compilations
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, Predictor(model, runtime="keras")(images[0]), atol=1e-6)


@pytest.mark.one_backend
def test_other_runtimes_have_their_own_weights(classifier):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="`update_weights` needs runtime='keras'"):
        Predictor(classifier, runtime="onnxruntime").update_weights()
