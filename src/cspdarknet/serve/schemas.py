"""The JSON of requests and answers, for OpenAPI."""

from pydantic import BaseModel


class Detection(BaseModel):
    """One detected object; `xyxy` is left, top, right, bottom in pixels of the upright image."""

    class_id: int
    class_name: str
    confidence: float
    xyxy: tuple[float, float, float, float]


class DetectedImage(BaseModel):
    """The objects of one image, or why it could not be used."""

    image: str
    width: int | None = None
    height: int | None = None
    detections: list[Detection] | None = None
    error: str | None = None


class DetectResponse(BaseModel):
    """The answer of `/v1/detect`."""

    model: str
    score_threshold: float | list[float]
    results: list[DetectedImage]


class ClassProbability(BaseModel):
    """One class and its probability."""

    class_id: int
    class_name: str
    probability: float


class ClassifiedImage(BaseModel):
    """The most probable classes of one image, or why it could not be used."""

    image: str
    classes: list[ClassProbability] | None = None
    error: str | None = None


class PredictResponse(BaseModel):
    """The answer of `/v1/predict`."""

    model: str
    results: list[ClassifiedImage]


class ImageNumbers(BaseModel):
    """The numbers that a regressor predicts for one image, or why it could not be used."""

    image: str
    targets: dict[str, float] | None = None
    error: str | None = None


class RegressResponse(BaseModel):
    """The answer of `/v1/regress`."""

    model: str
    results: list[ImageNumbers]


class ImageFeatures(BaseModel):
    """The spatial mean of the deepest feature map, and the shapes of all; or an error."""

    image: str
    vector: list[float] | None = None
    shapes: dict[str, tuple[int, int, int]] | None = None
    error: str | None = None


class FeaturesResponse(BaseModel):
    """The answer of `/v1/features`."""

    model: str
    results: list[ImageFeatures]


class ModelDescription(BaseModel):
    """One model of the server."""

    name: str
    task: str
    runtime: str
    image_size: int | list[int] | None
    class_names: list[str]
    targets: list[str]
    score_threshold: float | list[float]
    lowest_score_threshold: float | list[float]


class ModelsResponse(BaseModel):
    """The answer of `/v1/models`."""

    models: list[ModelDescription]


class Problem(BaseModel):
    """The answer to a request that is refused: the rule, what was received, and the remedy."""

    detail: str
