"""`embodied-gen plan`: plans are drawn, with constraints that training never saw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import gymnasium as gym
import torch
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import evaluate, experiment, pictures
from embodied_gen.blocks import EnvBlock, SceneControl, WholeWayControl
from embodied_gen.commands.console import console, parse
from embodied_gen.commands.map_plans import MapPlans
from embodied_gen.commands.questions import Question, question_of
from embodied_gen.commands.scenes import ScenePlans, block_of
from embodied_gen.commands.task import EXAMPLE, Surroundings, check_run, env_block_of, run_among, surroundings_of
from embodied_gen.experiment import Run
from embodied_gen.heads import Certified, Guide
from embodied_gen.training import files
from embodied_gen.training.processes import resolve_device
from planners.constraints import Constraint
from planners.guides import GuideFile, read_guide


@dataclass
class Arguments:
    """Draws plans of a run from the start of an episode, as they are and as a guide wants them.

    A guide file (YAML) names constraints on finished plans in physical units, such as

        buffer: 0.01
        constraints:
          - {kind: keep_out_disc, centre: [0.1, 0.0], radius: 0.05}

    Every plan is checked exactly, segments included, and those that break a constraint are counted and drawn dashed.
    Plans, margins and weights are written as JSON beside the picture. Constraints that cannot hold together are named.

    A policy plans its next actions. A planner (control.kind planner) plans ways to the goal of the environment, of
    durations from the longest to the shortest that it learned, and they have to end near the goal:

        embodied-gen plan runs/maze --guide configs/guide_pointmaze.yaml --env.kwargs.goals fixed

    A scene model (control.kind scene) draws how all vehicles of a traffic scene go on, from the recording of the file
    where it has one:

        embodied-gen plan runs/traffic-flow --scene map.xml --guide configs/guide_traffic.yaml

    A model of ways (control.kind whole_way) draws ways over a map, beside the demonstration on it, its true cost and
    the cost that was learned.
    """

    run: tyro.conf.Positional[str]
    """Folder of a run."""
    guide: str | None = None
    """Guide file; without it plans are unguided."""
    env: EnvBlock = EXAMPLE
    """The environment, the run's own where not given."""
    n: int = 16
    """Plans to draw."""
    scene: str | None = None
    """Map of runs that draw traffic scenes: a CommonRoad or Lanelet2 file, or a built-in map."""
    out: str | None = None
    """Picture to write (png, svg, pdf); RUN/plan.png where not given."""
    seed: int = evaluate.FIRST_SEED
    """Seed of the episode and of the draws."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda."""


@final
@dataclass(frozen=True)
class Group:
    """Plans `(n, T, D)`, what holds of them, and their margins of each constraint by name."""

    plans: torch.Tensor
    holds: Certified
    margins: Mapping[str, list[float]]


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    parsed = parse(Arguments, "plan", arguments, run=tyro.MISSING, env=env_block_of(arguments))
    check_run(run_among(arguments), parsed.run)
    if parsed.n < 1:
        raise ValueError(f"--n must be at least 1; got {parsed.n}.")
    if parsed.seed < 0:
        raise ValueError(f"--seed must be at least 0; got {parsed.seed}.")
    file = read_guide(Path(parsed.guide)) if parsed.guide else None
    run = experiment.load(Path(parsed.run), resolve_device(parsed.device))
    block = block_of(run, parsed.env, parsed.scene)
    env = run.experiment.model_copy(update={"env": block}).maker()()
    target = Path(parsed.out) if parsed.out else run.folder / "plan.png"
    if isinstance(run.experiment.control, SceneControl):
        ScenePlans(run, env, parsed.seed, parsed.n).write(file, target)
    elif isinstance(run.experiment.control, WholeWayControl):
        MapPlans(run, env, parsed.seed, parsed.n).write(file, target)
    else:
        _plan(run, env, file, parsed, target)
    env.close()


