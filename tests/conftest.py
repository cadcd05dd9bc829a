import pytest
import torch

from embodied_gen import draws


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
