"""Guided generation of traffic scenes: five kinds of constraints and a reward without slope, on each map.

    python benchmarks/scenes.py RUN [RUN ...] --maps crossing merge FILE ... [--scenes 10]

A scene is what a simulation shows after two seconds; a model draws how it goes on for four. Every rule is asked for
together with no collision and whole boxes on the road; lanes that end on a map are taken to go on. Rules are made from
64 free draws of each scene, so that they can be met but seldom are:

    region        the vehicle nearest to the ego ends in a square of 6 m, where a quarter of the free draws is behind it
    attribute     it ends no faster than a third of the free draws has it
    initial       its first second is that of one free draw, to 0.3 m, 0.1 rad and 0.3 m/s
    collision     nothing more
    on-road       nothing more (the same question with other seeds)
    reward        as many vehicles as possible end slower than they are: a number without slope, as a cost of scale 2

Shares are over scenes that the guided sampler calls feasible; others are counted. Realism is measured against the
simulation going on. Writes benchmarks/results/scenes.json and docs/images/scenes.png.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import shapely
import torch
import tyro
from rules import Rule, rules_of
from torch import Tensor

import envs  # noqa: F401 - registers the environments
from embodied_gen import draws, experiment, provenance
from embodied_gen.blocks import SceneControl
from embodied_gen.commands.console import console, progress
from embodied_gen.demos.collect import expert_of
from embodied_gen.events.scene import STATE
from embodied_gen.heads import Guide
from embodied_gen.slots import EnvMaker
from embodied_gen.training import files
from envs.maps import read_map
from planners import guide_of, smallest_margin
from planners.collisions import NoCollision
from planners.regions import SignedDistance
from planners.roads import OnRoad
from planners.scene_metrics import Failures, failures, realism
from planners.scene_model import SceneModel

FIRST_SEED = 1_000_000
PERIOD = 0.1  # control [s]
ROOM = 0.3  # how far a corner may be off the road [m]
CELL = 0.5  # of the grid of a road [m]
BEFORE = 20  # control steps before a scene is drawn
REACH = 100.0  # around vehicles [m]
FREE = 64  # free draws that rules are made from


@dataclass
class Arguments:
    """Guided generation of traffic scenes."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of trained runs with control.kind scene; the first is pictured."""
    maps: tuple[str, ...] = ("crossing", "merge")
    """Built-in maps and map files."""
    scenes: int = 5
    """Scenes of each map."""
    samples: int = 16
    """Draws of each scene, and particles."""
    out: str = "benchmarks/results/scenes.json"
    """Record to write."""
    picture: str = "docs/images/scenes.png"
    """Picture to write."""


