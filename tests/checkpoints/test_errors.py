"""The one exception class of weight files, with short messages that name the file."""

import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.errors import MAX_CHARACTERS, damage_reported, shown

pytestmark = pytest.mark.one_backend


def raises(error):
    with damage_reported("a.pth", "PyTorch file"):
        raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("x"), r"^a\.pth is not a PyTorch file, or damaged: KeyError: 'x'$"),
        (
            RecursionError("deep"),
            r"^a\.pth is not a PyTorch file, or damaged: RecursionError: deep$",
        ),
        (MemoryError(), r"^a\.pth needs more memory than this process can get"),
        (CheckpointError("it is odd."), r"^a\.pth: it is odd\.$"),
        (CheckpointError("b: a.pth is odd."), r"^b: a\.pth is odd\.$"),
        (PermissionError(13, "Permission denied"), r"^a\.pth .* Permission denied$"),
    ],
)
def test_every_error_is_one_that_names_the_file(error, message):
    with pytest.raises(CheckpointError, match=message):
        raises(error)


@pytest.mark.parametrize("error", [ImportError("onnx"), KeyboardInterrupt()])
def test_errors_that_are_not_of_the_file(error):
    with pytest.raises(type(error)):
        raises(error)


def test_messages_are_short():
    with pytest.raises(CheckpointError) as caught:
        raises(ValueError("a" * 10_000_000))
    assert str(caught.value).startswith("a.pth")
    assert len(str(CheckpointError("b" * 10_000_000))) <= MAX_CHARACTERS + 10


def test_values_of_any_size_and_depth_are_shown_shortly():
    nested = []
    for _ in range(10_000):
        nested = [nested, nested]
    for value in (nested, "a" * 10**7, list(range(10**6)), dict.fromkeys(range(10**4), nested)):
        assert len(shown(value)) < 320
    assert shown("Popen") == "'Popen'"
