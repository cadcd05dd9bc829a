"""Independent pieces of work: one after another, or several at once by processes of their own."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from embodied_gen.commands.console import console
from embodied_gen.commands.memory import keep_freed

Item = TypeVar("Item")
Result = TypeVar("Result")


def done(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, threads: int = 1
) -> Iterator[tuple[Item, Result]]:
    """What becomes of each item, as soon as it is there.

    Several at once print nothing, and are ready in any order; one after another they are made here, as they are asked
    for.

    Args:
        work: A function that a new process can import, or a `functools.partial` of one.
        items: That can be sent to a process.
        jobs: Processes, >= 1.
        threads: Of products on a CPU, in each process.

    Raises:
        ValueError: If there are no jobs.
        ChildProcessError: If the system ends a process.
        Exception: Of the first item that fails; items that are not begun are left.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1; got {jobs}.")
    if jobs == 1:
        for item in items:
            yield item, work(item)
        return
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawned, initializer=_begin, initargs=(threads,)) as pool:
        given = {pool.submit(work, item): item for item in items}
        try:
            for ready in as_completed(given):
                yield given[ready], ready.result()
        except BrokenProcessPool as broken:
            raise ChildProcessError(
                f"one of {jobs} processes was ended from outside, most likely for want of memory. "
                "What was ready before is kept; start again with fewer jobs."
            ) from broken
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    keep_freed()
    console.quiet = True
