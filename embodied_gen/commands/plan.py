"""`embodied-gen plan`: plans are drawn, with constraints that training never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import draws, evaluate, experiment, pictures
from embodied_gen.commands.console import console, parse
from embodied_gen.experiment import Run
from embodied_gen.heads import Guide
from embodied_gen.training import files
from embodied_gen.training.processes import resolve_device
from planners.constraints import Constraint
from planners.guides import feasible, read_guide


@dataclass
class Arguments:
    """Draws plans of a run from the start of an episode, as they are and as a guide wants them.

    A guide file (YAML) names constraints on finished plans in physical units, such as

        buffer: 0.01
        constraints:
          - {kind: keep_out_disc, centre: [0.1, 0.0], radius: 0.05}

    Every plan is checked exactly, segments included, and those
    that break a constraint are counted and drawn dashed. Plans and margins are written as JSON beside the picture.
    """

    run: tyro.conf.Positional[str]
    """Folder of a run."""
    guide: str | None = None
    """Guide file; without it plans are unguided."""
    n: int = 16
    """Plans to draw."""
    out: str | None = None
    """Picture to write (png, svg, pdf); RUN/plan.png where not given."""
    seed: int = evaluate.FIRST_SEED
    """Seed of the episode and of the draws."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    parsed = parse(Arguments, "plan", arguments)
    if parsed.n < 1:
        raise ValueError(f"--n must be at least 1; got {parsed.n}.")
    if parsed.seed < 0:
        raise ValueError(f"--seed must be at least 0; got {parsed.seed}.")
    guide_file = read_guide(Path(parsed.guide)) if parsed.guide else None
    run = experiment.load(Path(parsed.run), resolve_device(parsed.device))
    env = run.experiment.maker()()
    guide, constraints = guide_file.build(1 / env.metadata.get("render_fps", 10)) if guide_file else (None, [])
    asked: dict[str, Guide | None] = {"unguided": None}
    if guide is not None:
        asked["guided"] = guide
    groups = {title: draw(run, env, wanted, parsed.n, parsed.seed) for title, wanted in asked.items()}
    holds = {title: feasible(constraints, plans[None])[0].cpu().numpy() for title, plans in groups.items()}
    target = Path(parsed.out) if parsed.out else run.folder / "plan.png"
    arrays = {title: plans.cpu().numpy() for title, plans in groups.items()}
    pictures.save(pictures.plans(scene_of(env, constraints), arrays, holds), target)
    env.close()
    record = {
        "schema": files.SCHEMA,
        "run": run.experiment.name,
        "seed": parsed.seed,
        "constraints": [constraint.name for constraint in constraints],
        "groups": {title: _record(plans, constraints, holds[title]) for title, plans in groups.items()},
    }
    files.write_json(target.with_suffix(".json"), record)
    for title, good in holds.items():
        if constraints:
            console.print(f"{title}: {int(good.sum())} of {parsed.n} plans satisfy all constraints")
    console.print(f"written: {target} and {target.with_suffix('.json').name}", soft_wrap=True)


def draw(run: Run, env: gym.Env, guide: Guide | None, n: int, seed: int) -> torch.Tensor:
    """N plans from the first observation of an episode, physical units, shape `(n, T, A)`."""
    observation, _ = env.reset(seed=seed)
    policy = run.policy()
    memory = policy.remember(seed, np.asarray(observation))
    history = torch.from_numpy(memory.observations).to(policy.device)[None]
    generator = draws.generator(seed, device=policy.device)
    return run.predictor.sample(history, n, generator=generator, guide=guide)[0]


def scene_of(env: gym.Env, constraints: Sequence[Constraint]) -> dict[str, Any] | None:
    """The environment's scene with the constraints drawn in; None where it describes none."""
    describe = getattr(env.unwrapped, "scene", None)
    if describe is None:
        return None
    scene = {**describe()}
    for constraint in constraints:
        for kind, shapes in constraint.shapes().items():
            scene[kind] = [*scene.get(kind, []), *shapes]
    return scene


def _record(plans: torch.Tensor, constraints: Sequence[Constraint], holds: np.ndarray) -> dict[str, Any]:
    return {
        "feasible": holds.tolist(),
        "margins": {c.name: c.margin(plans[None])[0].tolist() for c in constraints},
        "plans": plans.tolist(),
    }