@dataclass(frozen=True)
class Situation:
    """What was seen, `(1, K, O)`, and how it really went on, `(1, A, 1 + T, 7)`."""

    seed: int
    seen: Tensor
    truth: Tensor


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    models = {run: model_of(run) for run in arguments.runs}
    first = models[arguments.runs[0]]
    with progress("scenes", len(arguments.maps) * len(models) * arguments.scenes) as advance:
        for map_ in arguments.maps:
            situations = [_situation(map_, FIRST_SEED + index, first) for index in range(arguments.scenes)]
            road = SignedDistance(_around(read_map(map_).road.open.buffer(ROOM), situations), cell=CELL)
            for run, model in models.items():
                rows += _rows(Path(run).name, model, Path(map_).stem, situations, road, arguments.samples, advance)
    record = {
        "schema": files.SCHEMA,
        "what": "guided scenes, shares over draws of feasible scenes; realism: distances to the simulation going on",
        "scenes": arguments.scenes,
        "samples": arguments.samples,
        "seeds": {"first": FIRST_SEED, "count": arguments.scenes},
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    _draw(first, arguments)
    console.print(f"written: {arguments.out} and {arguments.picture}")


def model_of(run: str) -> SceneModel:
    """The scene model of a run."""
    loaded = experiment.load(Path(run))
    control = loaded.experiment.control
    if not isinstance(control, SceneControl):
        raise ValueError(f"{run} predicts {control.describe()}; name a run with control.kind scene.")
    return SceneModel(loaded.predictor, history=control.history, stride=control.stride)


def _situation(map_: str, seed: int, model: SceneModel) -> Situation:
    """A simulation up to the present, and what it does then."""
    env = EnvMaker("embodied/Traffic-v0", {"map": map_, "agents": model.agents}, ("envs",))()
    expert = expert_of(env)
    seen = [env.reset(seed=seed)[0]]
    expert.reset(seed)
    for _ in range(BEFORE + model.horizon * model.stride):
        seen.append(env.step(expert.act(seen[-1]))[0])
    env.close()
    observations = torch.from_numpy(np.stack(seen)).float()
    future = observations[BEFORE :: model.stride, : model.agents * STATE].unflatten(-1, (model.agents, STATE))
    return Situation(seed, observations[None, BEFORE + 1 - model.seen : BEFORE + 1], future.transpose(0, 1)[None])


def _around(region: shapely.Geometry, situations: list[Situation]) -> shapely.Geometry:
    """The part of a road where vehicles of the situations may come to [m]: a grid of all of it would be large."""
    places = torch.cat([situation.truth[..., 0, :2].flatten(0, 1) for situation in situations])
    places = places[places.abs().sum(-1) > 0]
    low, high = places.amin(0) - REACH, places.amax(0) + REACH
    return region.intersection(shapely.box(*low.tolist(), *high.tolist()))


def _rows(
    run: str,
    model: SceneModel,
    map_: str,
    situations: list[Situation],
    road: SignedDistance,
    samples: int,
    advance: Callable[[str], None],
) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for situation in situations:
        free = model.draw(situation.seen, FREE, generator=draws.generator(1, situation.seed)).scenes
        for rule in rules_of(free):
            found.setdefault(rule.name, []).append(_asked(model, situation, rule, road, free[:, :samples], samples))
        advance(f"{run}, {map_}")
    return [_row(run, map_, name, answers, situations, road, model) for name, answers in found.items()]


def _asked(
    model: SceneModel, situation: Situation, rule: Rule, road: SignedDistance, free: Tensor, samples: int
) -> dict[str, Any]:
    """Guided draws of one scene under one rule, beside free ones."""
    constraints = [NoCollision(), OnRoad(road), *rule.constraints]
    guide = guide_of(constraints, [] if rule.cost is None else [rule.cost], scale=2.0)
    generator = draws.generator(2, situation.seed)
    drawn = model.draw(situation.seen, samples, generator=generator, guide=guide)
    return {
        "scenes": drawn.scenes[0],
        "feasible": bool(drawn.feasible.any()),
        "free": free[0],
        "broken": _broken(rule, drawn.scenes),
        "broken_free": _broken(rule, free),
        "different": len(drawn.scenes[0].flatten(1).unique(dim=0)),
        "reward": _reward(rule, drawn.scenes),
        "reward_free": _reward(rule, free),
    }


def _broken(rule: Rule, scenes: Tensor) -> float:
    return float((smallest_margin(list(rule.constraints), scenes) < 0).float().mean())


def _reward(rule: Rule, scenes: Tensor) -> float | None:
    return None if rule.cost is None else float(-rule.cost(scenes).mean())


def _row(
    run: str,
    map_: str,
    rule: str,
    answers: list[dict[str, Any]],
    situations: list[Situation],
    road: SignedDistance,
    model: SceneModel,
) -> dict[str, Any]:
    kept = [answer for answer in answers if answer["feasible"]]
    truth = torch.cat([situation.truth for situation in situations])
    row = {"run": run, "map": map_, "rule": rule, "scenes": len(answers), "infeasible": len(answers) - len(kept)}
    if not kept:
        return {**row, "fail": float("nan"), "rule_broken": float("nan"), "real": float("nan"), "free": {"real": 0.0}}
    measured = _measured([answer["scenes"] for answer in kept], truth, road, model)
    free = _measured([answer["free"] for answer in answers], truth, road, model)
    rewards = [(answer["reward"], answer["reward_free"]) for answer in kept if answer["reward"] is not None]
    return {
        **row,
        **measured,
        "rule_broken": float(np.mean([answer["broken"] for answer in kept])),
        "different": float(np.mean([answer["different"] for answer in kept])),
        "reward": float(np.mean([guided for guided, _ in rewards])) if rewards else None,
        "free": {
            **free,
            "rule_broken": float(np.mean([answer["broken_free"] for answer in answers])),
            "reward": float(np.mean([free for _, free in rewards])) if rewards else None,
        },
    }


def _measured(scenes: list[Tensor], truth: Tensor, road: SignedDistance, model: SceneModel) -> dict[str, float]:
    together = torch.cat(scenes)
    parts: Failures = failures(together, road.region, OnRoad(road))
    motions = realism(together, truth, model.stride * PERIOD)
    return {
        **{name: float(share.mean()) for name, share in parts._asdict().items()},
        **motions._asdict(),
    }


def _draw(model: SceneModel, arguments: Arguments) -> None:
    """Free and guided draws of one scene of the first map, side by side."""
    map_ = arguments.maps[0]
    situation = _situation(map_, FIRST_SEED, model)
    region = read_map(map_).road.open.buffer(ROOM)
    free = model.draw(situation.seen, arguments.samples, generator=draws.generator(1, situation.seed)).scenes[0]
    guide: Guide = guide_of([NoCollision(), OnRoad(region, cell=CELL)])
    generator = draws.generator(2, situation.seed)
    guided = model.draw(situation.seen, arguments.samples, generator=generator, guide=guide).scenes[0]
    figure, axes = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    drawn = {"the simulation": situation.truth, "free": free, "no collision, on the road": guided}
    for axis, (title, scenes) in zip(axes, drawn.items(), strict=True):
        _panel(axis, title, region, scenes)
    Path(arguments.picture).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.picture, dpi=100)
    plt.close(figure)


def _panel(axis: Any, title: str, region: Any, scenes: Tensor) -> None:
    for polygon in getattr(region, "geoms", [region]):
        axis.fill(*polygon.exterior.xy, color="0.9", zorder=0)
        for hole in polygon.interiors:
            axis.fill(*hole.xy, color="white", zorder=0)
    for agent in range(scenes.shape[1]):
        for scene in scenes[:, agent]:
            scene = scene[scene[:, 6] > 0.5]
            axis.plot(scene[:, 0], scene[:, 1], color=f"C{agent}", lw=0.8, alpha=0.6)
        axis.plot(*scenes[0, agent, 0, :2], "o", color=f"C{agent}", ms=4)
    x, y = scenes[0, 0, 0, :2].tolist()
    axis.set(title=title, xlim=(x - 60, x + 60), ylim=(y - 60, y + 60), aspect="equal")


if __name__ == "__main__":
    main()
