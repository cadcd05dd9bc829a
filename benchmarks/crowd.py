"""A robot in a crowd: what a forecast is worth to a planner, in closed loop.

    embodied-gen data crowd --out data/crowd.txt --minutes 15 --people 64 --half 10
    embodied-gen train configs/crowd_mixture.yaml --out runs/crowd-mixture
    embodied-gen collect configs/crowd_ways.yaml
    embodied-gen train configs/crowd_ways.yaml --out runs/crowd-ways
    python benchmarks/crowd.py runs/crowd-mixture --ways runs/crowd-ways [--episodes 500] [--arms standing oracle]

Arms are MPPI on the robot's own model with the same effort, cost and constraint; they differ in the forecaster, and one
in how far it keeps away:

    standing            no forecast: people stay where they are
    constant velocity   people go on as in the last 0.4 s
    ..., wider          the same, and twice the gap is kept
    learned             draws of RUN, which learned from people without a robot
    oracle              where people go if the robot is not there, from a copy of the simulator; those who walk by
                        social forces give way to the robot, so that this is no bound on what can be reached

and two that follow ways of WAYS, a run that learned how an expert crosses a plaza with hardly anybody on it:

    learned ways, no forecast           nobody is seen
    guided sampling, learned forecast   draws of RUN are a constraint on the ways that are drawn, which training never
                                        saw: at most a tenth of the draws may collide

With --tracks people are those of a recording, who give way to nobody; the oracle then knows what happens.

Differences are paired, over the same seeds, against constant velocity; the time to the goal is compared where both
arms arrive. Writes benchmarks/results/crowd.json, or crowd_replayed_NAME.json beside it of a recording, after every ten
episodes of an arm, and goes on where it was stopped. Episodes of an arm whose run is another one by now are measured
anew; take the file away to measure all anew. 500 episodes take a thread of a server about six minutes for an arm
without a network, fifteen for learned, three for the ways alone and fifty for guided sampling.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import records
import torch
import tyro
from crowd_arms import BASELINE, DRAWS, EFFORT, GAP, NAMES, TEMPERATURE, Arm, arm_of

from embodied_gen import statistics
from embodied_gen.commands.console import console
from embodied_gen.control import RecedingHorizon
from embodied_gen.training import files
from envs.crowd import CrowdEnv
from envs.track_replay import Recording

FIRST_SEED = 1_000_000
GROUP = 10  # episodes after which the record is written
PEOPLE = 24


@dataclass
class Arguments:
    """A robot in a crowd."""

    run: tyro.conf.Positional[str]
    """Folder of a trained forecaster."""
    ways: str = "runs/crowd-ways"
    """Folder of a trained planner of ways; only arms of ways read it."""
    episodes: int = 500
    """Episodes of each arm."""
    arms: tuple[str, ...] = NAMES
    """What acts, one after the other."""
    pedestrians: int | None = None
    """People on the plaza, 24 where not given, or slots for those of a recording, as many as it needs."""
    tracks: str | None = None
    """Recording to repeat."""
    first_seed: int = FIRST_SEED
    """Of the episodes; 2000000 and above are for development."""
    out: str | None = None
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    if arguments.episodes < 1:
        raise ValueError(f"episodes must be at least 1; got {arguments.episodes}.")
    torch.set_num_threads(1)
    env = gymnasium.make("embodied/Crowd-v0", pedestrians=_people(arguments), tracks=arguments.tracks)
    plaza = env.unwrapped
    assert isinstance(plaza, CrowdEnv)
    arms = {name: arm_of(name, plaza, Path(arguments.run), Path(arguments.ways)) for name in arguments.arms}
    target = _target(arguments)
    record = begun(target, arguments, arms)
    for name, arm in arms.items():
        done = record["arms"].setdefault(name, [])
        agent = None if len(done) >= arguments.episodes else RecedingHorizon(arm.make())
        while agent is not None and len(done) < arguments.episodes:
            last = min(len(done) + GROUP, arguments.episodes)
            done += [episode(env, agent, arguments.first_seed + number) for number in range(len(done), last)]
            record["rows"] = rows(record["arms"])
            files.write_json(target, record)
            console.print(_said(next(row for row in record["rows"] if row["arm"] == name)), soft_wrap=True)
    console.print(f"written: {target}")


def _people(arguments: Arguments) -> int:
    """Slots of an observation."""
    if arguments.pedestrians is not None:
        return arguments.pedestrians
    return PEOPLE if arguments.tracks is None else Recording(arguments.tracks).crowd


def _target(arguments: Arguments) -> Path:
    name = "crowd" if arguments.tracks is None else f"crowd_replayed_{Path(arguments.tracks).stem}"
    return Path(arguments.out or f"benchmarks/results/{name}.json")


def begun(target: Path, arguments: Arguments, arms: dict[str, Arm]) -> dict[str, Any]:
    """The record at the target where it is of these people and these versions, or one without episodes.

    Episodes of arms that are asked for go on where they are of the same runs and settings.
    """
    tracks = None if arguments.tracks is None else Path(arguments.tracks)
    same = {
        "pedestrians": _people(arguments),
        "tracks": tracks and tracks.name,
        "tracks_digest": tracks and records.digest(tracks),
        "first_seed": arguments.first_seed,
        "effort": dataclasses.asdict(EFFORT) | {"temperature": TEMPERATURE, "gap": GAP, "draws": DRAWS},
    }
    what = "collisions and times to the goal of a robot in a crowd, by what it knows of people"
    record = records.begun(target, what, same=same, kept={"rows": [], "arms": {}, "identities": {}})
    for name, arm in arms.items():
        identity = arm.identity()
        if record["arms"].get(name) and record["identities"].get(name, {}) != identity:
            console.print(f"{name}: its episodes are of another run, and are measured anew", soft_wrap=True)
            record["arms"][name] = []
        record["identities"][name] = identity
    return record


def episode(env: gymnasium.Env[Any, Any], agent: RecedingHorizon, seed: int) -> dict[str, Any]:
    """What came of one episode."""
    observation, info = env.reset(seed=seed)
    agent.reset(seed)
    ended = False
    while not ended:
        observation, _, terminated, truncated, info = env.step(agent.act(observation))
        ended = terminated or truncated
    return {
        "seed": seed,
        "collision": info["collision"],
        "time": info["time_to_goal"] if info["is_success"] else None,
        "closest": info["closest"],
    }


def rows(arms: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rates and times of each arm, and differences over the episodes that the baseline has too."""
    return [_row(arm, done, arms.get(BASELINE)) for arm, done in arms.items() if done]


