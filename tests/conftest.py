import os
import shutil
import subprocess

import pytest
import tiny
import torch
from forks import Forks
from hypothesis import settings

from embodied_gen import draws
from embodied_gen.commands.main import main
from embodied_gen.commands.offscreen import prefer_egl

# Tiny networks: threads would only wait for each other, here and in the processes that tests start.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything imports MuJoCo.
prefer_egl()

# How long an example takes depends on what else the machine does. A suite that passed passes again: its examples are
# the same every time, and `make slow` looks for others.
settings.register_profile("exploring", deadline=None)
settings.register_profile("settled", deadline=None, derandomize=True)
settings.load_profile("settled")


@pytest.fixture(autouse=True)
def _deterministic_start():
    """Layers are initialised from torch's global state: every test starts it from the same place."""
    torch.manual_seed(0)


@pytest.fixture
def generator() -> torch.Generator:
    return draws.generator(0)


@pytest.fixture
def double():
    """Runs a test in float64, for laws that are stated to many digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """Folder of data sets with one tiny data set, collected by the command. Not to be written to."""
    folder = tmp_path_factory.mktemp("tiny-data")
    assert main(["collect", str(tiny.config_file(folder, folder / "data"))]) == 0
    return folder / "data"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_data):
    """A run trained by the command. Not to be written to."""
    folder = tmp_path_factory.mktemp("tiny-run")
    config = tiny.config_file(folder, tiny_data)
    assert main(["train", str(config), "--out", str(folder / "run"), "--device", "cpu"]) == 0
    return folder / "run"


@pytest.fixture
def own_run(tiny_run, tmp_path):
    """A copy of the tiny run, to damage."""
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Runs the command line in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: tiny.call(arguments, capsys)


@pytest.fixture(scope="session")
def forks():
    """Starts commands in processes that can be killed."""
    server = Forks()
    yield server
    server.close()


@pytest.fixture
def small_disk(tmp_path):
    """Makes real file systems of a given size."""
    mounted = []

    def make(size):
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
        ).returncode:
            pytest.skip("mounting is not permitted")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)
