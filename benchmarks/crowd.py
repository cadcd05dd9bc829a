"""A robot in a crowd: what a forecast is worth to a planner, in closed loop.

    embodied-gen data crowd --out data/crowd.txt --minutes 15 --people 64 --half 10
    embodied-gen train configs/crowd_mixture.yaml --out runs/crowd-mixture
    python benchmarks/crowd.py runs/crowd-mixture [--episodes 500] [--arms standing oracle]

All arms are MPPI on the robot's own model with the same effort, cost and constraint; they differ in the forecaster, and
one in how far it keeps away:

    standing            no forecast: people stay where they are
    constant velocity   people go on as in the last 0.4 s
    ..., wider          the same, and twice the gap is kept
    learned             draws of RUN, which learned from people without a robot
    oracle              where people go if the robot is not there, from a copy of the simulator; those who walk by
                        social forces give way to the robot, so that this is no bound on what can be reached

With --tracks people are those of a recording, who give way to nobody; the oracle then knows what happens.

Differences are paired, over the same seeds, against constant velocity; the time to the goal is compared where both
arms arrive. Writes benchmarks/results/crowd.json after every group of episodes, and goes on where it was stopped: take
the file away to measure all anew.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import gymnasium
import numpy as np
import records
import torch
import tyro
from torch import Tensor

from embodied_gen import experiment, statistics
from embodied_gen.blocks import ForecastControl
from embodied_gen.commands.console import console
from embodied_gen.control import RecedingHorizon
from embodied_gen.draws import Generator
from embodied_gen.forecasting.baselines import ConstantVelocity, Standing
from embodied_gen.forecasting.forecaster import Forecaster, Observed
from embodied_gen.forecasting.learned import AgentForecaster
from embodied_gen.forecasting.windows import PREDICTED
from embodied_gen.training import files
from envs.crowd import A_MAX, PERSON, ROBOT, V_MAX, CrowdEnv
from envs.crowd_layout import EVERY, CrowdLayout
from envs.social_force import PERIOD
from planners.foreseen import ForeseenPeople
from planners.mppi import MPPI
from planners.omnidirectional import Omnidirectional
from planners.sampling import Effort, Problem

FIRST_SEED = 1_000_000
GROUP = 10  # episodes after which the record is written
EFFORT = Effort(horizon=32, hold=4, actions=4, samples=128, iterations=3, noise=0.5, penalty=5.0, finalists=8)
TEMPERATURE = 0.02  # [s]
GAP, WIDER = 0.3, 0.6  # [m]
DRAWS = 20
BASELINE = "constant velocity"
CAUTIOUS = f"{BASELINE}, wider"


@dataclass
class Arguments:
    """A robot in a crowd."""

    run: tyro.conf.Positional[str]
    """Folder of a trained forecaster."""
    episodes: int = 500
    """Episodes of each arm."""
    arms: tuple[str, ...] = ("standing", BASELINE, CAUTIOUS, "learned", "oracle")
    """Forecasters."""
    pedestrians: int = 24
    """People on the plaza, or slots for those of a recording."""
    tracks: str | None = None
    """Recording to repeat."""
    first_seed: int = FIRST_SEED
    """Of the episodes; 2000000 and above are for development."""
    out: str = "benchmarks/results/crowd.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    if arguments.episodes < 1:
        raise ValueError(f"episodes must be at least 1; got {arguments.episodes}.")
    torch.set_num_threads(1)
    env = CrowdEnv(pedestrians=arguments.pedestrians, tracks=arguments.tracks)
    target = Path(arguments.out)
    record = _begun(target, arguments)
    for last in [*range(GROUP, arguments.episodes, GROUP), arguments.episodes]:
        for arm in arguments.arms:
            done = record["arms"].setdefault(arm, [])
            forecaster, draws = _forecaster(arm, env, arguments.run)
            gap = WIDER if arm == CAUTIOUS else GAP
            agent = RecedingHorizon(planner_of(env, forecaster, draws, gap=gap))
            for seed in range(arguments.first_seed + len(done), arguments.first_seed + last):
                done.append(episode(env, agent, seed))
        record["rows"] = rows(record["arms"])
        files.write_json(target, record)
        console.print(f"{last} episodes: {'; '.join(map(_said, record['rows']))}", soft_wrap=True)
    console.print(f"written: {arguments.out}")


def _begun(target: Path, arguments: Arguments) -> dict[str, Any]:
    """The record at the target where it is of these people, this run and these versions, or one without episodes."""
    same = {
        "run": Path(arguments.run).name,
        "pedestrians": arguments.pedestrians,
        "tracks": arguments.tracks and Path(arguments.tracks).name,
        "first_seed": arguments.first_seed,
        "effort": dataclasses.asdict(EFFORT) | {"temperature": TEMPERATURE, "gap": GAP, "draws": DRAWS},
    }
    what = "collisions and times to the goal of a robot in a crowd, by what it knows of people"
    return records.begun(target, what, same=same, kept={"arms": {}}, told={"rows": []})


@final
class Foresight:
    """An oracle; see `CrowdEnv.foreseen`.

    Args:
        env: Where the one scene that is asked about goes on.
    """

    def __init__(self, env: CrowdEnv):
        self.env = env

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N equal futures, shape `(1, n, A, 12, 2)`."""
        future = torch.from_numpy(self.env.foreseen(PREDICTED)).to(observed.tracks)
        return future.expand(1, n, -1, -1, -1)


