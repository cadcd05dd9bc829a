"""Questions that `plan` asks of a run at the start of an episode: B contexts, of which n samples are drawn each.

A policy is asked once, for chunks of actions after what it sees. A planner is asked for ways to the goal of several
durations, from the longest to the shortest, one sample of each.
"""

from dataclasses import dataclass
from typing import final

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.blocks import PlannerControl
from embodied_gen.commands.task import Surroundings
from embodied_gen.demos.segments import question
from embodied_gen.experiment import Run
from embodied_gen.heads import Certified, Guide
from planners.arrival import Arrival
from planners.constraints import Constraint, Period
from planners.course import Course, course_of
from planners.guides import smallest_margin


@final
@dataclass(frozen=True)
class Question:
    """What a run is asked.

    Attributes:
        observations: Of the contexts, as the encoder takes them, first axis B.
        samples: Of each context.
        period: Time between way-points [s], one number or one for each context, shape `(B, 1, 1)`.
        also: Constraints that belong to the question.
        drawn: Channels of a plan that are drawn in the plane.
        seed: Of the draws.
        course: How plans are kept to; None where they are taken as they are.
    """

    observations: Tensor
    samples: int
    period: Period
    also: tuple[Constraint, ...]
    drawn: tuple[int, ...]
    seed: int
    course: Course | None = None

    def answer(self, run: Run, guide: Guide | None, constraints: list[Constraint]) -> Certified:
        """Plans of a run, physical units, shape `(B, n, T, D)`, guided or judged by the constraints alone."""
        generator = draws.generator(self.seed, device=self.observations.device)
        if guide is not None and self.course is None:
            return run.predictor.certified(self.observations, self.samples, generator=generator, guide=guide)
        plans = run.predictor.sample(self.observations, self.samples, generator=generator, guide=guide)
        if self.course is not None:
            plans = self.course.held(plans, torch.as_tensor(self.period, device=plans.device).view(-1))
        return Certified.of(plans, smallest_margin(constraints, plans))

    def durations(self, horizon: int) -> list[float]:
        """Seconds from the first to the last of so many way-points, for each plan."""
        period = torch.as_tensor(self.period, dtype=torch.float64).cpu().reshape(-1)
        seconds = ((horizon - 1) * period).expand(len(self.observations))
        return [float(value) for value in seconds.repeat_interleave(self.samples)]


def question_of(run: Run, env: gym.Env, around: Surroundings, n: int, seed: int) -> Question:
    """What a run is asked for n plans from the first observation of an episode.

    Raises:
        ValueError: If the run neither acts nor plans, or the observation lacks a channel that is planned.
    """
    observation = np.asarray(env.reset(seed=seed)[0], np.float32)
    control = run.experiment.control
    if isinstance(control, PlannerControl):
        return _of_planner(run, control, observation, around, n, seed)
    policy = run.policy()
    history = torch.from_numpy(policy.remember(seed, observation).observations).to(policy.device)[None]
    return Question(history, n, around.period, (), (0, 1), seed)


def _of_planner(
    run: Run, control: PlannerControl, observation: np.ndarray, around: Surroundings, n: int, seed: int
) -> Question:
    control.check_observation(len(observation))
    seen = torch.from_numpy(observation).to(run.predictor.head.event.low.device).expand(n, -1)
    start, goal = seen[:, list(control.state)], seen[:, list(control.goal)]
    strides = torch.linspace(control.strides, 1, n, device=seen.device).round()
    arrival = Arrival(goal, control.tolerance, control.reaches)
    asked = question(start, goal, strides / control.strides)
    return Question(
        asked,
        1,
        (strides * around.period).view(-1, 1, 1),
        (arrival,),
        control.reaches[:2],
        seed,
        course_of(control, around.period),
    )
