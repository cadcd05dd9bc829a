r"""Encoders: from observations to the context of a head.

A state encoder standardises each channel by the demonstrations' mean and deviation and lays the history flat:

    c = flatten(clamp((o - mean) / deviation, -limit, limit)).

The clamp keeps a channel that hardly moved in the demonstrations from swamping the others when it does.

A map encoder unfolds an observation that ends with a start and a goal and begins with the layers of a map.

A scene encoder lays an observation of several agents out for each of them: where it is, and in its own frame what it
did and what lies around it.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.events.scene import STATE, motions_of

_LIMIT = 10.0  # deviations
_CONSTANT = 1e-6  # deviations below this share of the channel's size are rounding


@final
class StateEncoder(nn.Module):
    """Standardised, flattened histories of state vectors.

    Args:
        history: Number of observations H.
        mean: Of each channel over the demonstrations, shape `(O,)`.
        deviation: Of each channel, shape `(O,)`; a constant channel is only centred.

    Attributes:
        size: Numbers of one observation, O.
        width: Length of a context, H * O.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, history: int, mean: Tensor, deviation: Tensor):
        super().__init__()
        if history < 1:
            raise ValueError(f"history must be at least 1; got {history}.")
        self.history = history
        self.size = len(mean)
        self.width = history * len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", scale_of(mean, deviation))

    def forward(self, observations: Tensor) -> Tensor:
        """Contexts of shape `(B, H * O)` from observations of shape `(B, H, O)`.

        Raises:
            ValueError: If the shape is another.
        """
        expected = (self.history, len(self.mean))
        if observations.ndim != 3 or tuple(observations.shape[1:]) != expected:
            raise ValueError(
                f"observations must have shape (B, {expected[0]}, {expected[1]}); "
                f"got {tuple(observations.shape)}. Give a history of {self.history} flat observations."
            )
        return ((observations - self.mean) / self.deviation).clamp(-_LIMIT, _LIMIT).flatten(1)


@final
class MapEncoder(nn.Module):
    """The mapping that heads over paths read, from a map and two places; nothing is standardised.

    An observation is C layers of H x W cells, row by row, then start and goal, x and y each. A layer of ones follows
    the C: networks without a constant need one for ground on which nothing is.

    Args:
        layers: C.
        rows: H.
        columns: W.
        obstacle: The layer that blocks cells where it is above 1/2; None where nothing does.
        size: Numbers of one observation, O.

    Attributes:
        size: O.
        width: O.

    Raises:
        ValueError: If an observation cannot be laid out so, or there is no such layer.
    """

    def __init__(self, layers: int, rows: int, columns: int, obstacle: int | None, size: int):
        super().__init__()
        if size != layers * rows * columns + 4:
            raise ValueError(
                f"an observation of {layers} layers of {rows} x {columns} cells, a start and a goal has "
                f"{layers * rows * columns + 4} numbers; got {size}. Set control to the environment's map."
            )
        if obstacle is not None and not 0 <= obstacle < layers:
            raise ValueError(f"obstacle must be one of the {layers} layers, counted from 0; got {obstacle}.")
        self.shape, self.obstacle = (layers, rows, columns), obstacle
        self.size = self.width = size

    def forward(self, observations: Tensor) -> dict[str, Tensor]:
        """Leaves layers `(B, C + 1, H, W)`, start and goal `(B, 2)`, and blocked `(B, H, W)`, from `(B, 1, O)`.

        Raises:
            ValueError: If the shape is another.
        """
        if observations.ndim != 3 or tuple(observations.shape[1:]) != (1, self.size):
            raise ValueError(f"observations must have shape (B, 1, {self.size}); got {tuple(observations.shape)}.")
        seen = observations[:, 0]
        layers = seen[:, :-4].unflatten(1, self.shape)
        with_ones = torch.cat([layers, torch.ones_like(layers[:, :1])], 1)
        c = {"layers": with_ones, "start": seen[:, -4:-2], "goal": seen[:, -2:]}
        return c if self.obstacle is None else {**c, "blocked": layers[:, self.obstacle] > 0.5}