def _row(arm: str, done: list[dict[str, Any]], base: list[dict[str, Any]] | None) -> dict[str, Any]:
    collisions = sum(one["collision"] for one in done)
    times = [one["time"] for one in done if one["time"] is not None]
    row = {
        "arm": arm,
        "episodes": len(done),
        "collisions": collisions,
        "collision_interval": list(statistics.wilson(collisions, len(done))),
        "late": len(done) - collisions - len(times),
        "time": float(np.mean(times)) if times else None,
        "time_interval": _interval(times),
    }
    return row if not base or arm == BASELINE else row | _against(done, base)


def _against(done: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    """Paired differences from the baseline: collisions, and times where both arrive."""
    count = min(len(done), len(base))
    done, base = done[:count], base[:count]
    hits = np.array([[one["collision"] for one in arm] for arm in (done, base)], dtype=bool)
    only = [int((hits[0] & ~hits[1]).sum()), int((~hits[0] & hits[1]).sum())]
    both, neither = int(hits.all(0).sum()), int((~hits).all(0).sum())
    arrived = [
        (a["time"], b["time"])
        for a, b in zip(done, base, strict=True)
        if a["time"] is not None and b["time"] is not None
    ]
    return {
        "difference": float(hits[0].mean() - hits[1].mean()),
        "difference_interval": list(statistics.newcombe_paired(both, *only, neither)),
        "only": only,
        "p": statistics.mcnemar(*only),
        "time_difference": float(np.mean([a - b for a, b in arrived])) if arrived else None,
        "time_difference_interval": _interval([a - b for a, b in arrived]),
    }


def _interval(values: list[float]) -> list[float] | None:
    return list(statistics.bootstrap_mean(values, rng=np.random.default_rng(0))) if len(values) > 1 else None


def _said(row: dict[str, Any]) -> str:
    time = "-" if row["time"] is None else f"{row['time']:.2f} s"
    return f"{row['arm']} {row['collisions']} of {row['episodes']} collide, {row['late']} late, {time}"


if __name__ == "__main__":
    main()
