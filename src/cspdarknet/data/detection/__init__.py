"""Detection data sets: images with bounding boxes."""
