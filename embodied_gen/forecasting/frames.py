r"""Frames of pedestrians: the origin is where one is, the first axis is where one was last heading.

    inwards   q = R(-h) (p - p_0)          outwards   p = p_0 + R(h) q

The heading is that of the newest step longer than 5 cm: shorter ones are mostly noise of the annotation. Who never made
one has the first axis of the world. It is a function of the observed positions alone.

A moving frame goes on with the last observed step v, so that in it constant velocity stands still:

    inwards   q_t = R(-h) (p_t - p_0 - t v),    t = 1, 2, ...

All maps are turns and shifts: densities are the same on both sides.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from embodied_gen.forecasting.tracks import PERIOD

STILL = 0.05
"""Length of a step that says nothing of the heading [m]."""
SIZE = 0.2
"""Length and width of a pedestrian in a scene [m]."""


class Frames(NamedTuple):
    """Frames, shape `(..., 2)` each."""

    origin: Tensor  # [m]
    direction: Tensor  # cos and sin of the heading

    def inwards(self, points: Tensor) -> Tensor:
        """Points of the world in each frame [m]; `(..., K, 2)` of `(...)` frames."""
        away, (cos, sin) = points - self.origin.unsqueeze(-2), self.direction.unsqueeze(-2).unbind(-1)
        x, y = away.unbind(-1)
        return torch.stack([cos * x + sin * y, cos * y - sin * x], -1)

    def outwards(self, points: Tensor) -> Tensor:
        """The inverse of `inwards`."""
        (x, y), (cos, sin) = points.unbind(-1), self.direction.unsqueeze(-2).unbind(-1)
        return torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + self.origin.unsqueeze(-2)


class MovingFrames(NamedTuple):
    """Frames that go on at a constant velocity."""

    frames: Frames  # where they are at the last observed position
    step: Tensor  # by which they go on, in the world [m], shape (..., 2)

    def inwards(self, future: Tensor) -> Tensor:
        """Positions of the world at steps 1 .. T in each frame [m]; `(..., T, 2)` of `(...)` frames."""
        return self.frames.inwards(future - self._gone(future))

    def outwards(self, future: Tensor) -> Tensor:
        """The inverse of `inwards`."""
        return self.frames.outwards(future) + self._gone(future)

    def _gone(self, future: Tensor) -> Tensor:
        """How far they went by each step."""
        times = torch.arange(1.0, 1.0 + future.shape[-2]).to(future)
        return times.unsqueeze(-1) * self.step.unsqueeze(-2)


def moving_frames_of(tracks: Tensor) -> MovingFrames:
    """The moving frames of observed tracks, `(..., H, 2)` to `(...)` frames."""
    return MovingFrames(frames_of(tracks), tracks[..., -1, :] - tracks[..., -2, :])


def frames_of(tracks: Tensor) -> Frames:
    """The present frames of observed tracks, `(..., H, 2)` to `(...)` frames."""
    return Frames(tracks[..., -1, :], directions(tracks)[..., -1, :])


def directions(tracks: Tensor) -> Tensor:
    """Headings at every position as (cos, sin), of the newest step up to there that is long; `(..., H, 2)` of the same.

    The first position has the heading of the first step.
    """
    steps = torch.cat([tracks[..., 1:2, :] - tracks[..., :1, :], tracks.diff(dim=-2)], -2)
    length = steps.norm(dim=-1, keepdim=True)
    number = torch.arange(tracks.shape[-2], device=tracks.device).unsqueeze(-1)
    newest = torch.where(length > STILL, number, -1).cummax(-2).values
    unit = steps / length.clamp(min=STILL)
    found = unit.gather(-2, newest.clamp(min=0).expand(unit.shape))
    return torch.where(newest < 0, torch.tensor([1.0, 0.0]).to(tracks), found)


def states_of(tracks: Tensor, present: Tensor) -> Tensor:
    """Observed tracks as states of a scene (x, y, heading, speed, length, width, valid), see `events.scene`.

    Args:
        tracks: Positions [m], shape `(..., A, H, 2)`.
        present: Who is there, bool, shape `(..., A)`.

    Returns:
        Shape `(..., A, H, 7)`.
    """
    heading = directions(tracks)
    steps = torch.cat([tracks[..., 1:2, :] - tracks[..., :1, :], tracks.diff(dim=-2)], -2)
    there = present[..., None].expand(tracks.shape[:-1]).to(tracks)
    size = torch.full_like(there, SIZE)
    angle = torch.atan2(heading[..., 1], heading[..., 0])
    parts = [tracks[..., 0], tracks[..., 1], angle, steps.norm(dim=-1) / PERIOD, size, size, there]
    return torch.stack(parts, -1)
