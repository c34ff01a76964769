"""The code of a model in MLflow: MLflow keeps a copy of this file with the model, and runs it."""

from typing import Any

import mlflow.pyfunc
import pandas as pd

from cspdarknet.inference import Predictor


class ImageModel(mlflow.pyfunc.PythonModel):
    """Runs a classifier, regressor or detector of cspdarknet on images."""

    def load_context(self, context: Any) -> None:
        """Load the preset that is kept with the model."""
        self._predictor = Predictor(context.artifacts["preset"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Return a row for each image.

        Args:
            context: not used.
            model_input: table with a column `image`, the bytes of image files.
            params: not used.
        """
        rows = [self._row(bytes(image)) for image in model_input["image"]]
        return pd.DataFrame(rows)

    def _row(self, file: bytes) -> dict[str, Any]:
        result, names = self._predictor(file), self._predictor.class_names
        if self._predictor.info.task == "detection":
            return {
                "detections": [
                    {"class_name": str(name), "confidence": float(score), "xyxy": box.tolist()}
                    for name, score, box in zip(
                        result.class_name, result.confidence, result.xyxy, strict=True
                    )
                ]
            }
        if self._predictor.info.task == "regression":
            return {"targets": result.tolist()}
        best = int(result.argmax())
        return {
            "class_name": str(names[best]),
            "confidence": float(result[best]),
            "probabilities": result.tolist(),
        }


mlflow.models.set_model(ImageModel())
