"""Processes of a distributed run: torchrun's environment, DDP on gloo or NCCL.

    torchrun --nproc-per-node 2 -m embodied_gen train CONFIG

Every process holds all windows, takes its share of each batch, and DDP averages the gradients. Process 0 writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

import torch
from torch import distributed


@final
@dataclass(frozen=True)
class Processes:
    """This process among its peers.

    Attributes:
        rank: Number of this process.
        count: Number of processes.
        device: Where this process computes.
    """

    rank: int
    count: int
    device: torch.device
    _kept: list[distributed.Work] = field(default_factory=list, repr=False, compare=False)

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether one of the processes sets the flag; all of them have to ask."""
        if self.count == 1:
            return flag
        raised = torch.tensor([int(flag)])  # on the CPU, over gloo: does not wait for a GPU
        work = distributed.all_reduce(raised, distributed.ReduceOp.MAX, async_op=True)
        assert work is not None
        work.wait()
        # Gloo's threads drop their share later, and to free the tensor they would need Python's lock, which the
        # thread that ends the group holds while it waits for them. Kept here, it is not theirs to free.
        self._kept[:] = [work]
        return bool(raised)


@contextmanager
def joined(device: str = "auto") -> Iterator[Processes]:
    """Joins the other processes of a torchrun launch, or stands alone.

    Args:
        device: "auto" takes a GPU where there is one; else as torch names it. Each process takes its own GPU.

    Raises:
        ValueError: If the device does not exist, or is one GPU for several processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if count > 1 and device.startswith("cuda:"):
        raise ValueError(
            f"each of {count} processes takes a GPU of its own; got the device {device!r} for all. Use 'cuda' or "
            "'auto', and CUDA_VISIBLE_DEVICES to choose among GPUs."
        )
    chosen = resolve_device(device, local)
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()


def resolve_device(device: str, local: int = 0) -> torch.device:
    """The device of a name.

    Args:
        device: As torch names it, or "auto" for a GPU where there is one.
        local: Number of the GPU where the name has none.

    Raises:
        ValueError: If the name is unknown or the device is absent.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{local}"
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"device {device!r} cannot be used here: {reason}. Use 'auto' or 'cpu'.") from error
    return chosen
