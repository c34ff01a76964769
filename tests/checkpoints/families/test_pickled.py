"""Recognition of pickled objects, without building any of them."""

import collections
import pickle
import zipfile

import pytest

from cspdarknet.checkpoints.families import pickled

pytestmark = pytest.mark.one_backend


class Attack:
    """Would write a file when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def objects(*names, protocol=2):
    """The pickle of a list of objects of these classes, which need not exist."""
    data = b"\x80" + bytes([protocol]) + b"]("
    for module, name in map(str.split, names):
        if protocol == 2:
            data += f"c{module}\n{name}\n".encode()
        else:
            for text in (module, name):
                data += b"\x8c" + bytes([len(text)]) + text.encode() + b"\x94"
            data += b"\x93"
        data += b")\x81"
    return data + b"e."


def write(path, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return path


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("ultralytics.nn.tasks DetectionModel", "ultralytics.nn.modules.block C2f"), "YOLOv8"),
        (("ultralytics.nn.tasks SegmentationModel", "ultralytics.nn.modules.block C3k2"), "YOLO11"),
        (("ultralytics.nn.tasks DetectionModel",), "Ultralytics"),
        (("models.yolo Model", "models.common C3"), "YOLOv5"),
        (("models.yolo Model", "models.common MP"), "YOLOv7"),
        (("yolox.models.yolox YOLOX",), "YOLOX"),
        (("nets.yolo YoloBody",), "re-implementation"),
        (("mmengine.logging.history_buffer HistoryBuffer",), "OpenMMLab"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_classes(classes, words, protocol, tmp_path, refuses):
    path = write(tmp_path / "a.pt", objects(*classes, protocol=protocol))
    assert set(classes) <= pickled.global_names(path)
    kind = pickled.recognize(path)
    assert words in kind.description
    refuses(path, f"is a pickled model of .*{words}")


def test_a_file_of_an_older_pytorch(tmp_path):
    path = tmp_path / "a.pt"
    start = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2)
    path.write_bytes(start + objects("models.yolo Model"))
    assert "YOLOv5" in pickled.recognize(path).description


def test_names_that_a_pickle_repeats(tmp_path):
    """Protocol 4 writes the name of a module once, and then takes it from its memo."""
    data = pickle.dumps([collections.Counter, collections.deque], protocol=4)
    assert pickled.global_names(write(tmp_path / "a.pt", data)) == {
        *("collections Counter", "collections deque")
    }


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "written"
    path = write(tmp_path / "a.pt", pickle.dumps(Attack(target), protocol=2))
    assert "io open" in pickled.global_names(path) or "_io open" in pickled.global_names(path)
    assert pickled.recognize(path) is None
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"PK\x03\x04", b"\x80\x02X\xff\xff\xff\x7f"])
def test_damaged_files(content, tmp_path):
    (tmp_path / "a.pt").write_bytes(content)
    assert pickled.recognize(tmp_path / "a.pt") is None
    assert pickled.recognize(write(tmp_path / "b.pt", content)) is None


def test_large_pickles_are_not_read(monkeypatch, tmp_path):
    path = write(tmp_path / "a.pt", objects("models.yolo Model"))
    monkeypatch.setattr("cspdarknet.checkpoints.limits.MAX_PICKLE_BYTES", 10)
    assert pickled.global_names(path) == set()
