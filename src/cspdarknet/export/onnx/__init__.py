"""ONNX graphs of Keras models."""
