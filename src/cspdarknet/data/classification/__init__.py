"""Image classification: its datasets, their loading, augmentation and training batches."""
