"""Slots in worker processes.

Slot s lives in worker s mod W as that worker's slot s div W, so that neighbouring slots run at the same time.
A call costs one message to and one message from each worker concerned.

A worker is a fresh interpreter that imports this module only and uses one thread for linear algebra. It is
not forked, which would copy the locks of torch's threads; and it is a plain subprocess, because those of
`multiprocessing` import the parent's `__main__` again, torch and all. It ends when its connection closes:
with `close`, with the garbage collection of the slots, or with the death of the parent. POSIX only.
"""

import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, fields
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, final

import numpy as np

from embodied_gen.slots import Chunk, EnvMaker, SerialSlots, Slots

GRACE = 5.0  # [s] that a worker is given to end by itself
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BOOT = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = sys.argv[2:]; "
    "from embodied_gen.slots_process import serve; serve(int(sys.argv[1]))"
)
_KINDS = (ValueError, ImportError, ModuleNotFoundError, OSError, FileNotFoundError, IsADirectoryError, PermissionError)
RECIPE_ERRORS: dict[str, type[Exception]] = {kind.__name__: kind for kind in _KINDS}


@final
class ProcessSlots(Slots):
    """Slots spread over worker processes, with the results of `SerialSlots`.

    Args:
        maker: Recipe of the environment, picklable.
        num: Number of slots, >= `workers`.
        workers: Number of processes, >= 1.

    Raises:
        ValueError: If the numbers do not fit, or the environment cannot be made.
        ImportError: If one of the maker's imports is missing.
        OSError: If a file that the environment needs cannot be read.
        RuntimeError: If a worker fails otherwise, here or in a later call.
    """

    def __init__(self, maker: EnvMaker, num: int, workers: int) -> None:
        if not 1 <= workers <= num:
            raise ValueError(f"workers must be in [1, num={num}]; got {workers}.")
        self._workers = [_Worker(index) for index in range(workers)]
        self._end = weakref.finalize(self, _end, self._workers)
        shares = [len(range(index, num, workers)) for index in range(workers)]
        try:
            spaces = self._call({index: ("make", maker, share) for index, share in enumerate(shares)})
        except _WorkerError as error:
            self.close()
            kind = RECIPE_ERRORS.get(error.failure.kind)  # a wrong recipe reads as it does in SerialSlots
            if kind is None:
                raise
            raise kind(error.failure.message) from error
        super().__init__(num=num, observation_space=spaces[0][0], action_space=spaces[0][1])

    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> np.ndarray:
        rows = self._rows(slots)
        replies = self._call(
            {
                index: ("reset", self._local(slots, share), [int(seeds[row]) for row in share])
                for index, share in rows.items()
            }
        )
        return _merge([replies[index] for index in rows], list(rows.values()))

    def _run(self, slots: Sequence[int], actions: np.ndarray) -> Chunk:
        rows = self._rows(slots)
        replies = self._call(
            {index: ("run", self._local(slots, share), actions[share]) for index, share in rows.items()}
        )
        chunks, shares = [replies[index] for index in rows], list(rows.values())
        arrays = [entry.name for entry in fields(Chunk) if entry.name != "infos"]
        merged = {name: _merge([getattr(chunk, name) for chunk in chunks], shares) for name in arrays}
        infos: list[dict[str, Any]] = [{} for _ in slots]
        for chunk, share in zip(chunks, shares, strict=True):
            for row, info in zip(share, chunk.infos, strict=True):
                infos[row] = info
        return Chunk(**merged, infos=infos)

    def _rows(self, slots: Sequence[int]) -> dict[int, list[int]]:
        rows: dict[int, list[int]] = {}
        for row, slot in enumerate(slots):
            rows.setdefault(int(slot) % len(self._workers), []).append(row)
        return rows

    def _local(self, slots: Sequence[int], share: Sequence[int]) -> list[int]:
        return [int(slots[row]) // len(self._workers) for row in share]

    def _call(self, requests: dict[int, tuple]) -> dict[int, Any]:
        if not self._end.alive:
            raise ValueError("These slots are closed. Make new ones.")
        try:
            for index, request in requests.items():
                self._workers[index].send(request)
            replies = {index: self._workers[index].receive() for index in requests}
        except BaseException:
            self.close()  # replies may still be on their way: no later call could be trusted
            raise
        for index, reply in replies.items():
            if isinstance(reply, _Failure):
                raise _WorkerError(index, reply)
        return replies

    def close(self) -> None:
        """Ends all workers; may be called twice."""
        self._end()


@final
class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.connection, far = Pipe()
        with far:
            path = [entry or os.getcwd() for entry in sys.path]
            self.process = subprocess.Popen(
                [sys.executable, "-c", BOOT, str(far.fileno()), *path],
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                env={**os.environ, **dict.fromkeys(THREADS, "1")},
            )

    def send(self, request: tuple) -> None:
        try:
            self.connection.send(request)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._lost() from error

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._lost() from error

    def _lost(self) -> RuntimeError:
        try:
            code = str(self.process.wait(timeout=GRACE))
        except subprocess.TimeoutExpired:
            code = "none yet"
        return RuntimeError(
            f"Worker {self.index} (process {self.process.pid}) ended with exit code {code}; a negative code "
            "is the signal that killed it, and -9 is often a lack of memory. All slots are closed."
        )


def _merge(parts: Sequence[np.ndarray], rows: Sequence[Sequence[int]]) -> np.ndarray:
    stacked = np.concatenate(parts)
    merged = np.empty_like(stacked)
    merged[[row for share in rows for row in share]] = stacked
    return merged


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.connection.close()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        try:
            worker.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


@final
@dataclass(frozen=True)
class _Failure:
    """An exception in a worker, as text, since not every exception can be pickled."""

    kind: str
    message: str
    trace: str


@final
class _WorkerError(RuntimeError):
    def __init__(self, index: int, failure: _Failure) -> None:
        super().__init__(f"Worker {index} raised {failure.kind}: {failure.message}\n{failure.trace}")
        self.failure = failure


def serve(descriptor: int) -> None:
    """Answers the requests of a parent until it closes the connection or dies; the worker's main function.

    Args:
        descriptor: Inherited file descriptor of the worker's end of the connection.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    slots: list[SerialSlots] = []
    try:
        with Connection(descriptor) as connection:
            while True:
                connection.send(_reply(slots, connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        for made in slots:
            made.close()


def _watch(parent: int) -> None:
    while os.getppid() == parent:  # the closed connection is not enough: a step may never return,
        time.sleep(GRACE)  # or a fork of the parent may hold the other end open
    os._exit(1)


def _reply(slots: list[SerialSlots], connection: Connection) -> Any:
    message = connection.recv_bytes()
    try:
        verb, *arguments = pickle.loads(message)
        if verb == "make":
            slots.append(SerialSlots(*arguments))
            return slots[0].observation_space, slots[0].action_space
        return slots[0].reset(*arguments) if verb == "reset" else slots[0].run(*arguments)
    except Exception as error:
        return _Failure(kind=type(error).__name__, message=str(error), trace=traceback.format_exc())
