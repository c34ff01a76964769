"""Why a runtime cannot run a file: the letters of the table, which the page explains."""


def reason_of(row: str, precision: str, runtime: str) -> str:
    """Return the letter of the reason; `"?"` if none is known."""
    if runtime in ("torch", "executorch", "coreml", "litert"):
        if precision != "float32":
            return "a" if runtime == "litert" else "b"
        if "letterbox" in row:
            return "c"
    if runtime == "ncnn" and precision == "int8":
        return "d"
    if "NMS" in row and runtime in ("ncnn", "coreml"):
        return "e"
    if runtime == "executorch":
        return "f"
    if runtime == "litert" and "NMS" in row:
        return "e"
    return "?"
