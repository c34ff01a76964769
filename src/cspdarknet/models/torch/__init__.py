"""Keras models run by PyTorch's own functions."""
