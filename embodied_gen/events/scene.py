r"""Scenes: how several agents move from the present on.

A scene is agents x time x (x, y, heading, speed, length, width, valid), in m, m, rad, m/s, m, m, and 1 where the agent
is there. Its first step is the present, which is known. What is predicted is the motion after it, of each agent in its
own present frame (ahead, to the left), with p_0, h_0, v_0 its present position, heading and speed:

    y_t = (R(-h_0) (p_t - p_0), h_t - h_0, v_t - v_0),              t = 1 .. T
    x_t = (y_t - y_{t-1} - step_centre) / step_half,                y_0 = 0

so that nothing depends on where on the map an agent is, and a unit of error is a share of a step. Pedestrians, who have
no heading of their own, have the first two channels only.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.events.base import bounds_of
from embodied_gen.events.steps import Steps, way_back

STATE = 7
"""Numbers of an agent's state: x, y, heading, speed, length, width, valid."""
MOTION = 4
"""Numbers of a step of a motion: ahead, left, turned, faster."""


@final
class Scene(Steps):
    """An event of shape `(A, T, D)`: motions of A agents over T steps; `placed` makes a scene of four channels.

    Args:
        agents: A, >= 1.
        horizon: T, >= 1.
        low, high: Bounds of the motions in each channel, physical units, length D: 4 of vehicles, 2 of pedestrians.
        step_low, step_high: Bounds of the difference of neighbouring steps, likewise.

    Raises:
        ValueError: If a size is not positive or a channel has no width.
    """

    step_low: Tensor
    step_high: Tensor

    def __init__(
        self,
        agents: int,
        horizon: int,
        low: Sequence[float] | Tensor,
        high: Sequence[float] | Tensor,
        step_low: Sequence[float] | Tensor,
        step_high: Sequence[float] | Tensor,
    ):
        if agents < 1 or horizon < 1:
            raise ValueError(f"a scene needs at least one agent and one step; got {agents} and {horizon}.")
        super().__init__((agents, horizon, len(low)), low, high)
        self.step_low, self.step_high = self._bounds("step_low", "step_high", step_low, step_high)

    @classmethod
    def from_data(cls, values: Tensor) -> "Scene":
        """The event whose bounds are those of motions, physical units, shape `(W, A, T, D)`."""
        return cls(values.shape[1], values.shape[2], *bounds_of(values), *bounds_of(_steps(values)))

    def scale(self, y: Tensor) -> Tensor:
        """Motions to their steps; shape `(..., A, T, D)`."""
        return (_steps(y) - self._step_centre) / self._step_half

    def unscale(self, x: Tensor) -> Tensor:
        """Steps to motions; shape `(..., A, T, D)`."""
        return (x * self._step_half + self._step_centre).cumsum(-2)

    def recovery(self, x: Tensor, own: Tensor) -> Tensor:
        """See `Event`."""
        return way_back(x, own)

    @property
    def _step_centre(self) -> Tensor:
        return (self.step_high + self.step_low) / 2

    @property
    def _step_half(self) -> Tensor:
        return (self.step_high - self.step_low) / 2


def placed(motions: Tensor, present: Tensor) -> Tensor:
    """Scenes of motions, from the present on.

    Args:
        motions: Physical units, shape `(..., A, T, 4)`.
        present: States, shape `(..., A, 7)`, of as many leading axes; they broadcast.

    Returns:
        Scenes, shape `(..., A, 1 + T, 7)`. Sizes and presence are those of the present. Speeds are not negative.
    """
    cos, sin = present[..., 2:3].cos(), present[..., 2:3].sin()
    ahead, left = motions[..., 0], motions[..., 1]
    present = present.expand(*motions.shape[:-2], STATE)
    parts = [
        present[..., 0:1] + cos * ahead - sin * left,
        present[..., 1:2] + sin * ahead + cos * left,
        present[..., 2:3] + motions[..., 2],
        (present[..., 3:4] + motions[..., 3]).clamp(min=0),
        *(present[..., channel : channel + 1].expand(ahead.shape) for channel in range(4, STATE)),
    ]
    return torch.cat([present.unsqueeze(-2), torch.stack(parts, -1)], -2)


def motions_of(scenes: Tensor) -> Tensor:
    """The motions of scenes, the inverse of `placed`; `(..., A, 1 + T, 7)` to `(..., A, T, 4)`.

    Headings are counted on from step to step along the shorter arc, so that who turns around does not jump.

    Agents that are not there at present do not move.
    """
    present, later = scenes[..., :1, :], scenes[..., 1:, :]
    cos, sin = present[..., 2].cos(), present[..., 2].sin()
    away = later[..., :2] - present[..., :2]
    steps = scenes[..., 2].diff(dim=-1)
    turned = (torch.remainder(steps + math.pi, 2 * math.pi) - math.pi).cumsum(-1)
    parts = [
        cos * away[..., 0] + sin * away[..., 1],
        cos * away[..., 1] - sin * away[..., 0],
        turned,
        later[..., 3] - present[..., 3],
    ]
    return torch.stack(parts, -1) * (present[..., 6:7] > 0.5)


def _steps(y: Tensor) -> Tensor:
    """Differences of neighbouring steps, the first from the present, where all is zero."""
    return y.diff(dim=-2, prepend=torch.zeros_like(y[..., :1, :]))
