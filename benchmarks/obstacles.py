"""Unseen obstacles: what planning under constraints that training never saw does to collisions and to scores.

    python benchmarks/obstacles.py [--maze umaze] [--layouts 20]

Obstacles are dropped into a maze after training (`layouts`), one layout for every ten episodes. The simulator does not
hold them, so a collision is measured and not felt: a rollout collides if the ball, swept along all segments of its
path, touches an obstacle, by exact geometry; a plan collides if its way would, at its way-points or swept.

All methods share the trained planner, its candidates, durations, ranking and course, obstacles that are grown by the
ball and a buffer, and the learned inverse dynamics, asked for velocities that lead back to the plan. They differ in
what becomes of the obstacles:

    none                nothing: the same seeds in a world without obstacles
    noisy mean, DPS     the gradient of the energy of obstacles and walls steers every draw; the quickest way that
                        arrives is followed, within walls, and these are read at its way-points
    projection          the same, with way-points pushed out of obstacles and walls after every step of a draw
    best of n           free draws; the quickest that arrives within walls and obstacles, read at its way-points
    ours                free draws, certified along the whole way; where none holds, particles, certified again

Nothing certifies the peers' ways, as their papers do not; a strength of each is chosen on other layouts and seeds, by
the fewest rollouts that collide and then by the score. Scores are ratios to those of "none" on the same seeds.

Writes benchmarks/results/obstacles_MAZE.json, after every layout, and where it is asked for a picture. What the file
holds of the same seeds is kept: take it away to measure all anew.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import layouts
import mazes
import numpy as np
import peers
import records
import shapely
import torch
import tyro
from layouts import RADIUS, Layout
from peers import EPISODES, NONE, OURS, PEERS, Method, World
from recorded import Recorded, Track

import envs  # noqa: F401 - registers the environments
from embodied_gen import pictures, statistics
from embodied_gen.commands.console import console
from embodied_gen.rollouts import Episode, rollouts
from embodied_gen.slots import Slots, make_slots
from embodied_gen.training import files
from envs.pointmaze import GOAL_RADIUS
from planners.guided import GuidedPlanner
from planners.regions import outlines

FIRST_SEED, FIRST_TUNING_SEED = 1_020_000, 2_000_000
SPAN = 100  # seeds from which the episodes of a layout are taken
NUMBERS = {"umaze": (1, 2), "medium": (2, 3), "large": (3,)}  # of obstacles


@dataclass
class Arguments:
    """Unseen obstacles in mazes."""

    maze: str = "umaze"
    """umaze, medium or large."""
    layouts: int = 20
    """Layouts of the test, of ten episodes each."""
    tuning: int = 2
    """Layouts on which the peers' strengths are chosen."""
    work: str = "runs/maze2d"
    """Folder of runs."""
    out: str | None = None
    """Record to write."""
    picture: str | None = None
    """Picture of first plans to write, such as docs/images/obstacles.png."""


@dataclass(frozen=True)
class Group:
    """Episodes that share a layout."""

    layout: Layout
    seeds: list[int]


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    maze, target = arguments.maze, Path(arguments.out or f"benchmarks/results/obstacles_{arguments.maze}.json")
    record = _begun(target, arguments.layouts * EPISODES)
    with make_slots(mazes.maker_of(maze), EPISODES, 1) as slots:
        world = _world(maze, Path(arguments.work))
        tuning = _groups(world, slots, arguments.tuning, FIRST_TUNING_SEED)
        test = _groups(world, slots, arguments.layouts, FIRST_SEED)
        if arguments.picture:
            _draw(world, slots, test, Path(arguments.picture))
        for method in (NONE, OURS, *PEERS):
            if method.name in [row["method"] for row in record["rows"]]:
                continue
            strength = _strength(world, slots, method, tuning, record["tuning"])
            runs = _continued(world, slots, method, strength, test, record, target)
            free = _returns(runs) if method is NONE else record["rows"][0]["returns"]
            record["rows"].append(_row(maze, method, strength, runs, free))
            record["begun"] = None
            files.write_json(target, record)
            console.print(_shown(record["rows"][-1]))
    console.print(f"written: {target}")


def _begun(target: Path, episodes: int) -> dict[str, Any]:
    """The record at the target where it is of these seeds and this buffer, or one without rows."""
    same = {"seeds": {"first": FIRST_SEED, "count": episodes}, "buffer": peers.BUFFER}
    what = "collisions with obstacles that training never saw, and scores over those without obstacles"
    return records.begun(target, what, same=same, kept={"rows": [], "tuning": [], "begun": None})


def _shown(row: dict[str, Any]) -> str:
    return (
        f"{row['maze']}, {row['method']}: {row['rollouts_collide']} of {row['rollouts']} rollouts collide, "
        f"{row['collide_swept']} of {row['plans']} plans, score kept {row['kept']:.2f}"
    )


def _world(maze: str, work: Path) -> World:
    run, _ = mazes.trained_planner(maze, work)
    free = mazes.free_cells(maze)
    return World(maze, run, mazes.trained_inverse(maze, work), free, mazes.walls(free))


def _groups(world: World, slots: Slots, count: int, seed: int) -> list[Group]:
    """Layouts, each with the first ten seeds of a hundred whose starts fit it."""
    goal = slots.reset([0], [seed])[0][list(mazes.GOAL)]
    drawn = layouts.layouts(world.free, goal, NUMBERS[world.maze], seed)
    groups: list[Group] = []
    while len(groups) < count:
        layout, first = next(drawn), seed + SPAN * len(groups)
        starts = np.stack([slots.reset([0], [first + index])[0][:2] for index in range(SPAN)])
        ways = np.array([mazes.middle_way(world.maze, start, goal) for start in starts])
        seeds = [first + int(index) for index in np.flatnonzero(layouts.fit(layout, starts, ways))[:EPISODES]]
        if len(seeds) == EPISODES:
            groups.append(Group(layout, seeds))
    return groups