def _forecaster(arm: str, env: CrowdEnv, run: str) -> tuple[Forecaster, int]:
    """What an arm knows, and how many draws it takes."""
    makers: dict[str, Callable[[], Forecaster]] = {
        "standing": Standing,
        BASELINE: ConstantVelocity,
        CAUTIOUS: ConstantVelocity,
        "learned": lambda: learned(run),
        "oracle": lambda: Foresight(env),
    }
    if arm not in makers:
        raise ValueError(f"arms must be of {', '.join(makers)}; got {arm!r}.")
    return makers[arm](), DRAWS if arm == "learned" else 1


def learned(run: str) -> Forecaster:
    """The forecaster of a run."""
    found = experiment.load(Path(run))
    control = found.experiment.control
    if not isinstance(control, ForecastControl):
        raise ValueError(
            f"{run} is no forecaster, it has control.kind {control.kind}; train configs/crowd_mixture.yaml."
        )
    return AgentForecaster(found.predictor, neighbours=control.neighbours)


def planner_of(env: CrowdEnv, forecaster: Forecaster, draws: int, *, gap: float = GAP) -> MPPI:
    """The planner, with a forecaster of people."""
    seen = ForeseenPeople(forecaster, _people(env.layout), draws=draws, radius=ROBOT + PERSON, gap=gap, every=EVERY)
    problem = Problem(
        Omnidirectional(speed=V_MAX, acceleration=A_MAX, period=PERIOD),
        time_to_go,
        state=range(4),
        goal=(4, 5),
        low=(-1.0, -1.0),
        high=(1.0, 1.0),
        seen=seen,
    )
    return MPPI(problem, EFFORT, temperature=TEMPERATURE)


def time_to_go(states: Tensor, actions: Tensor, goal: Tensor) -> Tensor:
    """Mean time that is left to the goal at full speed [s], `(M,)`."""
    return (states[..., :2] - goal.unsqueeze(1)).norm(dim=-1).mean(1) / V_MAX


def _people(layout: CrowdLayout) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def people(observed: Tensor) -> tuple[Tensor, Tensor]:
        plain = observed.cpu().numpy()
        return (
            torch.from_numpy(layout.tracks(plain)).to(observed),
            torch.from_numpy(layout.present(plain)).to(observed.device),
        )

    return people


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
    """Rates, times and differences of each arm over the episodes that all have."""
    count = min(len(done) for done in arms.values())
    cut = {arm: done[:count] for arm, done in arms.items()}
    return [_row(arm, done, cut.get(BASELINE)) for arm, done in cut.items()]


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
    return row if base is None or arm == BASELINE else row | _against(done, base)


def _against(done: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    """Paired differences from the baseline: collisions, and times where both arrive."""
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
