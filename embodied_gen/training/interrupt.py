"""Interruptions between steps: Ctrl-C and SIGTERM let the running step end and be saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interruption:
    """Whether someone asked to stop; a second Ctrl-C stops at once."""

    requested: bool = False


@contextmanager
def interruptions() -> Iterator[Interruption]:
    """Catches SIGINT and SIGTERM while the context lasts (in the main thread, where Python allows it)."""
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        if interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, handle)
        except ValueError:  # not in the main thread: whoever owns it handles signals
            break
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
