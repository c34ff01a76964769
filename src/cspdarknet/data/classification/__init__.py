"""Classification data sets: images with one class each."""
