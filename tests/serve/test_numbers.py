"""Regressors behind the server."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageRegressor
from cspdarknet.serve import create_app
from cspdarknet.serve.models import ServedModel
from support import TINY_NET, randomize

pytestmark = pytest.mark.one_backend


def test_numbers_in_their_units(tmp_path):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    options = {"mean": [40, 80], "std": [10, 20], "image_size": 24}
    model = randomize(ImageRegressor(backbone, ["age", "weight"], **options))
    predictor = Predictor(model, runtime="keras")
    Image.new("RGB", (30, 24), "navy").save(tmp_path / "a.png")
    expected = predictor(tmp_path / "a.png")
    with TestClient(create_app([ServedModel("pets", predictor)])) as client:
        (described,) = client.get("/v1/models").json()["models"]
        assert (described["task"], described["targets"]) == ("regression", ["age", "weight"])
        content = (tmp_path / "a.png").read_bytes()
        image = {"content": content, "headers": {"content-type": "image/png"}}
        answer = client.post("/v1/regress", **image).json()
        numbers = answer["results"][0]["targets"]
        assert list(numbers) == ["age", "weight"]
        np.testing.assert_allclose(list(numbers.values()), expected, rtol=1e-5)
        refused = client.post("/v1/predict?model=pets", **image)
        assert refused.status_code == 400
        assert "a model for regression: use /v1/regress" in refused.json()["detail"]
        assert "/v1/regress" in client.get("/openapi.json").json()["paths"]
