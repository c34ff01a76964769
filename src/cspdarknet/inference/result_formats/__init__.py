"""Forms of detection results: files that other software reads, each written as a whole.

`write_results` writes them into a folder; the functions of the modules write single files. All read
the results once or more and in order, so that these need not be in memory.
"""

from cspdarknet.inference.result_formats.formats import (
    RESULT_FORMATS,
    ResultFormat,
    check_result_formats,
    write_results,
)
from cspdarknet.inference.result_formats.results import FileDetections

__all__ = [
    "RESULT_FORMATS",
    "FileDetections",
    "ResultFormat",
    "check_result_formats",
    "write_results",
]
