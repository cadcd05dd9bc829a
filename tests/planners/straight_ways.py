"""A planner over straight ways, and a world that takes velocities, in which it acts."""

import math

import numpy as np
import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import Path
from embodied_gen.heads import DenoisingHead, Head, steer
from embodied_gen.heads.guidance import drawn
from embodied_gen.heads.parametrisation import Clean
from embodied_gen.heads.schedules import Coefficients, Rectified
from embodied_gen.predictor import Predictor
from planners.execution import Execution
from planners.guided import GuidedPlanner

T, STRIDES, PERIOD = 9, 8, 0.01


class Straight(Head):
    """Ways that lead straight to the goal at a constant velocity, a little bent by chance."""

    def loss(self, x, c, *, generator, valid=None):
        raise AssertionError("nothing is learned here")

    bent = 1e-3

    def _sample(self, c, rows, generator, guide):
        x = self._ways(c, generator)
        return x if guide is None else steer(x, 0.05, guide, iterations=30)

    def _ways(self, c, generator):
        share = torch.linspace(0, 1, T)[:, None]
        bend = self.bent * draws.normal((len(c), 1, 2), generator=generator, like=c) * (share * (1 - share))
        return self.event.scale(straight(c) + torch.cat([bend, torch.zeros_like(bend)], -1))


class Proposed(Straight):
    """Ways that are bent by much, of which a guide chooses."""

    bent = 1.5

    def _sample(self, c, rows, generator, guide):
        return drawn(self._ways, c, guide, candidates=32, generator=generator)


class Denoised(nn.Module):
    """What a perfectly trained network estimates of straight ways, with normal noise of a deviation on their steps."""

    deviation = 0.2

    def __init__(self, event):
        super().__init__()
        self.event, self.schedule = event, Rectified()

    def forward(self, x, t, c):
        at = Coefficients(*(entry.view(-1, 1, 1) for entry in self.schedule.coefficients(t)))
        x_t, mean, variance = (
            x / self.schedule.input_scale(at.alpha, at.sigma),
            self.event.scale(straight(c)),
            self.deviation**2,
        )
        return mean + at.alpha * variance * (x_t - at.alpha * mean) / (at.alpha**2 * variance + at.sigma**2)


def denoised(event):
    """A denoising head over nearly straight ways."""
    head = DenoisingHead(event, Denoised(event), parametrisation=Clean(), steps=8, clip=None)
    torch.nn.init.constant_(head.log_deviation, math.log(Denoised.deviation))
    return head


class Stubborn(Straight):
    """Ways that no guide changes."""

    def _sample(self, c, rows, generator, guide):
        return super()._sample(c, rows, generator, None)


class Follow(Execution):
    """The velocity that is wanted, which the world below obeys."""

    size = 2

    def act(self, states, wanted):
        return (wanted[:, :2] - states[:, :2]) / PERIOD


def straight(c):
    """Ways `(B, T, 4)` of a constant velocity, from what a planner is asked `(B, 7)`."""
    start, goal, duration = c[:, None, :2], c[:, None, 4:6], c[:, 6, None, None]
    position = start + torch.linspace(0, 1, T)[:, None] * (goal - start)
    velocity = (goal - start) / (duration * STRIDES * PERIOD * (T - 1))
    return torch.cat([position, velocity.expand_as(position)], -1)


def planner(limits=lambda period: (), head=Straight, **changes):
    event = Path(T, [-1.0] * 2 + [-9.0] * 2, [1.0] * 2 + [9.0] * 2, [-0.5] * 2 + [-1.0] * 2, [0.5] * 2 + [1.0] * 2)
    predictor = Predictor(StateEncoder(1, torch.zeros(7), torch.ones(7)), head(event))
    arguments = {"execution": Follow(), "candidates": 3, "replan": 10, "tolerance": 0.05} | changes
    return GuidedPlanner(
        predictor,
        state=(0, 1, 2, 3),
        goal=(4, 5),
        reaches=(0, 1),
        strides=STRIDES,
        period=PERIOD,
        limits=limits,
        **arguments,
    )


def observation(start=(-0.6, 0.0), goal=(0.6, 0.0)):
    return np.array([*start, 0, 0, *goal], np.float32)


def travel(agent, memories, steps, beside=lambda others: others):
    """Positions of all episodes after each step, in a world that takes velocities, and what is beside moves on."""
    positions = []
    for _ in range(steps):
        actions = agent.plan(memories)
        for memory, action in zip(memories, actions, strict=True):
            last = memory.observations[-1]
            moved = [last[:2] + PERIOD * action[0], action[0], last[4:6], beside(last[6:])]
            memory.see(np.concatenate(moved)[None])
        positions.append([memory.observations[-1, :2] for memory in memories])
    return np.array(positions)
