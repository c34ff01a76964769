"""The workbench: images as vectors, to search and classify; models, to explain and compare.

Each name is imported on use: a search needs neither Keras nor a backend.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.analysis.compare import compare_models
    from cspdarknet.analysis.comparison import (
        ClassificationComparison,
        Comparison,
        DetectionComparison,
    )
    from cspdarknet.analysis.dataset_check import EmbeddingCheck, check_by_embeddings
    from cspdarknet.analysis.embedder import Embedder
    from cspdarknet.analysis.embedding_run import EmbeddingResult, EmbeddingRun, embed
    from cspdarknet.analysis.embeddings import Embeddings, EmbeddingSettings, load_embeddings
    from cspdarknet.analysis.explainer import Explainer, explain
    from cspdarknet.analysis.explanation import Explanation
    from cspdarknet.analysis.inspection import Inspection, LevelFields, inspect_model
    from cspdarknet.analysis.neighbors import Neighbors, search
    from cspdarknet.analysis.outliers import Outlier, find_outliers
    from cspdarknet.analysis.probe_report import ProbeReport, ProbeResult
    from cspdarknet.analysis.probing import probe
    from cspdarknet.analysis.sheets import draw_groups, draw_neighbors, draw_outliers
    from cspdarknet.analysis.significance import Contingency, mcnemar
    from cspdarknet.analysis.similar import SimilarGroup, find_similar

__all__ = [
    "ClassificationComparison",
    "Comparison",
    "Contingency",
    "DetectionComparison",
    "Embedder",
    "EmbeddingCheck",
    "EmbeddingResult",
    "EmbeddingRun",
    "EmbeddingSettings",
    "Embeddings",
    "Explainer",
    "Explanation",
    "Inspection",
    "LevelFields",
    "Neighbors",
    "Outlier",
    "ProbeReport",
    "ProbeResult",
    "SimilarGroup",
    "check_by_embeddings",
    "compare_models",
    "draw_groups",
    "draw_neighbors",
    "draw_outliers",
    "embed",
    "explain",
    "find_outliers",
    "find_similar",
    "inspect_model",
    "load_embeddings",
    "mcnemar",
    "probe",
    "search",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "compare_models": "compare",
        "ClassificationComparison": "comparison",
        "Comparison": "comparison",
        "DetectionComparison": "comparison",
        "EmbeddingCheck": "dataset_check",
        "check_by_embeddings": "dataset_check",
        "Embedder": "embedder",
        "EmbeddingResult": "embedding_run",
        "EmbeddingRun": "embedding_run",
        "embed": "embedding_run",
        "EmbeddingSettings": "embeddings",
        "Embeddings": "embeddings",
        "load_embeddings": "embeddings",
        "Explainer": "explainer",
        "explain": "explainer",
        "Explanation": "explanation",
        "Inspection": "inspection",
        "LevelFields": "inspection",
        "inspect_model": "inspection",
        "Neighbors": "neighbors",
        "search": "neighbors",
        "Outlier": "outliers",
        "find_outliers": "outliers",
        "ProbeReport": "probe_report",
        "ProbeResult": "probe_report",
        "probe": "probing",
        "draw_groups": "sheets",
        "draw_neighbors": "sheets",
        "draw_outliers": "sheets",
        "Contingency": "significance",
        "mcnemar": "significance",
        "SimilarGroup": "similar",
        "find_similar": "similar",
    },
)
