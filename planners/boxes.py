r"""Oriented boxes: poses, outlines, and the separation of two.

A box is five numbers (x, y, heading, half length a, half width b). Two boxes are apart exactly where one of the four
directions n of their sides separates them, so with d from one centre to the other and h the extent of a box along n,

    s = max_n  |n d| - h_1(n) - h_2(n)

is positive apart, zero where they touch, and minus the depth where they overlap: the shortest way that takes them
apart. Apart it is at most their distance, and equals it unless corners face each other.

Between two steps a box moves in a straight line and turns along the shorter arc.

Source: the separating axis theorem, Gottschalk, Lin and Manocha 1996.
"""

import math

import torch
from torch import Tensor

from planners.constants import Constant
from planners.scenes import HEADING, LENGTH, WIDTH, X, present

# Corners and the middles of sides, in half lengths and half widths.
_OUTLINE = Constant([(1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1)])


def wrap(angle: Tensor) -> Tensor:
    """The same direction in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def boxes_of(y: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes of agents and whether they are there: `(..., 7)` to `(..., 5)` and bool `(...)`; zeros for the absent.

    Sizes below zero, as noise has them, count as zero.
    """
    here = present(y)
    boxes = torch.cat([y[..., X : HEADING + 1], y[..., LENGTH : WIDTH + 1].clamp(min=0) / 2], dim=-1)
    return torch.where(here.unsqueeze(-1), boxes, 0.0), here


def turned_to(start: Tensor, end: Tensor) -> Tensor:
    """The end with its heading counted on from that of the start, along the shorter arc; boxes `(..., 5)`."""
    heading = start[..., 2] + wrap(end[..., 2] - start[..., 2])
    return torch.cat([end[..., :2], heading.unsqueeze(-1), end[..., 3:]], dim=-1)


def with_halfway(boxes: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes at steps, then halfway between: `(..., T, 5)` to `(..., 2 T - 1, 5)`, and whether they are there."""
    start = boxes[..., :-1, :]
    halfway = (start + turned_to(start, boxes[..., 1:, :])) / 2
    return torch.cat([boxes, halfway], dim=-2), torch.cat([here, here[..., :-1] & here[..., 1:]], dim=-1)


def moves(boxes: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """From where to where each box moves in each step: `(..., T, 5)` twice.

    A box stands still in the last step and where it is absent afterwards. Sizes are the larger of both ends.
    """
    after = torch.cat([boxes[..., 1:, :], boxes[..., -1:, :]], dim=-2)
    stays = here & torch.cat([here[..., 1:], here[..., -1:]], dim=-1)
    end = torch.where(stays.unsqueeze(-1), turned_to(boxes, after), boxes)
    size = torch.maximum(boxes[..., 3:], end[..., 3:])
    return torch.cat([boxes[..., :3], size], dim=-1), torch.cat([end[..., :3], size], dim=-1)


def outline(boxes: Tensor) -> Tensor:
    """Corners and middles of the sides in order, `(..., 5)` to `(..., 8, 2)`."""
    at = _OUTLINE.like(boxes) * boxes[..., None, 3:]
    cos, sin = boxes[..., 2, None].cos(), boxes[..., 2, None].sin()
    turned = torch.stack([cos * at[..., 0] - sin * at[..., 1], sin * at[..., 0] + cos * at[..., 1]], dim=-1)
    return boxes[..., None, :2] + turned


def radius(boxes: Tensor) -> Tensor:
    """Distance of a corner from the centre [m], `(..., 5)` to `(...)`."""
    return torch.hypot(boxes[..., 3], boxes[..., 4])


def separation(first: Tensor, second: Tensor) -> Tensor:
    """Signed separation s of boxes [m], `(..., 5)` twice to `(...)`; see the module."""
    turn = second[..., 2] - first[..., 2]
    cos, sin = turn.cos().abs(), turn.sin().abs()
    a, b, c, d = first[..., 3], first[..., 4], second[..., 3], second[..., 4]
    along, across = frame(second[..., :2] - first[..., :2], first[..., 2])
    further, beside = frame(second[..., :2] - first[..., :2], second[..., 2])
    of_first = torch.maximum(along.abs() - a - c * cos - d * sin, across.abs() - b - c * sin - d * cos)
    of_second = torch.maximum(further.abs() - c - a * cos - b * sin, beside.abs() - d - a * sin - b * cos)
    return torch.maximum(of_first, of_second)


def frame(vector: Tensor, heading: Tensor) -> tuple[Tensor, Tensor]:
    """Components of vectors along headings and to their left: `(..., 2)` and `(...)` to `(...)` twice."""
    cos, sin = heading.cos(), heading.sin()
    return vector[..., 0] * cos + vector[..., 1] * sin, vector[..., 1] * cos - vector[..., 0] * sin
