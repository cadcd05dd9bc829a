"""Memory that is freed stays with the process, unless it is told otherwise."""

import os
import subprocess
import sys

import pytest

# Other systems' allocators are not told, as `keep_freed` says.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep memory")

PROGRAM = """
import resource
import torch
from embodied_gen.commands.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(8_000_000)  # 32 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
keep_freed()
faults()
print(given_back, faults())
"""


def faults(**environment):
    """Pages that the system provided for ten tensors, before memory is kept and after."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=plain | environment, capture_output=True, text=True, check=True
    )
    return [int(number) for number in told.stdout.split()]


def test_memory_that_is_freed_is_provided_once():
    given_back, kept = faults()
    assert kept < given_back / 5


def test_what_the_environment_says_stands():
    given_back, kept = faults(MALLOC_TRIM_THRESHOLD_="131072")
    assert kept > given_back / 2
