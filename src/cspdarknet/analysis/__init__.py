"""The workbench: images as vectors, which are searched, classified and compared.

Each name is imported on use: a search needs neither Keras nor a backend.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.analysis.dataset_check import EmbeddingCheck, check_by_embeddings
    from cspdarknet.analysis.embedder import Embedder
    from cspdarknet.analysis.embedding_run import EmbeddingResult, EmbeddingRun, embed
    from cspdarknet.analysis.embeddings import Embeddings, EmbeddingSettings, load_embeddings
    from cspdarknet.analysis.neighbors import Neighbors, search
    from cspdarknet.analysis.outliers import Outlier, find_outliers
    from cspdarknet.analysis.probe_report import ProbeReport, ProbeResult
    from cspdarknet.analysis.probing import probe
    from cspdarknet.analysis.sheets import draw_groups, draw_neighbors, draw_outliers
    from cspdarknet.analysis.similar import SimilarGroup, find_similar

__all__ = [
    "Embedder",
    "EmbeddingCheck",
    "EmbeddingResult",
    "EmbeddingRun",
    "EmbeddingSettings",
    "Embeddings",
    "Neighbors",
    "Outlier",
    "ProbeReport",
    "ProbeResult",
    "SimilarGroup",
    "check_by_embeddings",
    "draw_groups",
    "draw_neighbors",
    "draw_outliers",
    "embed",
    "find_outliers",
    "find_similar",
    "load_embeddings",
    "probe",
    "search",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EmbeddingCheck": "dataset_check",
        "check_by_embeddings": "dataset_check",
        "Embedder": "embedder",
        "EmbeddingResult": "embedding_run",
        "EmbeddingRun": "embedding_run",
        "embed": "embedding_run",
        "EmbeddingSettings": "embeddings",
        "Embeddings": "embeddings",
        "load_embeddings": "embeddings",
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
        "SimilarGroup": "similar",
        "find_similar": "similar",
    },
)