def _run(world: World, slots: Slots, method: Method, strength: float, groups: list[Group]) -> list[dict[str, Any]]:
    """What happened in the episodes of each group."""
    return [_run_group(world, slots, method, strength, group) for group in groups]


def _continued(
    world: World,
    slots: Slots,
    method: Method,
    strength: float,
    groups: list[Group],
    record: dict[str, Any],
    target: Path,
) -> list[dict[str, Any]]:
    """What happened in each group, of which the record may hold the first; it is written after each of the others."""
    begun = {"method": method.name, "strength": strength, "runs": []}
    if record["begun"] and all(record["begun"][key] == begun[key] for key in ("method", "strength")):
        begun = record["begun"]
    record["begun"] = begun
    for group in groups[len(begun["runs"]) :]:
        begun["runs"].append(_run_group(world, slots, method, strength, group))
        files.write_json(target, record)
    return begun["runs"]


def _tracks(
    world: World, slots: Slots, method: Method, strength: float, group: Group
) -> tuple[list[Episode], list[Track], GuidedPlanner]:
    """Episodes of a group, where they went, and what planned them."""
    planner = method.make(world, group.layout, strength)
    agent = Recorded(planner, world.run.predictor.head.event.shape[0] - 1)
    episodes = rollouts(agent, slots, group.seeds)
    return episodes, [agent.tracks[seed] for seed in group.seeds], planner


def _run_group(world: World, slots: Slots, method: Method, strength: float, group: Group) -> dict[str, Any]:
    episodes, tracks, planner = _tracks(world, slots, method, strength, group)
    plans = [plan for track in tracks for plan in track.plans]
    swept, at_points = ([kind(plan) for plan in plans] for kind in (shapely.LineString, shapely.MultiPoint))
    paths = np.array([shapely.LineString(track.path()) for track in tracks])
    return {
        "returns": [episode.sum_reward for episode in episodes],
        "room": (group.layout.distance(paths) - RADIUS).tolist(),
        "plans": len(plans),
        "collide_points": int((group.layout.distance(np.array(at_points)) < RADIUS).sum()),
        "collide_swept": int((group.layout.distance(np.array(swept)) < RADIUS).sum()),
        "replans": planner.plans,
        "infeasible": planner.infeasible,
    }


def _strength(world: World, slots: Slots, method: Method, groups: list[Group], tried: list[dict[str, Any]]) -> float:
    """The best of a method's strengths, on groups that are not tested."""
    if len(method.strengths) == 1:
        return method.strengths[0]
    rows = [row for row in tried if row["method"] == method.name]
    if not rows:
        free = _returns(_run(world, slots, NONE, 0.0, groups))
        rows = [_row(world.maze, method, s, _run(world, slots, method, s, groups), free) for s in method.strengths]
        tried.extend(rows)
    best = min(rows, key=lambda row: (row["rollouts_collide"], -row["kept"]))
    return float(best["strength"])


def _row(maze: str, method: Method, strength: float, runs: list[dict[str, Any]], free: list[float]) -> dict[str, Any]:
    returns = _returns(runs)
    scores, free_scores = (mazes.scores(part, mazes.REFERENCES[maze]) for part in (returns, free))
    room = np.array([value for run in runs for value in run["room"]])
    total = {key: sum(run[key] for run in runs) for key in runs[0] if isinstance(runs[0][key], int)}
    collide = int((room < 0).sum())
    return {
        "maze": maze,
        "method": method.name,
        "strength": strength,
        "rollouts": len(room),
        "rollouts_collide": collide,
        "rollouts_interval": list(statistics.wilson(collide, len(room))),
        "least_room": float(room.min()),
        **total,
        "swept_interval": list(statistics.wilson(total["collide_swept"], total["plans"])),
        **mazes.summary(scores),
        "kept": float(scores.mean() / free_scores.mean()),
        "returns": returns,
    }


def _returns(runs: list[dict[str, Any]]) -> list[float]:
    return [value for run in runs for value in run["returns"]]


def _draw(world: World, slots: Slots, groups: list[Group], path: Path) -> None:
    """First plans without obstacles in the limits, and ours, of the group whose layout has most obstacles."""
    group = max(groups, key=lambda each: len(each.layout.obstacles))
    drawn = [outlines(world.free), outlines(group.layout.grown(0.0))]
    goal = slots.reset([0], group.seeds[:1])[0][list(mazes.GOAL)].tolist()
    scene = {
        "bounds": [world.free.bounds[::2], world.free.bounds[1::2]],
        "lines": [line for part in drawn for line in part["lines"]],
        "discs": [{"role": "goal", "centre": goal, "radius": GOAL_RADIUS}],
    }
    plans = {
        title: _of_one_length([track.plans[0] for track in _tracks(world, slots, method, 0.0, group)[1]])
        for title, method in (("free", NONE), ("around unseen obstacles", OURS))
    }
    apart = {title: group.layout.distance(shapely.linestrings(each)) >= RADIUS for title, each in plans.items()}
    pictures.save(pictures.plans(scene, plans, apart), path)


def _of_one_length(plans: list[np.ndarray]) -> np.ndarray:
    """Plans whose last way-point is repeated where they are shorter: a stop has fewer."""
    most = max(map(len, plans))
    return np.stack([np.pad(plan, ((0, most - len(plan)), (0, 0)), mode="edge") for plan in plans])


if __name__ == "__main__":
    main()
