"""Scenes that `plan` draws: how all vehicles of a traffic scene go on, as they are and as a guide wants them.

The present is taken from the environment: a recording of the map's file where it has one, simulated traffic where it
has none, driven by the expert until there is a past for the model to see.
"""

import math
from pathlib import Path
from typing import Any, final

import gymnasium as gym
import numpy as np
import shapely
import torch
from shapely.geometry import MultiPolygon, Polygon

from embodied_gen import draws, pictures
from embodied_gen.blocks import EnvBlock, SceneControl
from embodied_gen.commands.console import console
from embodied_gen.commands.task import surroundings_of
from embodied_gen.demos.collect import expert_of
from embodied_gen.events.scene import STATE
from embodied_gen.experiment import Run
from embodied_gen.heads import Guide
from embodied_gen.training import files
from envs.maps import read_map
from planners.constraints import Constraint
from planners.guides import GuideFile
from planners.scene_model import Drawn, SceneModel
from planners.scenes import VALID

REACH = 150.0  # how far vehicles may come from where they are [m]


def block_of(run: Run, env: EnvBlock, scene: str | None) -> EnvBlock:
    """The environment of a scene file or built-in map; as it is where none is named.

    Raises:
        ValueError: If the run draws no scenes and one is named, or the map cannot be read.
    """
    if scene is None:
        return env
    if not isinstance(run.experiment.control, SceneControl):
        raise ValueError(
            f"--scene names a map for runs that draw scenes; {run.folder} predicts "
            f"{run.experiment.control.describe()}. Leave it out."
        )
    others = "recorded" if read_map(scene).tracks else "idm"
    return env.model_copy(update={"kwargs": {**env.kwargs, "map": scene, "others": others}})


@final
class ScenePlans:
    """Scenes of one present.

    Args:
        run: With control.kind scene.
        env: Its environment.
        seed: Of the episode and of the draws.
        n: Scenes to draw.
    """

    def __init__(self, run: Run, env: gym.Env, seed: int, n: int):
        control = run.experiment.control
        assert isinstance(control, SceneControl)
        self.run, self.env, self.seed, self.n = run, env, seed, n
        self.model = SceneModel(run.predictor, history=control.history, stride=control.stride)
        self.around = surroundings_of(env)
        self.period = control.stride * self.around.period
        self.seen = self._drive(self.model.seen)

    def write(self, file: GuideFile | None, target: Path) -> None:
        """Draws the scenes, with a guide file and without; writes a picture and JSON, and says how many hold."""
        guide, constraints, conflicts = self._wanted(file)
        groups = {"unguided": self._draw(None, constraints)}
        if guide is not None:
            groups["guided"] = self._draw(guide, constraints)
        for conflict in conflicts:
            console.print(
                f"no scene can satisfy: {conflict.removeprefix('infeasible: ')}", soft_wrap=True, markup=False
            )
        if constraints:
            for title, drawn in groups.items():
                count = int(drawn.feasible.sum())
                console.print(f"{title}: {count} of {self.n} scenes satisfy all constraints", soft_wrap=True)
        self._picture(groups, constraints, target)
        files.write_json(target.with_suffix(".json"), self._record(groups, constraints, conflicts))
        console.print(f"written: {target} and {target.with_suffix('.json').name}", soft_wrap=True)

    def _drive(self, steps: int) -> torch.Tensor:
        """Observations of so many steps, `(1, steps, O)`."""
        expert = expert_of(self.env)
        expert.reset(self.seed)
        seen = [self.env.reset(seed=self.seed)[0]]
        while len(seen) < steps:
            seen.append(self.env.step(expert.act(seen[-1]))[0])
        return torch.from_numpy(np.stack(seen)).float()[None]

    def _wanted(self, file: GuideFile | None) -> tuple[Guide | None, list[Constraint], list[str]]:
        if file is None:
            return None, [], []
        guide, constraints = file.of_scenes(self.period, free=self._nearby())
        return guide, constraints, file.model_copy(update={"walls": None}).contradictions(self.period)

    def _nearby(self) -> Polygon | MultiPolygon | None:
        """The free space that vehicles may come to; a grid of a whole town would be large."""
        if self.around.free is None:
            return None
        present = self.seen[0, -1, : self.model.agents * STATE].view(-1, STATE)
        places = present[present[:, VALID] > 0.5, :2]
        low, high = places.amin(0) - REACH, places.amax(0) + REACH
        return self.around.free.intersection(shapely.box(*low.tolist(), *high.tolist()))

    def _draw(self, guide: Guide | None, constraints: list[Constraint]) -> Drawn:
        generator = draws.generator(self.seed, device=self.model.device)
        drawn = self.model.draw(self.seen, self.n, generator=generator, guide=guide)
        return drawn if guide is not None else drawn.judged(constraints)

    def _picture(self, groups: dict[str, Drawn], constraints: list[Constraint], target: Path) -> None:
        describe = getattr(self.env.unwrapped, "scene", None)
        scene = None if describe is None else {**describe()}
        first = groups["unguided"].scenes
        there = (first[0, 0, :, 0, VALID] > 0.5).nonzero()[:, 0]
        if scene is not None:
            for constraint in constraints:
                for kind, shapes in constraint.shapes().items():
                    scene[kind] = [*scene.get(kind, []), *shapes]
            x, y = first[0, 0, 0, 0, :2].tolist()
            scene["bounds"] = ((x - 60, x + 60), (y - 60, y + 60))
        paths = {title: _joined(drawn.scenes[0][:, there, :, :2]) for title, drawn in groups.items()}
        holds = {title: drawn.feasible[0].cpu().numpy() for title, drawn in groups.items()}
        pictures.save(pictures.plans(scene, paths, holds), target)

    def _record(self, groups: dict[str, Drawn], constraints: list[Constraint], conflicts: list[str]) -> dict[str, Any]:
        return {
            "schema": files.SCHEMA,
            "run": self.run.experiment.name,
            "seed": self.seed,
            "period": self.period,
            "columns": ["x", "y", "heading", "speed", "length", "width", "valid"],
            "constraints": [constraint.name for constraint in constraints],
            "contradictions": conflicts,
            "groups": {
                title: {
                    "feasible": drawn.feasible[0].tolist(),
                    "margin": [value if math.isfinite(value) else None for value in drawn.margin[0].tolist()],
                    "plans": drawn.scenes[0].tolist(),
                }
                for title, drawn in groups.items()
            },
        }


def _joined(ways: torch.Tensor) -> np.ndarray:
    """The ways of all vehicles of a scene as one line with gaps, `(n, A, T, 2)` to `(n, A (T + 1), 2)`."""
    gap = torch.full_like(ways[:, :, :1], math.nan)
    return torch.cat([ways, gap], 2).flatten(1, 2).cpu().numpy()
