"""Object detection: its datasets, their loading and checks, augmentation and training batches."""
