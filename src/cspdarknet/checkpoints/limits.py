"""Fixed limits of what an untrusted weight file may claim, checked before anything is allocated."""

MAX_WEIGHT_BYTES = 4 << 30  # the largest published model, YOLOX-X, has 0.4 GB of weights
MAX_CONFIG_BYTES = 10_000_000
MAX_PICKLE_BYTES = 64 << 20
MAX_PICKLE_STEPS = 2_000_000  # a training checkpoint of YOLOX-X takes about 150 000
MAX_ZIP_DIRECTORY_BYTES = 8 << 20  # names and sizes of about 100 000 members
MAX_HEADER_BYTES = 16 << 20  # of a .safetensors file
MAX_OBJECTS = 100_000  # groups and datasets of an HDF5 file
MAX_NAME, MAX_PATH = 1_000, 1_000  # characters of a name and of a path in an HDF5 file
# Of an ONNX file, besides the numbers of its weights; YOLOX-X has 2 600 fields in 31 kB.
MAX_ONNX_FIELDS, MAX_ONNX_STRUCTURE_BYTES = 200_000, 4 << 20
MAX_CONFIG_DEPTH = 100
MAX_FRONT_WEIGHTS = 50_000_000  # of the layers in front of a backbone
MAX_DIMENSIONS = 8
MAX_INTEGER_BYTES = 32
SPARE_BYTES = 64 << 20


def max_content_bytes(file_bytes: int) -> int:
    """Return how many bytes of arrays a file of this size may hold.

    Arrays may share bytes, and a compressed file holds more than its size; weights hardly shrink.
    """
    return file_bytes * 3 // 2 + SPARE_BYTES
