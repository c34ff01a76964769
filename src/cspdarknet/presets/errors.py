"""`UnreachableError`: a download without network, or from a host that does not answer."""


class UnreachableError(ConnectionError, ValueError):
    """A file could not be downloaded: both a `ConnectionError` and a `ValueError`."""


def unreachable(file: str, host: str, error: BaseException) -> UnreachableError:
    """Return the error of a file that could not be downloaded.

    Args:
        file: what could not be downloaded.
        host: where it should come from.
        error: the cause.
    """
    return UnreachableError(f"{file} could not be downloaded from {host} ({cause_of(error)})")


def cause_of(error: BaseException) -> str:
    """Return the type and the first line of an error, as a sentence without its full stop."""
    lines = str(error).strip().splitlines() or ["no further message"]
    return f"{type(error).__name__}: {lines[0][:200].rstrip('.')}"
