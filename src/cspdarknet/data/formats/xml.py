"""Parsing of untrusted XML files."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

# No image has so many objects that its file is larger.
MAX_BYTES = 20_000_000
# What is read to find the root of a file.
BEGINNING_BYTES = 64_000


def parse_xml(path: Path, max_bytes: int = MAX_BYTES) -> Element:
    """Parse an XML file without a document type, whose entities could fill the memory.

    Args:
        path: the file.
        max_bytes: the largest size of a file, in bytes.

    Raises:
        ValueError: if it is not XML, too large, or declares a document type.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError(f"it is larger than {max_bytes:,} bytes")

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type")

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: unknown encoding
        raise ValueError(f"it is not XML: {error}") from error
    return builder.close()


def root_tag(path: Path) -> str | None:
    """Return the name of the root of an XML file, of which only the beginning is read.

    Returns:
        The name; `None` if it is not XML, declares a document type, or cannot be read.
    """
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _stop
    parser.StartElementHandler = _stop
    try:
        with path.open("rb") as file:
            parser.Parse(file.read(BEGINNING_BYTES))
    except _StoppedError as stopped:
        return stopped.root
    except (expat.ExpatError, LookupError, OSError):
        pass
    return None


class _StoppedError(Exception):
    """Ends the parsing at the root."""

    def __init__(self, root: str | None) -> None:
        self.root = root


def _stop(name: str, *arguments: object) -> None:
    # An element has its attributes, a document type three values.
    raise _StoppedError(name if len(arguments) == 1 else None)
