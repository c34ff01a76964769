"""The devices of a training: how many there are, and what is refused."""

import keras
import pytest

from cspdarknet.train import distributed
from cspdarknet.train.distributed.devices import Devices

on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch")


@pytest.fixture
def launched(monkeypatch):
    """The numbers of workers that were started."""
    numbers = []
    monkeypatch.setattr(distributed, "run_workers", numbers.append)
    return numbers


def test_one_device_and_one_process():
    assert distributed.process_index_and_count() == (0, 1)
    assert distributed.is_first_process()
    assert distributed.device_names() == "cpu"
    with distributed.joined(), distributed.on_one_device():
        assert distributed.from_first_process(lambda: 3) == 3
        assert distributed.mean({"loss": 2.0}) == {"loss": 2.0}


def test_a_batch_that_cannot_be_divided_evenly(monkeypatch):
    monkeypatch.setattr(type(distributed._devices()), "count", lambda _: 4)
    distributed.check_batch_size(8)
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        distributed.check_batch_size(6)


@pytest.mark.one_backend
@pytest.mark.parametrize("devices", ["0", "-1", "two", "1.5", ""])
def test_devices_that_are_not_a_number(devices, launched):
    with pytest.raises(ValueError, match="must be a number or 'auto'"):
        distributed.run_on_devices(devices)
    assert not launched


@on_torch
def test_each_device_gets_a_process(launched):
    assert distributed.run_on_devices("3")
    assert launched == [3]


@on_torch
@pytest.mark.parametrize("devices", ["1", "auto"])
def test_one_device_needs_no_other_process(devices, launched):
    assert not distributed.run_on_devices(devices)
    assert not launched


@on_torch
def test_more_processes_than_gpus(monkeypatch, launched):
    from cspdarknet.train.distributed import torch

    monkeypatch.setattr(torch, "_computes_on", lambda kind: kind == "cuda")
    monkeypatch.setattr(torch.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="at most 2, the number of GPUs"):
        distributed.run_on_devices("3")
    assert distributed.run_on_devices("auto")
    assert launched == [2]


@on_torch
def test_torchrun_and_devices_at_once(monkeypatch, launched):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="leave out `--devices`"):
        distributed.run_on_devices("2")
    assert not launched


@on_torch
def test_variables_of_torchrun_that_are_missing(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with (
        pytest.raises(ValueError, match="needs the environment variable MASTER_ADDR"),
        distributed.joined(),
    ):
        pass


@on_torch
def test_a_restart_by_torchrun_with_the_addresses_of_ended_processes(monkeypatch):
    variables = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with (
        pytest.raises(ValueError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"),
        distributed.joined(),
    ):
        pass


@pytest.mark.one_backend
def test_a_backend_without_several_devices():
    devices = Devices()
    assert devices.choose("auto") == devices.choose("1") == 1
    with pytest.raises(ValueError, match="uses one device"):
        devices.choose("2")


@pytest.mark.one_backend
def test_torchrun_with_another_backend(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="set KERAS_BACKEND=torch"), Devices().joined():
        pass
