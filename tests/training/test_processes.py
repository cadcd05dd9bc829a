"""One process stands alone; devices and precisions are named or refused."""

import pytest
import torch

from embodied_gen.training import precision
from embodied_gen.training.processes import Processes, joined, resolve_device

CPU = torch.device("cpu")


def test_without_torchrun_a_process_stands_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as processes:
        assert (processes.rank, processes.count, processes.device, processes.first) == (0, 1, CPU, True)
        assert processes.any(True) and not processes.any(False)


@pytest.mark.parametrize("name", ["cuda:77", "nonsense", "meta:x"])
def test_an_absent_device_is_refused_with_a_remedy(name):
    with pytest.raises(ValueError, match=rf"device '{name}' cannot be used here: .*\. Use 'auto' or 'cpu'\."):
        resolve_device(name)


def test_auto_takes_the_processor_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU


@pytest.mark.parametrize("name", ["auto", "cuda"])
@pytest.mark.parametrize("local", [0, 3])
def test_each_process_takes_the_gpu_of_its_number(name, local, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: None)
    assert resolve_device(name, local) == torch.device("cuda", local)
    assert resolve_device("cuda:1", local) == torch.device("cuda", 1)


def test_one_gpu_for_several_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    sentence = "each of 2 processes takes a GPU of its own; got the device 'cuda:1' for all. Use 'cuda' or 'auto', and"
    with pytest.raises(ValueError, match=sentence), joined("cuda:1"):
        pass


def test_precisions_stand_and_auto_becomes_one_of_them():
    assert precision.resolve("fp32", CPU) == "fp32"
    assert precision.resolve("bf16", CPU) == "bf16"
    assert precision.resolve("auto", CPU) in ("fp32", "bf16")


@pytest.mark.parametrize(
    ("features", "found"),
    [({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True, "amx_bf16": False}, "fp32"), ({}, "fp32")],
)
def test_products_are_narrow_where_the_processor_has_tiles_for_them(features, found, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert precision.resolve("auto", CPU) == found


def test_products_are_narrow_under_bf16_alone():
    x = torch.ones(2, 2)
    with precision.autocast("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16
    with precision.autocast("fp32", CPU):
        assert (x @ x).dtype == torch.float32


def test_only_the_first_writes():
    assert not Processes(1, 2, CPU).first
