"""Ways that `plan` draws over a map: the demonstration on it, the true cost, and the learned cost with its own ways."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import gymnasium as gym
import numpy as np
import torch

from embodied_gen import draws, pictures
from embodied_gen.commands.console import console
from embodied_gen.commands.task import surroundings_of
from embodied_gen.demos.collect import expert_of
from embodied_gen.experiment import Run
from embodied_gen.heads import Certified, HasCostMap
from embodied_gen.training import files
from envs.terrain_site import TerrainSite
from envs.terrain_view import colours
from planners.guides import GuideFile, smallest_margin

_SHOWN = 6  # ways in the picture


@final
class MapPlans:
    """Ways over the map of one episode.

    Args:
        run: With control.kind whole_way.
        env: Its environment, with a `site`.
        seed: Of the episode and of the draws.
        n: Ways to draw.

    Raises:
        ValueError: If the environment has no maps, or the head no costs.
    """

    def __init__(self, run: Run, env: gym.Env, seed: int, n: int):
        if not isinstance(run.predictor.head, HasCostMap):
            raise ValueError(
                f"{run.folder} draws ways without a cost map: its head is {run.experiment.head.kind}. "
                "Name a run whose head is max_ent, margin or learch."
            )
        observation, _ = env.reset(seed=seed)
        site = getattr(env.unwrapped, "site", None)
        if not isinstance(site, TerrainSite):
            raise ValueError(
                f"{run.experiment.task[0].id} has no maps to draw ways on; choose one that has, as TerrainWay."
            )
        self.run, self.env, self.seed, self.n, self.site = run, env, seed, n, site
        device = run.predictor.head.event.low.device
        self._head, self._seen = run.predictor.head, torch.from_numpy(np.asarray(observation)).to(device)[None, None]
        self._shown = np.asarray(expert_of(env).act(observation), np.float64).reshape(-1, 2)

    def write(self, file: GuideFile | None, target: Path) -> None:
        """Writes the picture, and beside it a JSON of the ways and what holds of them."""
        around = surroundings_of(self.env)
        guide, constraints = (None, []) if file is None else file.build(around.period, free=around.free)
        generator = draws.generator(self.seed, device=self._seen.device)
        with torch.no_grad():
            ways = self.run.predictor.sample(self._seen, self.n, generator=generator, guide=guide)
            costs = self._head.cost_map(self.run.predictor.encoder(self._seen))[0].cpu().numpy()
        holds = Certified.of(ways, smallest_margin(constraints, ways)).feasible[0].tolist()
        pictures.save(self._picture(costs, ways[0].cpu().numpy()), target)
        record = {
            "schema": files.SCHEMA,
            "run": self.run.experiment.name,
            "seed": self.seed,
            "constraints": [constraint.name for constraint in constraints],
            "demonstration": self._shown.tolist(),
            "ways": ways[0].tolist(),
            "feasible": holds,
        }
        files.write_json(target.with_suffix(".json"), record)
        if constraints:
            console.print(f"{sum(holds)} of {self.n} ways satisfy all constraints")
        console.print(f"written: {target} and {target.with_suffix('.json').name}", soft_wrap=True)

    def _picture(self, costs: np.ndarray, ways: np.ndarray) -> Any:
        terrain = self.site.terrain
        rows, columns = terrain.shape
        extent = (0.0, columns * terrain.cell, 0.0, rows * terrain.cell)
        middles = terrain.centres_of(np.moveaxis(np.indices(terrain.shape), 0, -1)).reshape(-1, 2)
        true = self.site.costs_at(middles).reshape(terrain.shape)
        shown: dict[str, np.ndarray] = {"demonstration": self._shown}
        learned = {f"draw {number + 1}": way for number, way in enumerate(ways[:_SHOWN])}
        panels: dict[str, tuple[np.ndarray, Sequence[float], Mapping[str, np.ndarray]]] = {
            "demonstration on its map": (colours(terrain), extent, shown),
            "true cost": (true, extent, shown),
            "learned cost": (costs, extent, learned),
        }
        return pictures.rasters(panels)
