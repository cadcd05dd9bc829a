"""The cells of a leaderboard: measured one after another or several at once.

What breaks off by a mistake of the program has no result; its traceback is kept, and the others go on.
"""

import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, final

import torch

from embodied_gen.commands import together
from embodied_gen.commands.console import console, progress
from embodied_gen.demos.episodes import Episodes
from embodied_gen.grounds.cell import Cell, measure
from embodied_gen.grounds.ground import Ground
from embodied_gen.grounds.leaderboard import Record
from embodied_gen.grounds.shared import LastShared
from embodied_gen.training import Interrupted
from embodied_gen.training.processes import Processes

Priced = tuple[Cell, float]  # and seconds of its training, roughly
Broken = list[tuple[Cell, str]]  # cells that broke off, and the traceback of each


@final
@dataclass(frozen=True)
class Means:
    """By what cells are measured.

    Attributes:
        device: Where to train and to predict.
        jobs: Cells that are measured at once, each by a process of its own.
        workers: Processes that hold environments, of each cell.
        threads: Of products on a CPU.
    """

    device: torch.device
    jobs: int = 1
    workers: int = 1
    threads: int = 1

    @property
    def shared(self) -> bool:
        """Whether cells that are measured at once take one another's time."""
        return self.jobs > 1 and self.device.type != "cpu"


def fill(record: Record, due: Sequence[Priced], means: Means) -> Broken:
    """Measures cells into a record; returns those that broke off."""
    return _in_turn(record, due, means) if means.jobs == 1 else _at_once(record, due, means)


def _in_turn(record: Record, due: Sequence[Priced], means: Means) -> Broken:
    """One cell after another."""
    broken = Broken()
    work = partial(_measured_here, means, LastShared(means.device, _episodes))
    for number, (cell, _) in enumerate(due, 1):
        console.print(f"{number}/{len(due)} {cell.place}: {cell.family}, seed {cell.seed}", soft_wrap=True)
        shown = _noted(record, broken, cell, _unless_broken(work, cell))
        console.print(f"  {shown}", soft_wrap=True, markup=False)
    return broken


def _measured_here(means: Means, last: LastShared, cell: Cell) -> dict[str, Any]:
    """What `measure` finds, with its progress."""
    shared = last.of(cell.place, cell.ground)
    with progress("train", cell.ground.train.steps) as advance:
        shown = ""

        def report(step: int, values: dict[str, float]) -> None:
            nonlocal shown
            shown = f"loss {values['loss']:.4f}" if "loss" in values else shown
            advance(shown)

        return measure(cell, shared, processes=Processes(0, 1, means.device), workers=means.workers, report=report)


def _at_once(record: Record, due: Sequence[Priced], means: Means) -> Broken:
    """Several cells: those of a ground one after the other, as each process reads it once; dear ones first."""
    for place, ground in {cell.place: cell.ground for cell, _ in due}.items():
        if ground.missing():
            _episodes(place, ground)  # collected here, before several processes miss them
    work, cells, broken = partial(_unless_broken, partial(_measured_apart, means)), _dear_first(due), Broken()
    with progress("cells", len(cells)) as advance:
        for cell, found in together.done(work, cells, jobs=means.jobs, threads=means.threads):
            advance(f"{cell.place}: {cell.family}, seed {cell.seed}, {_noted(record, broken, cell, found)}")
    return broken


def _dear_first(due: Sequence[Priced]) -> list[Cell]:
    """By the price of a ground, then by their own."""
    totals: dict[str, float] = defaultdict(float)
    for cell, price in due:
        totals[cell.place] += price
    return [cell for cell, _ in sorted(due, key=lambda one: (-totals[one[0].place], one[0].place, -one[1]))]


def _measured_apart(means: Means, cell: Cell) -> dict[str, Any]:
    """What `measure` finds, in a process of its own."""
    shared = _last_apart(str(means.device)).of(cell.place, cell.ground)
    processes = Processes(0, 1, means.device)
    return measure(cell, shared, processes=processes, workers=means.workers, report=lambda step, values: None)


@cache
def _last_apart(device: str) -> LastShared:
    """The last ground of a process of its own."""
    return LastShared(torch.device(device), _episodes)


def _episodes(place: str, ground: Ground) -> Episodes:
    missing = ground.missing()
    if not missing:
        return ground.episodes(lambda _: None)
    console.print(f"demonstrations of {place}", soft_wrap=True)
    with progress("collect", missing) as advance:
        return ground.episodes(advance)


def _unless_broken(work: Callable[[Cell], dict[str, Any]], cell: Cell) -> dict[str, Any] | str:
    """What becomes of a cell, or the traceback of what broke it off."""
    try:
        return work(cell)
    except Interrupted:
        raise
    except Exception:
        return traceback.format_exc()


def _noted(record: Record, broken: Broken, cell: Cell, found: dict[str, Any] | str) -> str:
    """Adds a cell to the record, or to those that broke off; returns what there is to say of it."""
    if isinstance(found, str):
        broken.append((cell, found))
        return f"broke off: {found.strip().splitlines()[-1]}"
    record.add(found)
    return _summary(found)


def _summary(found: dict[str, Any]) -> str:
    if "failure" in found:
        return f"{'diverged' if found['diverged'] else 'failed'}: {found['failure']}"
    parts = [f"good {found['successes']}/{found['trials']}"]
    if "distance" in found:
        parts.append(f"distance {found['distance'] / found['floor']:.2f} of the floor")
    parts.append(f"{found['training_seconds']:.0f} s")
    return ", ".join(parts)