@final
class SceneEncoder(nn.Module):
    """Contexts for each agent of a scene, from histories of the states of all and the points around each.

    An observation is the states of A agents, 7 numbers each (see `events.scene`), then as many points (x, y) for each
    agent, such as the ways ahead of it, in the same frame. Units are fixed: nothing depends on the data.

    Args:
        history: Number of observations H.
        agents: A.
        size: Numbers of one observation, O.

    Attributes:
        size: O.
        width: Numbers of each agent's context.

    Raises:
        ValueError: If an observation cannot be laid out so.
    """

    def __init__(self, history: int, agents: int, size: int):
        super().__init__()
        points, rest = divmod(size - agents * STATE, 2 * agents)
        if history < 1 or points < 0 or rest:
            raise ValueError(
                f"an observation of {agents} agents must hold {STATE} numbers and as many points for each; got {size} "
                "numbers. Set control.agents to that of the environment."
            )
        self.history, self.agents, self.size = history, agents, size
        self.width = 5 + 3 + (history - 1) * 5 + 2 * points

    def forward(self, observations: Tensor) -> Tensor:
        """Contexts of shape `(B, A, width)` from observations `(B, H, O)`: pose and presence, then what is seen.

        Raises:
            ValueError: If the shape is another.
        """
        if observations.ndim != 3 or tuple(observations.shape[1:]) != (self.history, self.size):
            raise ValueError(
                f"observations must have shape (B, {self.history}, {self.size}); got {tuple(observations.shape)}."
            )
        states = observations[..., : self.agents * STATE].unflatten(-1, (self.agents, STATE)).transpose(1, 2)
        present = states[:, :, -1]
        points = observations[:, -1, self.agents * STATE :].unflatten(-1, (self.agents, -1, 2))
        parts = [pose_of(present), present[..., 3:6] / 10, self._past(states), _seen_from(points, present).flatten(2)]
        return torch.cat(parts, -1) * torch.cat([torch.ones_like(present[..., :5]), self._there(present)], -1)

    def _there(self, present: Tensor) -> Tensor:
        """Nothing is seen by agents that are not there."""
        return (present[..., 6:7] > 0.5).to(present.dtype).expand(*present.shape[:-1], self.width - 5)

    def _past(self, states: Tensor) -> Tensor:
        """Earlier states in the present frame, newest first, and whether the agent was there; `(B, A, (H - 1) 5)`."""
        backwards = states.flip(2)
        there = (backwards[:, :, 1:, 6:7] > 0.5).to(states.dtype)
        motions = motions_of(backwards) / states.new_tensor([10.0, 10.0, 1.0, 10.0])
        return torch.cat([motions * there, there], -1).flatten(2)


def scale_of(mean: Tensor, deviation: Tensor) -> Tensor:
    """What channels are divided by: their deviation, or 1 where they do not vary but by rounding."""
    return torch.where(deviation <= _CONSTANT * (1 + mean.abs()), 1.0, deviation)


def pose_of(states: Tensor) -> Tensor:
    """Pose and presence (x, y, cos h, sin h, valid) of states `(..., A, 7)`, from the first agent's position."""
    position = states[..., :2] - states[..., :1, :2]
    heading = states[..., 2]
    valid = (states[..., 6] > 0.5).to(states.dtype)
    return torch.cat([position, torch.stack([heading.cos(), heading.sin(), valid], -1)], -1)


def _seen_from(points: Tensor, present: Tensor) -> Tensor:
    """Points `(B, A, P, 2)` in the frame of each agent, in units of 20 m."""
    away = (points - present[..., None, :2]) / 20
    cos, sin = present[..., 2:3].cos(), present[..., 2:3].sin()
    return torch.stack([cos * away[..., 0] + sin * away[..., 1], cos * away[..., 1] - sin * away[..., 0]], -1)
