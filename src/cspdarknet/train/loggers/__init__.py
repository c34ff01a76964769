"""Trackers of experiments: what a training logs to TensorBoard, Weights & Biases or MLflow."""

from cspdarknet.train.loggers.open import Loggers, check_loggers, open_loggers

__all__ = ["Loggers", "check_loggers", "open_loggers"]
