"""Recognition of files of other software: by bytes, classes and names of weights."""
