"""Maze2D: plans in a point maze, followed by learned inverse dynamics or by a hand-made tracker.

    python benchmarks/maze2d.py [--maze umaze] [--episodes 100]

Collects a million steps of D4RL's controller, which is slow, trains a planner and inverse dynamics on them, and plans
in closed loop on fresh seeds. The planner knows the map and the largest acceleration; it never saw a fast way. Scores
are normalised with D4RL's published references (100 is D4RL's controller); the controller is measured here too, as
radius and starts of the simulator differ from D4RL's. Writes benchmarks/results/maze2d_MAZE.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scored
import shapely
import torch
import tyro
import yaml
from torch import Tensor

import envs  # noqa: F401 - registers the environments
from embodied_gen import experiment, provenance, statistics
from embodied_gen.blocks import PlannerControl
from embodied_gen.commands.console import console, progress
from embodied_gen.demos.collect import expert_of, record
from embodied_gen.evaluate import latency
from embodied_gen.rollouts import Episode, rollouts
from embodied_gen.slots import EnvMaker, make_slots
from embodied_gen.training import files
from envs.pointmaze import PointMazeEnv, cell_to_xy
from planners import Constraint, KeepInRegion, SpeedLimit
from planners.execution import Execution, InverseDynamics, Tracker
from planners.guided import GuidedPlanner

REFERENCES = {"umaze": (23.85, 161.86), "medium": (13.13, 277.39), "large": (6.7, 273.99)}  # D4RL's random, controller
STRIDES = {"umaze": 8, "medium": 16, "large": 24}
FIRST_SEED = 1_010_000  # of the test episodes: the limits below were chosen on those from 1,000,000
PERIOD = 0.01  # of a control step [s]
BALL = 0.08  # clearance from walls [m]; the ball has a radius of 0.1 m and may graze them
ACCELERATION = 30.0  # [m/s^2], a quarter more than a force can give along one axis


@dataclass
class Arguments:
    """Maze2D in closed loop."""

    maze: str = "umaze"
    """umaze, medium or large."""
    episodes: int = 100
    """Test episodes."""
    work: str = "runs/maze2d"
    """Folder of runs."""
    out: str | None = None
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    work = Path(arguments.work) / arguments.maze
    planner, seconds = _trained("planner", work, arguments.maze)
    inverse, _ = _trained("inverse", work, arguments.maze)
    maker = EnvMaker("embodied/PointMaze-v0", {"maze": arguments.maze}, ("envs",))
    executions: dict[str, Execution] = {
        "inverse dynamics": InverseDynamics(inverse.predictor, (2, 3), block=32),
        "tracker": Tracker((0, 1), (2, 3), p=10.0, d=1.0),
    }
    rows = [_row(name, _planner(planner, execution, maker), maker, arguments) for name, execution in executions.items()]
    rows.append(_controller(maker, arguments))
    result = {
        "schema": files.SCHEMA,
        "what": "score: return over D4RL's references, 100 for its controller; return counts steps at the goal",
        "maze": arguments.maze,
        "seeds": {"first": FIRST_SEED, "count": arguments.episodes},
        "references": REFERENCES[arguments.maze],
        "training_seconds": seconds,
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    target = Path(arguments.out or f"benchmarks/results/maze2d_{arguments.maze}.json")
    files.write_json(target, result)
    for row in rows:
        low, high = row["score_interval"]
        console.print(f"{row['name']}: score {row['score']:.1f} [{low:.1f}, {high:.1f}]")
    console.print(f"written: {target}")


def _trained(kind: str, work: Path, maze: str) -> tuple[experiment.Run, float]:
    content = yaml.safe_load(Path(f"configs/pointmaze_{kind}.yaml").read_text())
    content["env"]["kwargs"]["maze"] = maze
    content["data"]["dataset"] = f"embodied/pointmaze-{maze}/stream-v0"
    if kind == "planner":
        content["control"]["strides"] = STRIDES[maze]
    path, folder = work / f"{kind}.yaml", work / kind
    files.write_bytes(path, yaml.safe_dump(content, sort_keys=False).encode())
    scored.run(["collect", str(path), "--if-missing"])
    seconds = scored.train(path, folder, seed=0)
    return experiment.load(folder), seconds


def _planner(run: experiment.Run, execution: Execution, maker: EnvMaker) -> GuidedPlanner:
    control = run.experiment.control
    assert isinstance(control, PlannerControl)
    env = maker()
    walls = KeepInRegion(_free(env.unwrapped))
    env.close()

    def limits(period: Tensor) -> Sequence[Constraint]:
        return [walls, SpeedLimit(ACCELERATION, period, channels=(2, 3))]  # of velocities: an acceleration

    return GuidedPlanner(
        run.predictor,
        execution,
        state=control.state,
        goal=control.goal,
        reaches=control.reaches,
        strides=control.strides,
        period=PERIOD,
        limits=limits,
        block=8,
    )


def _free(env: PointMazeEnv) -> shapely.Polygon:
    cells = [cell_to_xy(cell, env.walls) for cell in env.free_cells]
    boxes = [shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in cells]
    return shapely.union_all(boxes).buffer(-BALL, join_style="mitre")


def _row(name: str, agent: GuidedPlanner, maker: EnvMaker, arguments: Arguments) -> dict[str, Any]:
    seeds = [FIRST_SEED + i for i in range(arguments.episodes)]
    with progress(name, len(seeds)) as advance, make_slots(maker, 32, 2) as slots:

        def show(episode: Episode) -> None:
            advance(f"return {episode.sum_reward:.0f}")

        episodes = rollouts(agent, slots, seeds, progress=show)
        first = slots.reset([0], seeds[:1])[0]
    scores = _scores([episode.sum_reward for episode in episodes], arguments.maze)
    timing = latency(agent, first)
    return {
        "name": name,
        **_summary(scores),
        "returns": [episode.sum_reward for episode in episodes],
        "plans": agent.plans,
        "infeasible": agent.infeasible,
        "replan_ms": {"p50": timing["chunk_ms_p50"], "p95": timing["chunk_ms_p95"]},
    }


def _controller(maker: EnvMaker, arguments: Arguments) -> dict[str, Any]:
    env = maker()
    expert = expert_of(env)
    returns = []
    with progress("D4RL's controller", arguments.episodes) as advance:
        for index in range(arguments.episodes):
            returns.append(float(record(env, expert, FIRST_SEED + index).rewards.sum()))
            advance(f"return {returns[-1]:.0f}")
    env.close()
    return {"name": "D4RL's controller, here", **_summary(_scores(returns, arguments.maze)), "returns": returns}


def _scores(returns: Sequence[float], maze: str) -> np.ndarray:
    low, high = REFERENCES[maze]
    return 100 * (np.array(returns) - low) / (high - low)


def _summary(scores: np.ndarray) -> dict[str, Any]:
    interval = statistics.bootstrap_mean(scores, rng=np.random.default_rng(0))
    return {"score": float(scores.mean()), "score_interval": list(interval), "median": float(np.median(scores))}


if __name__ == "__main__":
    main()
