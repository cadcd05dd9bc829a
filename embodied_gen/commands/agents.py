"""Agents from runs: a policy, or a planner with what follows its plans; each as it is or under a guide file."""

from pathlib import Path

import torch

from embodied_gen import evaluate, experiment
from embodied_gen.blocks import InverseControl, PlannerControl, WholeWayControl
from embodied_gen.commands.task import Surroundings
from embodied_gen.control import Agent
from embodied_gen.experiment import Run
from planners.execution import Execution, InverseDynamics, Tracker
from planners.guided import planner_of
from planners.guides import GuideFile
from planners.whole_way import WholeWayAgent

PLANS = 8  # episodes that are planned together; the ways of each are rows enough
WAYS = 4  # maps that are answered together; each is work enough


def agent_of(
    run: Run, around: Surroundings, file: GuideFile | None, inverse: Path | None, device: torch.device
) -> tuple[Agent, str]:
    """The agent of a run, and how it acts in a word or two.

    Args:
        run: A policy or a planner.
        around: Of the environment.
        file: Constraints on action chunks, or on plans.
        inverse: Folder of the inverse dynamics that follow plans.
        device: Where it computes.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If the run does not act, nothing follows its plans, or guide and inverse dynamics do not fit it.
    """
    control = run.experiment.control
    if file is not None:
        file.require_channels(run.predictor.head.event.shape[-1])
    if isinstance(control, PlannerControl):
        control.check_observation(around.size)
        follows, execution = _execution(run, control, inverse, device)
        return _planner(run, control, execution, around, file), follows
    if isinstance(control, InverseControl):
        raise ValueError(
            f"{run.folder} predicts {control.describe()}: it follows plans and does not act alone. "
            f"Evaluate a planner with it: embodied-gen evaluate PLANNER --inverse {run.folder}."
        )
    if inverse is not None:
        raise ValueError(f"--inverse follows the plans of a planner; {run.folder} is none. Leave it out.")
    guide = None if file is None else file.build(around.period, free=around.free)[0]
    if isinstance(control, WholeWayControl):
        return WholeWayAgent(run.predictor, guide=guide, block=WAYS), "as predicted"
    return run.policy(guide=guide, block=evaluate.BLOCK), "as predicted"


def _planner(
    run: Run, control: PlannerControl, execution: Execution, around: Surroundings, file: GuideFile | None
) -> Agent:
    if file is None:
        return planner_of(run.predictor, control, execution, period=around.period, block=PLANS)
    if file.costs:
        raise ValueError(
            "a planner takes the quickest plan that satisfies the constraints of a guide file, and no costs; "
            f"got {len(file.costs)} of them. Leave them out."
        )
    limits = file.limits(around.free)
    return planner_of(
        run.predictor, control, execution, period=around.period, limits=limits, buffer=file.buffer, block=PLANS
    )


def _execution(run: Run, control: PlannerControl, inverse: Path | None, device: torch.device) -> tuple[str, Execution]:
    """What follows plans, in words and as it is."""
    if inverse is not None:
        return f"inverse dynamics {inverse}", _inverse_dynamics(control, experiment.load(inverse, device))
    tracker = control.tracker
    if tracker is None:
        raise ValueError(
            f"{run.folder} plans, and nothing follows its plans. Name learned inverse dynamics, --inverse RUN, or "
            f"write a tracker into the control of {run.folder / 'config.json'}, such as "
            '"tracker": {"position": [0, 1], "velocity": [2, 3], "p": 10, "d": 1}.'
        )
    return "tracker", Tracker(tracker.position, tracker.velocity, p=tracker.p, d=tracker.d)


def _inverse_dynamics(planner: PlannerControl, run: Run) -> InverseDynamics:
    control = run.experiment.control
    if not isinstance(control, InverseControl):
        raise ValueError(
            f"--inverse {run.folder} predicts {control.describe()}, which follows no plans. "
            "Name a run with control.kind inverse."
        )
    missing = [channel for channel in control.state if channel not in planner.state]
    if missing:
        raise ValueError(
            f"--inverse {run.folder} reads the channels {list(control.state)} of the observation; the plans have "
            f"{list(planner.state)}. Train it with control.state among those."
        )
    channels = [planner.state.index(channel) for channel in control.state]
    return InverseDynamics(run.predictor, channels, block=evaluate.BLOCK)