def _plan(run: Run, env: gym.Env, file: GuideFile | None, parsed: Arguments, target: Path) -> None:
    """Plans of a policy or a planner."""
    around = surroundings_of(env)
    question = question_of(run, env, around, parsed.n, parsed.seed)
    if file is not None:
        file.require_channels(run.predictor.head.event.shape[-1])
    wanted, constraints, conflicts = _wanted(file, question, around)
    groups = {title: group_of(run, question, guide, constraints) for title, guide in wanted.items()}
    _draw(groups, env, question, constraints, target)
    record = {
        "schema": files.SCHEMA,
        "run": run.experiment.name,
        "seed": parsed.seed,
        "constraints": [constraint.name for constraint in constraints],
        "contradictions": conflicts,
        "durations": question.durations(run.experiment.control.horizon),
        "groups": {title: _record(group) for title, group in groups.items()},
    }
    files.write_json(target.with_suffix(".json"), record)
    _report(groups, conflicts)
    console.print(f"written: {target} and {target.with_suffix('.json').name}", soft_wrap=True)


def _report(groups: Mapping[str, Group], conflicts: Sequence[str]) -> None:
    for conflict in conflicts:
        console.print(f"no plan can satisfy: {conflict.removeprefix('infeasible: ')}", soft_wrap=True, markup=False)
    for title, group in groups.items():
        if group.margins:
            console.print(f"{title}: {verdict(group)}", soft_wrap=True, markup=False)


def _wanted(
    file: GuideFile | None, question: Question, around: Surroundings
) -> tuple[dict[str, Guide | None], list[Constraint], list[str]]:
    """Guides by the titles of their groups, the constraints, and why nothing can satisfy them."""
    if file is None:
        return {"unguided": None}, list(question.also), []
    guide, constraints = file.build(question.period, free=around.free, also=question.also)
    return {"unguided": None, "guided": guide}, constraints, file.contradictions(question.period, around.free)


def group_of(run: Run, question: Question, guide: Guide | None, constraints: Sequence[Constraint]) -> Group:
    """The plans of all contexts one after another."""
    answer = question.answer(run, guide, list(constraints))
    margins = {constraint.name: constraint.margin(answer.x).flatten().tolist() for constraint in constraints}
    plans = answer.x.flatten(0, 1)
    return Group(plans, Certified.of(plans[None], answer.margin.reshape(1, -1)), margins)


def verdict(group: Group) -> str:
    """How many plans satisfy all constraints, and where none does the constraint that most of them break."""
    count = int(group.holds.feasible.sum())
    said = f"{count} of {len(group.plans)} plans satisfy all constraints"
    if count or not group.margins:
        return said
    broken = {name: sum(not margin >= 0 for margin in margins) for name, margins in group.margins.items()}
    worst = max(broken, key=lambda name: broken[name])
    return (
        f"{said}; the most violated constraint is [{worst}]: {broken[worst]} plans break it, "
        f"the best of them by {-max(margin for margin in group.margins[worst] if not margin >= 0):.3g}"
    )


def scene_of(env: gym.Env, constraints: Sequence[Constraint], drawn: tuple[int, ...]) -> dict[str, Any] | None:
    """The environment's scene with the constraints on the drawn channels; None where nothing lies in a plane."""
    describe = getattr(env.unwrapped, "scene", None)
    if describe is None or len(drawn) < 2:
        return None
    scene = {**describe()}
    for constraint in constraints:
        if tuple(getattr(constraint, "channels", drawn)) != drawn:
            continue
        for kind, shapes in constraint.shapes().items():
            scene[kind] = [*scene.get(kind, []), *shapes]
    return scene


def _draw(
    groups: Mapping[str, Group], env: gym.Env, question: Question, constraints: Sequence[Constraint], target: Path
) -> None:
    scene = scene_of(env, constraints, question.drawn)
    channels = slice(None) if scene is None else list(question.drawn)
    paths = {title: group.plans[..., channels].cpu().numpy() for title, group in groups.items()}
    feasible = {title: group.holds.feasible[0].cpu().numpy() for title, group in groups.items()}
    pictures.save(pictures.plans(scene, paths, feasible), target)


def _record(group: Group) -> dict[str, Any]:
    return {
        "feasible": group.holds.feasible[0].tolist(),
        "margin": _finite(group.holds.margin[0].tolist()),
        "weight": group.holds.weight[0].tolist(),
        "margins": {name: _finite(margins) for name, margins in group.margins.items()},
        "plans": group.plans.tolist(),
    }


def _finite(numbers: list[float]) -> list[float | None]:
    """Numbers as JSON has them; null where there is no constraint or a plan is no number."""
    return [number if math.isfinite(number) else None for number in numbers]
