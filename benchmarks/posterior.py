"""Guided sampling against the exact conditional: violation and distance to the truth, one curve a method.

    python benchmarks/posterior.py [--samples 4000] [--seeds 4]

The data are eight normals on a circle, whose denoiser is exact, so that nothing is trained but the classifiers of
classifier guidance, one for each case, on draws of the data. Case A avoids a disc that
holds a fifth of the mass; case B stays in a disc that holds a hundredth. The truth is drawn by rejection from the same
sampler; distances are sliced Wasserstein-2 over that of two sets of true draws.

Writes benchmarks/results/posterior.json and a picture.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import tyro
from torch import Tensor

from embodied_gen import draws, provenance
from embodied_gen.commands.console import console, progress
from embodied_gen.events import Trajectory
from embodied_gen.grounds.measures import sliced_w2
from embodied_gen.heads import (
    ClassifierGuidance,
    DenoisingHead,
    Guidance,
    Guide,
    NoisyClassifier,
    Particles,
    Steered,
    fit_classifier,
)
from embodied_gen.heads.analytic import Exact, Normals
from embodied_gen.heads.comparisons import BestOf, NoisyMean, Projected, ThroughNetwork
from embodied_gen.heads.parametrisation import V
from embodied_gen.heads.samplers import Ancestral
from embodied_gen.heads.schedules import Cosine
from embodied_gen.nets import ResidualMLP
from embodied_gen.training import files

HALF = 5.0  # bounds of the plane [m]
NEAR = 0.02  # of a boundary [m]
LEVELS = 100
EXAMPLES = 200_000  # draws of the data that a classifier learns from


@dataclass
class Arguments:
    """Guided sampling against the exact conditional."""

    samples: int = 4000
    """Independent runs of each method, case and seed; one sample of each is kept."""
    seeds: int = 4
    """Repetitions."""
    out: str = "benchmarks/results/posterior.json"
    """Record to write."""
    picture: str = "docs/images/posterior.png"
    """Picture to write."""


@dataclass(frozen=True)
class Case:
    """A disc to avoid or to stay in."""

    name: str
    centre: tuple[float, float]
    radius: float
    inside: bool

    def margin(self, y: Tensor) -> Tensor:
        """Signed margin of points `(..., 2)` [m]."""
        distance = (y - y.new_tensor(self.centre)).norm(dim=-1)
        return self.radius - distance if self.inside else distance - self.radius

    def project(self, y: Tensor) -> Tensor:
        """The nearest point of the feasible set."""
        away = y - y.new_tensor(self.centre)
        length = away.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        wanted = length.clamp(max=self.radius) if self.inside else length.clamp(min=self.radius)
        return y.new_tensor(self.centre) + away * wanted / length


@dataclass(frozen=True)
class Method:
    """A curve of the picture: guidance at several strengths."""

    name: str
    guidance: tuple[tuple[str, Guidance], ...]
    project: bool = False
    constrain: bool = True


def _sweep(make: Callable[[float], Guidance], strengths: tuple[float, ...]) -> tuple[tuple[str, Guidance], ...]:
    return tuple((f"{strength:g}", make(strength)) for strength in strengths)


CASES = (
    Case("A: avoid a fifth", (3.88 * math.cos(math.pi / 8), 3.88 * math.sin(math.pi / 8)), 2.0, False),
    Case("B: stay in a hundredth", (3.575, 0.0), 0.24, True),
)
METHODS = (
    Method("none", (("", BestOf(1)),), constrain=False),
    Method("projection of the end", (("", BestOf(1)),), project=True),
    Method("projection of every iterate", (("", Projected()),), project=True),
    Method("gradient at the noisy mean", _sweep(NoisyMean, (0.01, 0.1, 1.0, 10.0))),
    Method("DPS", _sweep(ThroughNetwork, (0.01, 0.03, 0.1, 0.3, 1.0))),
    Method("best of K", tuple((f"{k}", BestOf(k)) for k in (4, 16, 64))),
    Method("steered", (("", Steered()),)),
    Method("particles without steering", tuple((f"{k}", Particles(k, free=0.999, threshold=0.5)) for k in (4, 16))),
    Method("particles (ours)", tuple((f"{k}", Particles(k)) for k in (4, 16, 64))),
)


CLASSIFIER, STRENGTHS = "classifier guidance", (0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    torch.manual_seed(0)  # of the first weights of classifiers
    rows = []
    total = len(CASES) * arguments.seeds * (sum(len(method.guidance) for method in METHODS) + len(STRENGTHS))
    with progress("posterior", total) as advance:
        for case in CASES:
            truths = [_truth(case, arguments.samples, seed) for seed in range(2 * arguments.seeds)]
            floor = float(np.mean([_sliced(a, b) for a, b in combinations(truths, 2)]))
            near = float(np.mean([_near(case, truth) for truth in truths]))
            for method in (*METHODS, _with_classifier(case)):
                for strength, guidance in method.guidance:
                    runs = []
                    for seed in range(arguments.seeds):
                        runs.append(_run(case, method, guidance, arguments.samples, seed, truths))
                        advance(f"{case.name}, {method.name} {strength}")
                    rows.append(_row(case, method, strength, runs, floor, near, arguments.samples))
    record = {
        "schema": files.SCHEMA,
        "what": "one sample of each independent run against draws of the free sampler that satisfy the constraint",
        "data": "eight normals of deviation 0.5 m on a circle of 4 m, exact denoiser, 100 levels, cosine schedule",
        "samples": arguments.samples,
        "seeds": list(range(arguments.seeds)),
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    _draw(rows, Path(arguments.picture))
    console.print(f"written: {arguments.out} and {arguments.picture}")


def _data() -> Normals:
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    mean = 0.8 * torch.stack([angle.cos(), angle.sin()], -1)
    return Normals(torch.full((8,), 1 / 8).double(), mean, torch.full((8,), 0.1).double())


def _with_classifier(case: Case) -> Method:
    """Classifier guidance with a classifier of the case, trained on draws of the data."""
    head = _head(Steered())
    net = ResidualMLP(horizon=1, channels_in=2, channels_out=1, context=1, width=128, depth=2)
    classifier = NoisyClassifier(head.event, net, head.schedule).double()
    x = _data().draw(EXAMPLES, draws.generator(3))[:, None]
    fit_classifier(classifier, x, x.new_zeros(len(x), 1), Guide(margins=case.margin), steps=3000)
    return Method(CLASSIFIER, _sweep(lambda strength: ClassifierGuidance(classifier, strength), STRENGTHS))


def _truth(case: Case, count: int, seed: int) -> Tensor:
    """Draws of the free sampler that satisfy the constraint."""
    kept: list[Tensor] = []
    generator = draws.generator(1, seed)
    head = _head(Steered())
    while sum(map(len, kept)) < count:
        y = HALF * head.sample(torch.zeros(100_000, 1), generator=generator).reshape(-1, 2)
        kept.append(y[case.margin(y) >= 0])
    return torch.cat(kept)[:count]


def _head(guidance: Guidance) -> DenoisingHead:
    schedule = Cosine(LEVELS)
    head = DenoisingHead(
        Trajectory(1, [-HALF] * 2, [HALF] * 2),
        Exact(_data(), schedule, V()),
        schedule=schedule,
        parametrisation=V(),
        sampler=Ancestral(),
        steps=LEVELS,
        clip=None,
        guidance=guidance,
    ).double()
    torch.nn.init.constant_(head.log_deviation, math.log(0.35))
    return head


def _run(
    case: Case, method: Method, guidance: Guidance, count: int, seed: int, truths: list[Tensor]
) -> dict[str, float]:
    head = _head(guidance)
    guide = Guide(margins=case.margin if method.constrain else None, project=case.project if method.project else None)
    started = time.perf_counter()
    c = torch.zeros(count, 1, dtype=torch.float64)
    y = HALF * head.sample(c, generator=draws.generator(2, seed), guide=guide).reshape(count, 2)
    seconds = time.perf_counter() - started
    holds = case.margin(y) >= -1e-9
    feasible = y[holds]
    distances = [_sliced(feasible, truth) for truth in truths] if len(feasible) > 1 else [math.nan]
    return {
        "violation": 1 - float(holds.double().mean()),
        "distance": float(np.mean(distances)),
        "near": _near(case, feasible),
        "milliseconds": 1e3 * seconds / count,
    }


def _row(
    case: Case, method: Method, strength: str, runs: list[dict[str, float]], floor: float, near: float, samples: int
) -> dict[str, Any]:
    mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
    return {
        "case": case.name,
        "method": method.name,
        "strength": strength,
        "violation": mean["violation"],
        "violations": [round(run["violation"] * samples) for run in runs],
        "distance": mean["distance"],
        "floor": floor,
        "ratio": mean["distance"] / floor,
        "near_boundary": mean["near"],
        "near_boundary_truth": near,
        "milliseconds_a_run": mean["milliseconds"],
    }


def _near(case: Case, y: Tensor) -> float:
    return float((case.margin(y) < NEAR).double().mean()) if len(y) else math.nan


def _sliced(x: Tensor, y: Tensor) -> float:
    """Sliced Wasserstein-2 of points in the plane [m], of as many of both as there are of the fewer."""
    count = min(len(x), len(y))
    return float(sliced_w2(x[:count], y[:count]))


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(1, len(CASES), figsize=(11, 4.5), layout="constrained")
    for axis, case in zip(axes, CASES, strict=True):
        for name in dict.fromkeys(row["method"] for row in rows):
            curve = [row for row in rows if row["case"] == case.name and row["method"] == name]
            x, y = [row["ratio"] for row in curve], [row["violation"] for row in curve]
            axis.plot(x, y, marker="o", label=name, lw=2.5 if "ours" in name else 1.2)
        axis.axvline(1, color="0.7", lw=1, zorder=0)
        axis.set(title=case.name, xlabel="distance to the exact conditional / that of true draws", xscale="log")
        axis.set_yscale("symlog", linthresh=1e-3)
        axis.set_ylim(-1e-4, 1.2)
    axes[0].set_ylabel("share of samples that violate")
    axes[1].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
