"""HDF5 weight files that are damaged or hostile."""

import contextlib
import shutil

import h5py
import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError, limits
from cspdarknet.checkpoints.readers.hdf5 import HDF5File
from yolox_files import build

pytestmark = pytest.mark.one_backend

FIRST = "layers/conv2d/vars/0"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.weights.h5"
    build().save_weights(path)
    return path


def set_nan(file):
    file[FIRST][0, 0, 0, 0] = np.nan


def replace(**kwargs):
    def change(file):
        del file[FIRST]
        file.create_dataset(FIRST, **kwargs)

    return change


def soft_link(file):
    del file[FIRST]
    file[FIRST] = h5py.SoftLink("/layers/conv2d_1/vars/0")


def external_link(file):
    del file[FIRST]
    file[FIRST] = h5py.ExternalLink("/etc/passwd", "/")


def cycle(file):
    file["layers/loop"] = file["layers"]


def external_storage(file):
    del file[FIRST]
    file.create_dataset(FIRST, (6, 6, 3, 2), "float32", external=[("/etc/passwd", 0, 864)])


def virtual(file):
    del file[FIRST]
    layout = h5py.VirtualLayout((6, 6, 3, 2), "float32")
    file.create_virtual_dataset(FIRST, layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_nan, "NaN"),
        (replace(data=np.full((6, 6, 3, 2), np.inf)), "infinite"),
        (replace(data=np.zeros((6, 6, 3, 1))), "shape"),
        (replace(shape=(10**6, 10**6), dtype="float32", chunks=(100, 100)), "claims to hold"),
        (replace(data=np.full((6, 6, 3, 2), b"x")), "not numbers"),
        (replace(data=np.zeros((6, 6, 3, 2), "complex64")), "not numbers"),
        (lambda file: file.create_dataset("extra", data=1.0), "not in the model"),
        (lambda file: file.__delitem__(FIRST), "missing"),
        (soft_link, "link"),
        (external_link, "link"),
        (cycle, "repeats"),
        (external_storage, "outside the file"),
        (virtual, "outside the file"),
    ],
)
def test_damaged_and_hostile_files(weights, tmp_path, refuses, change, message):
    path = shutil.copy(weights, tmp_path / "copy.weights.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    refuses(path, message)


def test_too_many_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_OBJECTS", 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "abcd":
            file[name] = 1.0
    with pytest.raises(CheckpointError, match="nests too much"):
        HDF5File(tmp_path / "a.h5")


VERSIONS = ["earliest", "latest", ("v108", "v108")]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("count", [3, 700])
def test_groups_of_every_version(version, count, tmp_path):
    """Few members are in the group itself, many in a heap with an index of two levels."""
    with h5py.File(tmp_path / "a.h5", "w", libver=version) as file:
        for i in range(count):
            file[f"layers/conv2d_{i}/0"] = np.float32(i)
        file.attrs["layer_names"] = ["one", "two"]  # as text of variable length
        file["layers"].attrs["weight_names"] = np.array([b"a", b"bc"])
        file["layers"].attrs["empty"] = []
    store = HDF5File(tmp_path / "a.h5")
    assert store.names("layer_names") == ["one", "two"]
    assert store.names("weight_names", "layers") == ["a", "bc"]
    assert store.names("empty", "layers") == []
    assert store.names("other") is None
    assert len(store.shapes) == count
    for i in range(count):
        assert store.read(f"layers/conv2d_{i}/0") == i
    store.close()


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (16, 5, 3)},
        {"chunks": (16, 5, 3), "compression": "gzip", "shuffle": True},
        {"chunks": True, "compression": "gzip", "maxshape": (None, None, 3)},
    ],
)
def test_chunked_and_compressed_arrays(options, tmp_path):
    array = np.random.default_rng(0).normal(size=(33, 7, 3)).astype("float32")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=array, **options)
    store = HDF5File(tmp_path / "a.h5")
    for _ in range(2):
        np.testing.assert_array_equal(store.read("a"), array)
    store.close()


def test_missing_chunks_and_other_filters(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (100,), "float32", chunks=(10,))[:10] = 1
    with pytest.raises(CheckpointError, match="lacks chunks"):
        HDF5File(tmp_path / "a.h5").read("a")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=np.ones(100), compression="lzf")
    with pytest.raises(CheckpointError, match="which Keras does not write: copy it with `h5repack"):
        HDF5File(tmp_path / "a.h5")


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_every_flipped_byte_is_one_error_or_none(version, tmp_path):
    """The C library crashed the process on a few of such files."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=version) as file:
        for i in range(10):
            file[f"layers/conv2d_{i}/0"] = np.float32(i)
        file.attrs["layer_names"] = ["one", "two"]
    content = path.read_bytes()
    for at in range(0, len(content), 61):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        with contextlib.suppress(CheckpointError):
            store = HDF5File(path)
            store.names("layer_names")
            for name in store.shapes:
                store.read(name)


def test_a_file_that_was_cut_off(weights, tmp_path, refuses):
    (tmp_path / "a.h5").write_bytes(weights.read_bytes()[:-1])
    refuses(tmp_path / "a.h5", "it was cut off")


def test_dtypes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for dtype in ("float16", "float32", "float64", "int32", ">f4"):
            file[dtype] = np.array([1, -2], dtype)
        # As Keras stores it: the two bytes of each number.
        file["bfloat16"] = np.array([0x3F80, 0xC000], "<u2").view("V2")
        file["bfloat16"].attrs["dtype"] = "bfloat16"
    store = HDF5File(tmp_path / "a.h5")
    for name in store.shapes:
        array = store.read(name)
        np.testing.assert_array_equal(array, [1, -2])
        assert array.dtype == ("float64" if name == "float64" else "float32")
    store.close()


def test_a_closed_file_is_one_error(weights):
    store = HDF5File(weights)
    store.close()
    with pytest.raises(CheckpointError, match="not a readable HDF5 file"):
        store.read(FIRST)
