"""A trained model as a model of MLflow, which `mlflow.pyfunc` loads and serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspdarknet._extras import require
from cspdarknet._version import __version__

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

PREDICTOR = Path(__file__).with_name("mlflow_predictor.py")  # MLflow runs it; nothing imports it


def log_model(preset: Path, task: str) -> None:
    """Log a preset folder as the model of the active run, with its signature.

    The model takes a table with a column `image`: the bytes of image files. It needs this package
    and a backend or runtime of it.

    Args:
        preset: the preset folder of a classifier, regressor or detector.
        task: `"classification"`, `"regression"` or `"detection"`.
    """
    mlflow: Any = require("mlflow", "mlflow", "Logging to MLflow")
    mlflow.pyfunc.log_model(
        name="model",
        python_model=str(PREDICTOR),
        artifacts={"preset": str(preset)},
        signature=_signature(task),
        pip_requirements=[f"cspdarknet[onnxruntime]=={__version__}"],
        metadata={"task": task},
    )


def _signature(task: str) -> "ModelSignature":
    """Return columns and types of a model's input and output."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array, Object, Property

    if task == "classification":
        probabilities = ColSpec(Array(DataType.double), "probabilities")
        outputs = [ColSpec("string", "class_name"), ColSpec("double", "confidence"), probabilities]
    elif task == "regression":
        outputs = [ColSpec(Array(DataType.double), "targets")]
    else:
        detection = Object(
            [
                Property("class_name", DataType.string),
                Property("confidence", DataType.double),
                Property("xyxy", Array(DataType.double)),
            ]
        )
        outputs = [ColSpec(Array(detection), "detections")]
    return ModelSignature(Schema([ColSpec("binary", "image")]), Schema(outputs))
