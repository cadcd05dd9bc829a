"""`embodied-gen bench families`: families are compared on proving grounds, cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import config, pictures
from embodied_gen.commands import together
from embodied_gen.commands.console import console, parse, progress
from embodied_gen.demos.episodes import Episodes
from embodied_gen.grounds.cell import Cell, measure
from embodied_gen.grounds.leaderboard import Leaderboard, Record
from embodied_gen.grounds.table import PICTURE, Row, into_page, rows, table
from embodied_gen.training import Interrupted, files
from embodied_gen.training.processes import Processes, resolve_device

BENCHES = ("families",)


@dataclass
class Arguments:
    """Trains and judges every family on every ground, with the same data, network and number of steps for all.

    A cell is one family on one ground with one training seed. The record is written after each cell, and cells that it
    holds are not measured again: interrupt at any time and start again with the same command. Grounds are densities in
    the plane, whose truth is known, and tasks in closed loop, whose demonstrations are collected where there are none.

        embodied-gen bench families --grounds eight_gaussians --families flow_matching regression --seeds 0
        embodied-gen bench families --jobs 8

    A table for each family and ground: good trials (draws on the density, successes in the task) with a Wilson
    interval; entropy of the ways taken; distance to the truth over that of the truth to itself; NLL, or the bound that
    the head has, with the truth's own in brackets; calibration error; seconds, milliseconds, network calls, parameters.
    """

    what: tyro.conf.Positional[str]
    """What is compared: families."""
    config: tyro.conf.Positional[str] = "configs/families.yaml"
    """Leaderboard file: families (name: head, and a network where it needs a kind of its own), grounds and seeds."""
    families: tuple[str, ...] = ()
    """Only these families."""
    grounds: tuple[str, ...] = ()
    """Only these grounds."""
    seeds: tuple[int, ...] = ()
    """Only these training seeds."""
    out: str = "benchmarks/results/families.json"
    """Record to continue or to begin."""
    page: str = "docs/families.md"
    """Page whose table and picture are made anew; where there is no such page the table is printed and the picture
    lies beside the record."""
    jobs: int = 1
    """Cells that are measured at once, each by a process of its own."""
    workers: int = 1
    """Processes that hold environments, of each cell."""
    device: str = "auto"
    """Where to train and to predict: auto, cpu, cuda."""
    threads: int = 1
    """Threads of products on a CPU; small networks are fastest with one."""


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
    board = config.read(Path(parsed.config), Leaderboard, "leaderboard")
    record = Record(Path(parsed.out))
    cells = board.cells(parsed.families, parsed.grounds, parsed.seeds)
    due = [cell for cell in cells if not record.has(cell)]
    console.print(f"{len(cells)} cells, {len(cells) - len(due)} of them in {parsed.out} already", soft_wrap=True)
    fill = _fill if parsed.jobs == 1 else _fill_together
    try:
        fill(record, due, parsed)
    except Interrupted:  # it names a folder to resume from, which a cell does not keep
        raise KeyboardInterrupt from None
    if record.content["cells"]:
        record.sort(board.cells((), (), ()))
        _publish(record, Path(parsed.page))


def _fill(record: Record, due: Sequence[Cell], parsed: Arguments) -> None:
    """One cell after another."""
    processes = Processes(0, 1, resolve_device(parsed.device))
    held: dict[str, Episodes] = {}
    for number, cell in enumerate(due, 1):
        if cell.place not in held:
            held = {cell.place: _episodes(cell)}  # one ground after another: the last one's data are not needed again
        console.print(f"{number}/{len(due)} {cell.place}: {cell.family}, seed {cell.seed}", soft_wrap=True)
        with progress("train", cell.ground.train.steps) as advance:
            shown = ""

            def report(step: int, values: dict[str, float]) -> None:
                nonlocal shown
                shown = f"loss {values['loss']:.4f}" if "loss" in values else shown
                advance(shown)

            found = measure(cell, held[cell.place], processes=processes, workers=parsed.workers, report=report)
        record.add(found)
        console.print(_summary(found), soft_wrap=True, markup=False)


def _fill_together(record: Record, due: Sequence[Cell], parsed: Arguments) -> None:
    """Several cells at once."""
    for cell in {cell.place: cell for cell in due}.values():
        _episodes(cell)  # collected here, before several processes miss them
    work = partial(_measured_apart, parsed)
    with progress("cells", len(due)) as advance:
        for cell, found in together.done(work, due, jobs=parsed.jobs, threads=parsed.threads):
            record.add(found)
            advance(f"{cell.place}: {cell.family}, seed {cell.seed}, {_summary(found).strip()}")


def _measured_apart(parsed: Arguments, cell: Cell) -> dict[str, Any]:
    """What `measure` finds, in a process of its own."""
    processes = Processes(0, 1, resolve_device(parsed.device))
    episodes = cell.ground.episodes(lambda _: None)
    return measure(cell, episodes, processes=processes, workers=parsed.workers, report=lambda step, values: None)


def _episodes(cell: Cell) -> Episodes:
    missing = cell.ground.missing()
    if not missing:
        return cell.ground.episodes(lambda _: None)
    console.print(f"demonstrations of {cell.place}", soft_wrap=True)
    with progress("collect", missing) as advance:
        return cell.ground.episodes(advance)


def _summary(found: dict[str, Any]) -> str:
    if "failure" in found:
        return f"  failed: {found['failure']}"
    parts = [f"good {found['successes']}/{found['trials']}"]
    if "distance" in found:
        parts.append(f"distance {found['distance'] / found['floor']:.2f} of the floor")
    parts += [f"{found['training_seconds']:.0f} s", f"{found['ms_a_call']:.1f} ms a call"]
    return f"  {', '.join(parts)}"


def _publish(record: Record, page: Path) -> None:
    """Writes table and picture of all that was measured so far."""
    measured, made = rows(record.content), table(record.content)
    picture = page.parent / PICTURE if page.is_file() else record.path.with_suffix(".png")
    if measured:
        pictures.save(pictures.trade_offs(*_panels(measured)), picture)
        console.print(f"written: {picture}", soft_wrap=True)
    if page.is_file():
        files.write_bytes(page, into_page(page.read_text(), made).encode())
        console.print(f"written: {page}", soft_wrap=True)
    else:
        console.print(made, soft_wrap=True, markup=False)


def _panels(measured: Sequence[Row]) -> tuple[dict[str, dict[str, tuple[float, ...]]], dict[str, str]]:
    panels: dict[str, dict[str, tuple[float, ...]]] = {}
    wanted: dict[str, str] = {}
    for row in measured:
        cost, distance = row.mean("ms_a_call") or 0.0, row.distance
        point = row.good if distance is None else (distance, distance, distance)
        panels.setdefault(row.ground, {})[row.family] = (cost, *point)
        wanted[row.ground] = "success" if distance is None else "distance to the truth / floor"
    return panels, wanted
