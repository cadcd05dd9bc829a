"""A cell of a leaderboard: one family trained and judged on one ground with one seed.

All families of a ground see the same examples in the same order of seeds, have networks of the same settings and take
the same number of optimiser steps. Measured beside the ground's own judgement:

    parameters, training seconds
    ms a call      to predict one event for one observation, as on a robot
    network calls  forward calls of networks for one draw, counted by hooks
    nll            -log p(x | c) for each number of a held-out event, model units, or the bound that the head has
    coverage       of central intervals of draws, see `measures`
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
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen import evaluate as evaluation
from embodied_gen.blocks import HeadBlock
from embodied_gen.context import Context
from embodied_gen.control import Policy
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.events import Binary
from embodied_gen.experiment import assembled
from embodied_gen.grounds.ground import Ground
from embodied_gen.grounds.measures import calibration_error, coverage
from embodied_gen.heads import BinaryHead, Head
from embodied_gen.heads.base import HasLogProb
from embodied_gen.nets.base import parameters_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, fit
from embodied_gen.training.processes import Processes

Report = Callable[[int, dict[str, float]], None]

_CALIBRATION = 5  # branch of the seed
_SURPRISES, _ROWS = 1024, 256  # held-out examples whose density is asked for, and how many at once
_CALIBRATED, _SAMPLES = 128, 100  # held-out examples whose calibration is asked for, and draws of each
_NETWORKS = "embodied_gen.nets."


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


def measure(cell: Cell, episodes: Episodes, *, processes: Processes, workers: int, report: Report) -> dict[str, Any]:
    """Trains and judges.

    Args:
        cell: What.
        episodes: The ground's data.
        processes: Where.
        workers: Processes that hold environments.
        report: Called after every optimiser step, see `fit`.

    Returns:
        Plain JSON; with a `failure` in words where the family refuses the ground or its training breaks off.
    """
    ground = cell.ground
    kept, held_out = episodes.split(ground.held_out, seed=cell.seed)
    assert held_out is not None
    windows, checks = (ground.control.examples(part, processes.device) for part in (kept, held_out))
    found: dict[str, Any] = {**cell.key, "kind": cell.head.kind, "fingerprint": cell.fingerprint()}
    # Of a processor, so that what else the machine does counts little; on a device the wall's.
    clock = time.process_time if processes.device.type == "cpu" else time.perf_counter
    started = clock()
    try:
        ground.control.check(held_out)  # whole chunks are asked about
        predictor = _trained(cell, windows, processes, report)
    except (ValueError, FloatingPointError) as error:
        return found | {"failure": str(error)}
    found["training_seconds"] = clock() - started
    found["parameters"] = parameters_of(predictor)
    return (
        found
        | _cost(predictor, ground, checks)
        | _probabilities(predictor, checks, cell.seed)
        | ground.judge(predictor, seed=cell.seed, workers=workers)
    )


def _trained(cell: Cell, windows: Examples, processes: Processes, report: Report) -> Predictor:
    ground = cell.ground
    predictor = assembled(ground.control, ground.event, ground.net, cell.head, examples=windows, seed=cell.seed).to(
        processes.device
    )
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


def _cost(predictor: Predictor, ground: Ground, checks: Examples) -> dict[str, Any]:
    some = checks.batch(torch.zeros(1, dtype=torch.long, device=checks.device)).observations
    policy = Policy(predictor, history=ground.control.history, actions=1)
    return {
        "network_calls": network_calls(predictor.head, predictor.encoder(some)),
        "ms_a_call": evaluation.latency(policy, some[0, -1].cpu().numpy())["chunk_ms_p50"],
    }


def network_calls(head: Head, c: Context) -> int:
    """Forward calls of networks for one draw of a head at each of some contexts."""
    count = 0

    def add(*_: object) -> None:
        nonlocal count
        count += 1

    hooks = [net.register_forward_hook(add) for net in _networks(head)]
    head.sample(c, generator=draws.generator(0, device=head.event.low.device))
    for hook in hooks:
        hook.remove()
    return count


def _networks(module: nn.Module) -> list[nn.Module]:
    """Networks of the library within a module, but not their parts."""
    if type(module).__module__.startswith(_NETWORKS):
        return [module]
    return [net for child in module.children() for net in _networks(child)]


@torch.no_grad()
def _probabilities(predictor: Predictor, checks: Examples, seed: int) -> dict[str, Any]:
    """Density and calibration on held-out examples that are not padded.

    Of units of two values only the probabilities that a model of such units gives: densities of others at their two
    values grow without end, and there are no intervals.
    """
    head = predictor.head
    batch = _whole(checks)
    x, c = head.event.encode(batch.value), predictor.encoder(batch.observations)
    if isinstance(head.event, Binary):
        return {"nll": _surprise(head, x, c)} if isinstance(head, BinaryHead) and isinstance(head, HasLogProb) else {}
    few = _spread(len(x), _CALIBRATED, x.device)
    stream = draws.generator(seed, _CALIBRATION, device=checks.device)
    drawn = head.sample(c[few], _SAMPLES, generator=stream)
    shares = coverage(drawn, x[few])
    found: dict[str, Any] = {"coverage": shares.tolist(), "calibration_error": calibration_error(shares)}
    if isinstance(head, HasLogProb):
        found["nll"] = _surprise(head, x, c)
    return found


def _whole(checks: Examples) -> Batch:
    """Examples without padding, evenly spread."""
    every = checks.batch(torch.arange(len(checks), device=checks.device))
    whole = every.valid.all(1).nonzero().flatten()
    return checks.batch(whole[_spread(len(whole), _SURPRISES, whole.device)])


def _spread(length: int, most: int, device: torch.device) -> Tensor:
    """At most so many indices into a sequence, evenly spread."""
    count = min(most, length)
    return torch.arange(count, device=device) * length // max(count, 1)


def _surprise(head: HasLogProb, x: Tensor, c: Tensor) -> float | None:
    """Mean of -log p for each number of an event; None where it is not finite."""
    pairs = zip(x.split(_ROWS), c.split(_ROWS), strict=True)
    mean = -torch.cat([head.log_prob(rows, known) for rows, known in pairs]).mean() / x[0].numel()
    return float(mean) if bool(mean.isfinite()) else None
