r"""Examples of outlines: the shape of a thing, from the size of the box around it and from what it is.

An outline with corners y [m] is learned in shares of the box around it, whose middle is m and whose sides are s,

    u = (y - m) / s  in [-1/2, 1/2]^2,

and what is known of it is ln s_x, ln s_y [ln m] and one number for each kind of thing, 1 for its own and 0 for others.
So the grid of a `Polygon` is as fine for a kerb as for a street, and lanes along an axis keep their width. What a
learned head draws is put into a box by y = s u.

Corners that change an outline in its box by less than half a level of the grid are left out: its code would not tell.
Maps have no direction of their own. So what is learned from is each outline turned and mirrored, y R, in several ways,
each in the box around it then.

Source: Douglas and Peucker 1973, through shapely, for the corners that are left out.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from embodied_gen import well_known_text
from embodied_gen.demos.examples import Pairs
from embodied_gen.events.polygon import Polygon
from embodied_gen.outlines import vertices_of

BOUNDS = [-0.5, -0.5], [0.5, 0.5]
"""Of corners in shares of the box."""
SIDES = 2
"""Numbers that say how large a box is."""
AS_IT_IS = np.eye(2)[None]
"""Ways of turning that leave outlines as they are, shape `(1, 2, 2)`."""
_SAME = 0.001  # to which corners of the same outline agree [m]
_HELD = 1024  # outlines that are checked at once


def _is_outline(geometry: shapely.Geometry) -> bool:
    return geometry.geom_type == "Polygon" and not geometry.is_empty and bool(shapely.is_valid(geometry))


_OUTLINES = well_known_text.Described(
    one="an outline",
    many="outlines",
    such_as="POLYGON ((0 0, 5 0, 5 3, 0 0))",
    must_be="a polygon that does not cross itself",
    fits=_is_outline,
)


class Outlines(NamedTuple):
    """Outlines of one kind of thing."""

    found: list[shapely.Polygon]  # different ones without holes [m]
    doubles: int  # left out: those that are there already
    holes: int  # left out: those with holes

    @property
    def all(self) -> int:
        """How many there were."""
        return len(self.found) + self.doubles + self.holes

    def split(self, share: float) -> tuple[list[shapely.Polygon], list[shapely.Polygon]]:
        """All but the last outlines, and those, which are a share of all."""
        kept = len(self.found) - round(share * len(self.found))
        return self.found[:kept], self.found[kept:]


def read(path: Path) -> Outlines:
    """The outlines of a file with a polygon [m] a line in well-known text; see `well_known_text.read` for errors."""
    polygons = [shapely.force_2d(polygon) for polygon in well_known_text.read(path, _OUTLINES)]
    rounded = shapely.normalize(shapely.set_precision(polygons, _SAME, mode="pointwise"))
    different = list(dict(zip(shapely.to_wkb(rounded), polygons, strict=True)).values())
    whole = [polygon for polygon in different if not len(polygon.interiors)]
    return Outlines(whole, len(polygons) - len(different), len(different) - len(whole))


def turned(count: int) -> NDArray[np.float64]:
    """Ways of turning and mirroring outlines, evenly spaced: y R of corners y `(N, 2)`; shape `(2 count, 2, 2)`."""
    angles = 2 * math.pi * np.arange(count) / count
    turn = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    return np.concatenate([turn, turn * [1, -1]])


def observed(sides: Tensor, kind: Tensor, kinds: int) -> Tensor:
    """What is known of outlines.

    Args:
        sides: Width and height of the boxes around them [m], shape `(B, 2)`.
        kind: The number of what each of them is, int64, shape `(B,)`.
        kinds: How many kinds there are, K.

    Returns:
        Shape `(B, 1, 2 + K)`.
    """
    return torch.cat([sides.log(), functional.one_hot(kind, kinds).to(sides)], -1).unsqueeze(1)


def in_metres(shares: Tensor, sides: Tensor) -> Tensor:
    """Outlines in shares of boxes, `(B, n, V, 3)`, around the origin [m], for boxes with sides `(B, 2)` [m]."""
    return shares * functional.pad(sides, (0, 1), value=1.0)[:, None, None]


@final
class OutlineExamples(Pairs):
    """Outlines in shares of the boxes around them; see the module.

    Args:
        outlines: Of each kind of thing, without holes [m]; kinds are numbered in their order.
        event: Whose vertices and levels they have; its bounds are `BOUNDS`.
        ways: How each of them is turned, shape `(K, 2, 2)`.
        source: Where they come from, for messages.
        device: Where the data are kept.

    Attributes:
        outlines: How many there are.
        left_out: How many turned outlines are left out, and why, in words.

    Raises:
        ValueError: If no outline is left.
    """

    def __init__(
        self,
        outlines: Mapping[str, Sequence[shapely.Polygon]],
        event: Polygon,
        *,
        ways: NDArray[np.float64] = AS_IT_IS,
        source: str,
        device: torch.device | str = "cpu",
    ):
        counts = [len(found) for found in outlines.values()]
        self.outlines = sum(counts)
        every = np.array([polygon for found in outlines.values() for polygon in found], dtype=object)
        within, sides = _in_boxes(_turned(every, ways))
        within = shapely.simplify(within, 0.5 / event.levels)
        few = shapely.get_num_coordinates(within) - 1 <= event.shape[0]
        value = vertices_of(within[few].tolist(), event.shape[0])
        simple = torch.cat([event.simple(event.scale(part)) for part in value.split(_HELD)])
        kept = torch.from_numpy(few.nonzero()[0])[simple]
        grid = f"{event.levels} x {event.levels} levels"
        self.left_out = (
            f"left out {int((~few).sum())} with more than {event.shape[0]} corners, {int((~simple).sum())} that cross "
            f"or touch themselves on {grid}"
        )
        if not len(kept):
            raise ValueError(
                f"{source}: there is nothing to learn from {self.outlines} outlines; {self.left_out}. Give others, or "
                "raise event.vertices and control.vertices, or event.levels."
            )
        kind = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).repeat_interleave(len(ways))
        sizes = torch.from_numpy(sides).to(value)
        self._places = torch.stack([kind, torch.arange(len(kind)) // len(ways)], 1)[kept]
        super().__init__(observed(sizes[kept], kind[kept], len(counts))[:, 0], value[simple], source, device)

    def place(self, example: int) -> tuple[int, int]:
        """The kind of an outline, and its number among all."""
        kind, number = self._places[example].tolist()
        return kind, number


def _turned(outlines: NDArray[np.object_], ways: NDArray[np.float64]) -> NDArray[np.object_]:
    """Each outline in each way, one outline after the other."""
    repeated = np.repeat(outlines, len(ways))
    corners, owner = shapely.get_coordinates(repeated, return_index=True)
    return shapely.set_coordinates(repeated, np.einsum("nd,nde->ne", corners, ways[owner % len(ways)]))


def _in_boxes(outlines: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Outlines in shares of their boxes, and the boxes' sides [m], `(N, 2)`."""
    low, high = np.split(shapely.bounds(outlines).reshape(-1, 4), 2, axis=1)
    corners, owner = shapely.get_coordinates(outlines, return_index=True)
    shares = (corners - ((low + high) / 2)[owner]) / (high - low)[owner]
    return shapely.set_coordinates(outlines.copy(), shares), high - low
