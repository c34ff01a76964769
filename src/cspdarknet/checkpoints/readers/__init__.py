"""Readers (and writers) of one weight file format each."""
