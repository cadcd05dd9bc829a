"""A cell of a leaderboard: one family trained and judged on one ground with one seed.

All families of a ground see the same examples in the same order of seeds, have networks of the same size and take
the same number of optimiser steps. Measured beside the ground's own judgement:

    parameters, training seconds
    time of a call   see `cost`
    network calls    for one draw, see `calls`
    coverage         of central intervals of draws, see `measures`
    nll              -log p(x | c) for each number of a held-out event, model units, and by what it is known, see
                     `surprise`; the same by the law that the events come from, where that is known

A family whose training or draws diverge, or that cannot be judged, has failed in all trials, and says why. One whose
density cannot be told has none, and says why.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.blocks import HeadBlock
from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.events import Binary, Event
from embodied_gen.experiment import around
from embodied_gen.grounds.calls import network_calls
from embodied_gen.grounds.cost import clock_of, timed
from embodied_gen.grounds.ground import Ground, require_finite
from embodied_gen.grounds.measures import calibration_error, coverage
from embodied_gen.grounds.shared import Shared
from embodied_gen.grounds.surprise import surprise
from embodied_gen.nets.base import parameters_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, fit
from embodied_gen.training.processes import Processes

_FAILURES = ValueError, ArithmeticError  # of a family
Report = Callable[[int, dict[str, float]], None]

_CALIBRATION, _DENSITY = 5, 6  # branches of the seed
_SURPRISES = 512  # held-out examples whose density is asked for
_CALIBRATED, _SAMPLES = 256, 39  # held-out examples whose calibration is asked for, and draws of each: see `measures`


@final
@dataclass(frozen=True)
class Cell:
    """What is measured.

    Attributes:
        family: Name of the family.
        head: Its block.
        place: Name of the ground.
        ground: The ground.
        seed: Of weights, data order and draws.
    """

    family: str
    head: HeadBlock
    place: str
    ground: Ground
    seed: int

    @property
    def key(self) -> dict[str, Any]:
        """What it is called."""
        return {"ground": self.place, "family": self.family, "seed": self.seed}

    def fingerprint(self) -> str:
        """Hash of all its settings."""
        text = json.dumps([self.head.model_dump(mode="json"), self.ground.model_dump(mode="json"), self.seed])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def measure(cell: Cell, shared: Shared, *, processes: Processes, workers: int, report: Report) -> dict[str, Any]:
    """Trains and judges.

    Args:
        cell: What.
        shared: The ground's data.
        processes: Where.
        workers: Processes that hold environments.
        report: Called after every optimiser step, see `fit`.

    Returns:
        Plain JSON; with a `failure` in words and no success where training or judging breaks off, and whether it is
        because something `diverged`.

    Raises:
        Exception: Of another kind than values and numbers have, such as a lack of memory: a mistake of the program or
            of the machine is no failure of a family.
    """
    found: dict[str, Any] = {**cell.key, "kind": cell.head.kind, "fingerprint": cell.fingerprint()}
    found["data"] = shared.digest
    try:
        _measure(found, cell, shared, processes, workers, report)
    except _FAILURES as error:
        why = {"failure": _sentence(error), "diverged": isinstance(error, FloatingPointError)}
        found |= {**why, "trials": cell.ground.judgements, "successes": 0}
    return found


def refused(cell: Cell, why: str) -> dict[str, Any]:
    """What is known of a cell whose family does not go with its ground: plain JSON with a `refusal` in words."""
    return {**cell.key, "kind": cell.head.kind, "fingerprint": cell.fingerprint(), "refusal": " ".join(why.split())}


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())


def _measure(
    found: dict[str, Any], cell: Cell, shared: Shared, processes: Processes, workers: int, report: Report
) -> None:
    """Adds what is measured to what is found, one thing after the other."""
    windows, checks = shared.split(cell.seed)
    clock = clock_of(processes.device)
    started = clock()
    predictor = _trained(cell, shared.event(), windows, processes, report)
    found["training_seconds"] = clock() - started
    found["parameters"] = parameters_of(predictor)
    found |= timed(predictor, cell.ground, shared.episodes.observations[0])
    batch = _whole(checks)
    found |= _calibrated(predictor, batch, cell.seed)
    found |= cell.ground.judge(predictor, seed=cell.seed, workers=workers)
    found |= _surprised(predictor, batch, cell.ground, cell.seed)


def _trained(cell: Cell, event: Event, windows: Examples, processes: Processes, report: Report) -> Predictor:
    ground = cell.ground
    parts = ground.control, event, ground.net, cell.head
    predictor = around(*parts, observations=windows.observations(), seed=cell.seed).to(processes.device)
    steps = ground.train.steps
    settings = ground.train.model_copy(update={"checkpoint_every": steps, "validate_every": steps})
    # A cell is short: one that is interrupted starts anew, and no weights are kept.
    with tempfile.TemporaryDirectory() as folder:
        return fit(
            predictor,
            windows,
            None,
            settings,
            run=Path(folder),
            course=Course(cell.fingerprint(), cell.seed),
            resume=False,
            processes=processes,
            report=report,
        ).eval()


@torch.no_grad()
def _calibrated(predictor: Predictor, held_out: Batch, seed: int) -> dict[str, Any]:
    """Calls of networks, and calibration on held-out examples; units of two values have no intervals.

    Raises:
        FloatingPointError: If draws are not finite.
    """
    head, few = predictor.head, _spread(len(held_out.value), _CALIBRATED, held_out.value.device)
    x, c = head.event.encode(held_out.value[few]), predictor.encoder(held_out.observations[few])
    found: dict[str, Any] = {"network_calls": network_calls(head, c[:1])}
    if isinstance(head.event, Binary):
        return found
    drawn = head.sample(c, _SAMPLES, generator=draws.generator(seed, _CALIBRATION, device=x.device))
    require_finite(drawn)
    shares = coverage(drawn, x)
    return found | {"coverage": shares.tolist(), "calibration_error": calibration_error(shares)}


@torch.no_grad()
def _surprised(predictor: Predictor, held_out: Batch, ground: Ground, seed: int) -> dict[str, Any]:
    """Density of held-out examples by the head and by their own law; why there is none, where that breaks off."""
    head, own = predictor.head, ground.surprise_of_truth(held_out, predictor.head.event)
    x, c = head.event.encode(held_out.value), predictor.encoder(held_out.observations)
    found = {} if own is None else {"nll_of_truth": own}
    try:
        return found | surprise(head, x, c, generator=draws.generator(seed, _DENSITY, device=x.device))
    except _FAILURES as error:
        return found | {"nll_failure": _sentence(error)}


def _whole(checks: Examples) -> Batch:
    """Examples without padding, evenly spread."""
    every = checks.batch(torch.arange(len(checks), device=checks.device))
    whole = every.valid.all(1).nonzero().flatten()
    return checks.batch(whole[_spread(len(whole), _SURPRISES, whole.device)])


def _spread(length: int, most: int, device: torch.device) -> Tensor:
    """At most so many indices into a sequence, evenly spread."""
    count = min(most, length)
    return torch.arange(count, device=device) * length // max(count, 1)
