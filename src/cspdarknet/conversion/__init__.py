"""Conversion of weights between file formats, and verification of the result."""

from cspdarknet.conversion.convert import convert, save
from cspdarknet.conversion.verify import verify

__all__ = ["convert", "save", "verify"]
