"""Cost of guided sampling: the default method against the free sampler, per sample, with the same number of steps.

    python benchmarks/guidance_speed.py RUN [--repeats 20]

RUN is a folder trained with configs/avoid_flow.yaml. Both samplers are timed in this process in turn (A B A B ...).
Writes benchmarks/results/guidance_speed.json with the ratio of each pair.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from spread import median_and_range, spread

import envs  # noqa: F401 - registers the environments
from embodied_gen import draws, experiment, provenance
from embodied_gen.commands.console import console, progress
from embodied_gen.evaluate import FIRST_SEED
from embodied_gen.heads import Guide, Steered
from embodied_gen.predictor import Predictor
from embodied_gen.training import files
from planners import AccelerationLimit, Constraint, KeepInRegion, KeepOutDisc, guide_of, polygon_of

GUIDES: dict[str, list[Constraint]] = {
    "one disc": [KeepOutDisc((-0.2, 0.0), 0.08)],
    "region, six discs, acceleration": [
        KeepInRegion(polygon_of([(-0.45, -0.4), (0.45, -0.4), (0.45, 0.4), (0.0, 0.45), (-0.45, 0.4)])),
        *(KeepOutDisc((0.1 * k - 0.25, 0.02 * k), 0.03) for k in range(6)),
        AccelerationLimit(5.0, 0.1),
    ],
}


@dataclass
class Arguments:
    """Cost of guided sampling."""

    run: tyro.conf.Positional[str]
    """Folder of the trained run."""
    contexts: int = 4
    """Contexts of each call."""
    samples: int = 16
    """Samples of each context."""
    repeats: int = 20
    """Pairs of measurements, after two to warm up."""
    threads: int = 1
    """Threads of torch."""
    device: str = "cpu"
    """Where to compute."""
    out: str = "benchmarks/results/guidance_speed.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(arguments.threads)
    run = experiment.load(Path(arguments.run), arguments.device)
    predictor, history = run.predictor, run.experiment.control.history
    env = run.experiment.maker()()
    starts = [env.reset(seed=FIRST_SEED + number)[0] for number in range(arguments.contexts)]
    observations = torch.as_tensor(np.stack(starts), dtype=torch.float32, device=arguments.device)
    observations = observations[:, None].repeat(1, history, 1)
    particles = predictor.head.guidance
    rows = []
    with progress("guidance", 2 * len(GUIDES)) as advance:
        for method, guidance in (("particles (default)", particles), ("steered", Steered())):
            predictor.head.guidance = guidance
            for name, constraints in GUIDES.items():
                rows.append(_row(predictor, observations, method, name, guide_of(constraints), arguments))
                advance(f"{method}, {name}")
    record = {
        "schema": files.SCHEMA,
        "what": "seconds of guided over seconds of free sampling, same head, same number of samples and steps",
        "run": run.experiment.name,
        "contexts": arguments.contexts,
        "samples": arguments.samples,
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    for row in rows:
        console.print(f"{row['method']}, {row['guide']}: {median_and_range(row, 'ratio', 2)}")


def _row(
    predictor: Predictor, observations: torch.Tensor, method: str, name: str, guide: Guide, arguments: Arguments
) -> dict[str, Any]:
    pairs = []
    for repeat in range(arguments.repeats + 2):
        pair = [_seconds(predictor, observations, arguments.samples, wanted, repeat) for wanted in (None, guide)]
        if repeat > 1:
            pairs.append(pair)
    rows = arguments.contexts * arguments.samples
    return {
        "method": method,
        "guide": name,
        **spread("ratio", [guided / free for free, guided in pairs]),
        "free_ms_a_sample": float(np.median([1e3 * free / rows for free, _ in pairs])),
        "guided_ms_a_sample": float(np.median([1e3 * guided / rows for _, guided in pairs])),
    }


def _seconds(predictor: Predictor, observations: torch.Tensor, n: int, guide: Guide | None, seed: int) -> float:
    generator = draws.generator(seed, device=observations.device)
    started = time.perf_counter()
    predictor.sample(observations, n, generator=generator, guide=guide).sum().item()  # waits for the device
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
