"""A cell of a leaderboard: one family trained and judged on one ground with one seed.

All families of a ground see the same examples in the same order of seeds, have networks of the same size and take
the same number of optimiser steps. Measured beside the ground's own judgement:

    parameters, training seconds
    network calls  for one draw, see `calls`
    nll            -log p(x | c) for each number of a held-out event, model units, and by what it is known: `surprise`
    coverage       of central intervals of draws, see `measures`

The time of a call is measured by itself, see `cost`. A family whose training or draws diverge, or that cannot be
judged, has failed in all trials, and says why.
"""

import hashlib
import json
import tempfile
import time
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
from embodied_gen.grounds.ground import Ground, require_finite
from embodied_gen.grounds.measures import calibration_error, coverage
from embodied_gen.grounds.shared import Shared
from embodied_gen.grounds.surprise import surprise
from embodied_gen.nets.base import parameters_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, fit
from embodied_gen.training.processes import Processes

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
        Exception: Of another kind than values, numbers and torch have: a mistake of the program is no failure of a
            family.
    """
    found: dict[str, Any] = {**cell.key, "kind": cell.head.kind, "fingerprint": cell.fingerprint()}
    found["data"] = shared.digest
    try:
        _measure(found, cell, shared, processes, workers, report)
    except (ValueError, ArithmeticError, RuntimeError) as error:
        why = {"failure": " ".join(str(error).split()), "diverged": isinstance(error, FloatingPointError)}
        found |= {**why, "trials": cell.ground.judgements, "successes": 0}
    return found


def refused(cell: Cell, why: str) -> dict[str, Any]:
    """What is known of a cell whose family does not go with its ground: plain JSON with a `refusal` in words."""
    return {**cell.key, "kind": cell.head.kind, "fingerprint": cell.fingerprint(), "refusal": " ".join(why.split())}


def _measure(
    found: dict[str, Any], cell: Cell, shared: Shared, processes: Processes, workers: int, report: Report
) -> None:
    """Adds what is measured to what is found, one thing after the other."""
    windows, checks = shared.split(cell.seed)
    # Of a processor, so that what else the machine does counts little; on a device the wall's.
    clock = time.process_time if processes.device.type == "cpu" else time.perf_counter
    started = clock()
    predictor = _trained(cell, shared.event(), windows, processes, report)
    found["training_seconds"] = clock() - started
    found["parameters"] = parameters_of(predictor)
    found |= _probabilities(predictor, checks, cell.seed)
    found |= cell.ground.judge(predictor, seed=cell.seed, workers=workers)


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
def _probabilities(predictor: Predictor, checks: Examples, seed: int) -> dict[str, Any]:
    """Calls, calibration and density on held-out examples that are not padded; units of two values have no intervals.

    Raises:
        FloatingPointError: If draws are not finite.
    """
    head = predictor.head
    batch = _whole(checks)
    x, c = head.event.encode(batch.value), predictor.encoder(batch.observations)
    found: dict[str, Any] = {"network_calls": network_calls(head, c[:1])}
    if not isinstance(head.event, Binary):
        few = _spread(len(x), _CALIBRATED, x.device)
        stream = draws.generator(seed, _CALIBRATION, device=checks.device)
        drawn = head.sample(c[few], _SAMPLES, generator=stream)
        require_finite(drawn)
        shares = coverage(drawn, x[few])
        found |= {"coverage": shares.tolist(), "calibration_error": calibration_error(shares)}
    return found | surprise(head, x, c, generator=draws.generator(seed, _DENSITY, device=checks.device))


def _whole(checks: Examples) -> Batch:
    """Examples without padding, evenly spread."""
    every = checks.batch(torch.arange(len(checks), device=checks.device))
    whole = every.valid.all(1).nonzero().flatten()
    return checks.batch(whole[_spread(len(whole), _SURPRISES, whole.device)])


def _spread(length: int, most: int, device: torch.device) -> Tensor:
    """At most so many indices into a sequence, evenly spread."""
    count = min(most, length)
    return torch.arange(count, device=device) * length // max(count, 1)
