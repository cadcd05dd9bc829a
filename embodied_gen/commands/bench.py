"""`embodied-gen bench families`: families are compared on proving grounds, cell by cell."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import config, pictures
from embodied_gen.commands.cells import Broken, Means, Priced, fill
from embodied_gen.commands.console import console, parse
from embodied_gen.grounds.cell import Cell, refused
from embodied_gen.grounds.cost import rehearse
from embodied_gen.grounds.leaderboard import Leaderboard, Record
from embodied_gen.grounds.table import PICTURE, Row, into_page, rows, table
from embodied_gen.training import Interrupted, files
from embodied_gen.training.processes import resolve_device

BENCHES = ("families",)
RECORD, PAGE = "benchmarks/results/families.json", "docs/families.md"


@dataclass
class Arguments:
    """Trains and judges every family on every ground, with the same data, size of networks and number of steps.

    A cell is one family on one ground with one training seed. The record is written after each cell, and cells that it
    holds are not measured again with the same versions: interrupt at any time and start again with the same command.
    Whether a family goes with a ground is tried before data are read. Grounds are densities in the plane, whose truth
    is known, and tasks in closed loop, whose demonstrations are collected where there are none. A cell that a mistake
    of the program breaks off has no result: the others are measured all the same, and the command fails at the end.

        embodied-gen bench families --grounds eight_gaussians --families flow_matching regression --seeds 0
        embodied-gen bench families --jobs 8

    A table for each family and ground: good trials (draws on the density, successes in the task) with a Wilson
    interval and the range over seeds; entropy of the ways taken, and how many of them are reached, over the truth's;
    distance to the truth over that of the truth to itself; NLL by the best way that the head has, with the truth's own
    in brackets; calibration error; seconds, milliseconds, network calls, parameters.
    """

    what: tyro.conf.Positional[str]
    """What is compared: families."""
    config: tyro.conf.Positional[str] = "configs/families.yaml"
    """Leaderboard file: families (name: head, and a network where it is not the ground's), grounds and seeds."""
    families: tuple[str, ...] = ()
    """Only these families."""
    grounds: tuple[str, ...] = ()
    """Only these grounds."""
    seeds: tuple[int, ...] = ()
    """Only these training seeds."""
    out: str = RECORD
    """Record to continue or to begin."""
    page: str | None = None
    """Page whose table and picture are made anew: docs/families.md for the record of the project, none for others if
    none is named. Where there is no such page the table is printed and the picture lies beside the record."""
    jobs: int = 1
    """Cells that are measured at once, each by a process of its own. On cuda times are the clock's, and then depend on
    what else is measured: the table says so."""
    workers: int = 1
    """Processes that hold environments, of each cell."""
    device: str = "auto"
    """Where to train and to predict: auto, cpu, cuda."""
    threads: int = 1
    """Threads of products on a CPU; small networks are fastest with one. Times are the processor's with one thread, and
    the clock's with several."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    parsed = parse(Arguments, "bench", arguments)
    if parsed.what not in BENCHES:
        raise ValueError(f"there is no bench {parsed.what!r}; expected one of {', '.join(BENCHES)}.")
    if min(parsed.jobs, parsed.threads, parsed.workers) < 1:
        raise ValueError(
            "--jobs, --threads and --workers must be at least 1; got "
            f"{parsed.jobs}, {parsed.threads} and {parsed.workers}."
        )
    torch.set_num_threads(parsed.threads)
    means = Means(resolve_device(parsed.device), jobs=parsed.jobs, workers=parsed.workers, threads=parsed.threads)
    board = config.read(Path(parsed.config), Leaderboard, "leaderboard")
    record = Record(Path(parsed.out), device=str(means.device), jobs=parsed.jobs)
    if means.shared:
        console.print(f"times depend on one another: {means.jobs} cells at once share {means.device}")
    cells = board.cells(parsed.families, parsed.grounds, parsed.seeds)
    due = [cell for cell in cells if not record.has(cell)]
    console.print(f"{len(cells)} cells, {len(cells) - len(due)} of them in {parsed.out} already", soft_wrap=True)
    try:
        broken = fill(record, _accepted(record, due), means)
    except Interrupted:  # it names a folder to resume from, which a cell does not keep
        raise KeyboardInterrupt from None
    if record.content["cells"]:
        record.sort(board.cells((), (), ()))
        _publish(record, parsed)
    _complain(broken)


def _complain(broken: Broken) -> None:
    """Raises `ValueError` with the names of cells that broke off, after the traceback of the first."""
    if not broken:
        return
    print(broken[0][1], file=sys.stderr)
    names = ", ".join(f"{cell.place}: {cell.family}, seed {cell.seed}" for cell, _ in broken)
    raise ValueError(
        f"{len(broken)} cells broke off and have no result ({names}); above is where the first did. "
        "Mend it, and start again with the same command."
    )


def _accepted(record: Record, due: Sequence[Cell]) -> list[Priced]:
    """Cells whose families go with their grounds; what is refused is noted in the record."""
    found: dict[tuple[str, str], float | str] = {}
    accepted = []
    for cell in due:
        pair = cell.place, cell.family
        if pair not in found:
            found[pair] = _rehearsed(cell)
        price = found[pair]
        if isinstance(price, str):
            record.add(refused(cell, price))
        else:
            accepted.append((cell, price))
    return accepted


def _rehearsed(cell: Cell) -> float | str:
    """Seconds of the training of a cell, roughly; or why its ground refuses its family."""
    try:
        return cell.ground.train.steps * rehearse(cell.ground, cell.head, cell.seed)
    except ValueError as error:
        console.print(f"{cell.place} refuses {cell.family}: {error}", soft_wrap=True, markup=False)
        return str(error)
    except Exception:  # the cell is measured, and says why it fails
        return 0.0


def _publish(record: Record, parsed: Arguments) -> None:
    """Writes table and picture of all that was measured so far."""
    measured, made, page = rows(record.content), table(record.content), _page(parsed)
    picture = record.path.with_suffix(".png") if page is None else page.parent / PICTURE
    panels, wanted = _panels(measured)
    if panels:
        pictures.save(pictures.trade_offs(panels, wanted), picture)
        console.print(f"written: {picture}", soft_wrap=True)
    if page is None:
        console.print(made, soft_wrap=True, markup=False)
        return
    files.write_bytes(page, into_page(page.read_text(), made).encode())
    console.print(f"written: {page}", soft_wrap=True)


def _page(parsed: Arguments) -> Path | None:
    """The page that is asked for, if it is there; that of the project for the record of the project."""
    named = parsed.page or (PAGE if Path(parsed.out) == Path(RECORD) else None)
    return Path(named) if named is not None and Path(named).is_file() else None


def _panels(measured: Sequence[Row]) -> tuple[dict[str, dict[str, list[tuple[float, float]]]], dict[str, str]]:
    """A mark for each seed that was timed: seeds that failed have none by their distance, and zero by their success."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    wanted: dict[str, str] = {}
    for row in measured:
        cost = row.mean("ms_a_call")
        if cost is None:
            continue
        values = row.shares if row.distance is None else [cell["distance"] / cell["floor"] for cell in row.judged]
        panels.setdefault(row.ground, {})[row.family] = [(cost, value) for value in values]
        wanted[row.ground] = "success" if row.distance is None else "distance to the truth / floor"
    return panels, wanted
