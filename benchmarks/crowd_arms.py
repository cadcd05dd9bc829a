"""Arms of the crowd benchmark: planners on the robot's model, and planners of ways, by what they know of people.

Planners on the model are MPPI with the same effort, cost and constraint. Planners of ways follow a learned run and know
the robot's speed; where they foresee people, these enter as a constraint that training never saw.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import records
import torch
from torch import Tensor

from embodied_gen import experiment
from embodied_gen.blocks import ForecastControl, PlannerControl
from embodied_gen.control import Agent
from embodied_gen.draws import Generator
from embodied_gen.forecasting.baselines import ConstantVelocity, Standing
from embodied_gen.forecasting.forecaster import Forecaster, Observed
from embodied_gen.forecasting.learned import AgentForecaster
from embodied_gen.forecasting.windows import PREDICTED
from embodied_gen.training import checkpoint
from envs.crowd import A_MAX, PERSON, ROBOT, V_MAX, CrowdEnv
from envs.crowd_layout import EVERY, CrowdLayout
from envs.social_force import PERIOD
from planners import SpeedLimit
from planners.execution import Tracker
from planners.foreseen import ForeseenPeople
from planners.guided import GuidedPlanner
from planners.guided import planner_of as guided_planner_of
from planners.mppi import MPPI
from planners.omnidirectional import Omnidirectional
from planners.sampling import Effort, Problem
from planners.seen import Seen, nothing

EFFORT = Effort(horizon=32, hold=4, actions=4, samples=128, iterations=3, noise=0.5, penalty=5.0, finalists=8)
TEMPERATURE = 0.02  # [s]
GAP, WIDER = 0.3, 0.6  # [m]
DRAWS = 20
ALLOWED = 0.1  # chance of a collision that a way may have; penalties weigh it, a planner of ways obeys or refuses
FASTER = 1.02  # a way may be this much faster than the robot, which shortens what is asked of it
BASELINE = "constant velocity"
CAUTIOUS = f"{BASELINE}, wider"
WAYS, GUIDED = "learned ways, no forecast", "guided sampling, learned forecast"
NAMES = ("standing", BASELINE, CAUTIOUS, "learned", "oracle", WAYS, GUIDED)


@final
@dataclass(frozen=True)
class Arm:
    """What acts, and what its episodes depend on besides the settings that all share.

    Attributes:
        make: Makes the agent.
        runs: Folders of runs, by what they are of.
        settings: Plain numbers.
    """

    make: Callable[[], Agent]
    runs: dict[str, Path] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Settings, and digests of configs and weights of the runs: episodes of another identity are others.

        Raises:
            FileNotFoundError: If a folder is not a run.
        """
        return self.settings | {name: _digest(folder) for name, folder in self.runs.items()}


def arm_of(name: str, env: CrowdEnv, forecaster: Path, ways: Path) -> Arm:
    """An arm.

    Args:
        name: One of `NAMES`.
        env: Where it acts.
        forecaster: Folder of a trained forecaster.
        ways: Folder of a trained planner of ways.

    Raises:
        ValueError: If there is no such arm.
    """

    def on_model(made: Callable[[], Forecaster], draws: int = 1, gap: float = GAP) -> Callable[[], Agent]:
        return lambda: planner_of(env, made(), draws, gap=gap)

    arms = {
        "standing": Arm(on_model(Standing)),
        BASELINE: Arm(on_model(ConstantVelocity)),
        CAUTIOUS: Arm(on_model(ConstantVelocity, gap=WIDER)),
        "learned": Arm(on_model(lambda: learned(forecaster), DRAWS), {"forecaster": forecaster}),
        "oracle": Arm(on_model(lambda: Foresight(env))),
        WAYS: Arm(lambda: planner_of_ways(ways), {"ways": ways}),
        GUIDED: Arm(
            lambda: planner_of_ways(
                ways, foreseen(env, learned(forecaster), DRAWS, allowed=ALLOWED, most=math.inf), EFFORT.horizon
            ),
            {"forecaster": forecaster, "ways": ways},
            {"allowed": ALLOWED},
        ),
    }
    if name not in arms:
        raise ValueError(f"arms must be of {', '.join(arms)}; got {name!r}.")
    return arms[name]


def _digest(folder: Path) -> str:
    experiment.load_config(folder)  # says what is missing
    return records.digest(folder / "config.json", checkpoint.model_path(folder))


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


def learned(run: Path) -> Forecaster:
    """The forecaster of a run.

    Raises:
        ValueError: If it is of something else.
    """
    found = experiment.load(run)
    control = found.experiment.control
    if not isinstance(control, ForecastControl):
        raise ValueError(
            f"{run} is no forecaster, it has control.kind {control.kind}; train configs/crowd_mixture.yaml."
        )
    return AgentForecaster(found.predictor, neighbours=control.neighbours)


def foreseen(
    env: CrowdEnv, forecaster: Forecaster, draws: int, *, gap: float = GAP, allowed: float = 0.0, most: float = 1.0
) -> ForeseenPeople:
    """What a planner sees of people, by a forecaster of them."""
    return ForeseenPeople(
        forecaster,
        _people(env.layout),
        draws=draws,
        radius=ROBOT + PERSON,
        gap=gap,
        every=EVERY,
        allowed=allowed,
        most=most,
    )


def planner_of(env: CrowdEnv, forecaster: Forecaster, draws: int, *, gap: float = GAP) -> MPPI:
    """The planner on the robot's model, with a forecaster of people."""
    problem = Problem(
        Omnidirectional(speed=V_MAX, acceleration=A_MAX, period=PERIOD),
        time_to_go,
        state=range(4),
        goal=(4, 5),
        low=(-1.0, -1.0),
        high=(1.0, 1.0),
        seen=foreseen(env, forecaster, draws, gap=gap),
    )
    return MPPI(problem, EFFORT, temperature=TEMPERATURE)


def planner_of_ways(run: Path, seen: Seen = nothing, ahead: int = 1) -> GuidedPlanner:
    """The planner of a run that learned ways.

    Args:
        run: Its folder.
        seen: Constraints on the coming control steps, anew for every plan.
        ahead: How many they are about.

    Raises:
        ValueError: If the run is of something else, or nothing follows its ways.
    """
    found = experiment.load(run)
    control = found.experiment.control
    if not isinstance(control, PlannerControl) or control.tracker is None:
        raise ValueError(
            f"{run} is no planner with a tracker, it has control.kind {control.kind}; train configs/crowd_ways.yaml."
        )
    tracker = control.tracker

    def limits(period: Tensor) -> Sequence[SpeedLimit]:
        return [SpeedLimit(FASTER * V_MAX, period)]

    return guided_planner_of(
        found.predictor,
        control,
        Tracker(tracker.position, tracker.velocity, p=tracker.p, d=tracker.d),
        period=PERIOD,
        limits=limits,
        seen=seen,
        ahead=ahead,
    )


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
