"""Frames of Traffic-v0: the road around the ego from above."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.boxes import corners
from envs.drawing import BLUE, GRID, INK, RED, Drawing
from envs.layout import BOX
from envs.roads import RoadMap

SIZE = (400, 400)
"""Width and height of a frame [px]."""
_HALF = 40.0  # half the width of what is shown [m]
_LANE = 0.15  # width of the lines between lanes [m]
_ASPHALT = (214, 211, 205)


def frame(road: RoadMap, states: NDArray[np.float64], *, failed: bool) -> NDArray[np.uint8]:
    """A picture, shape `(400, 400, 3)`.

    Args:
        road: The map.
        states: All vehicles, shape `(agents, 7)`; the first is the ego and in the middle.
        failed: Whether to show the ego in the colour of failure.
    """
    x, y = states[0, :2].tolist()
    drawing = Drawing(bounds=((x - _HALF, x + _HALF), (y - _HALF, y + _HALF)), size=SIZE)
    shown = [lane for lane in road.lanelets.values() if (np.abs(lane.centre - states[0, :2]) < 2 * _HALF).all(1).any()]
    for lane in shown:
        drawing.polygon(np.concatenate([lane.left, lane.right[::-1]]), _ASPHALT)
    for lane in shown:
        drawing.line(lane.left, GRID, width=_LANE)
        drawing.line(lane.right, GRID, width=_LANE)
    there = states[states[:, -1] > 0]
    outlines = corners(there[:, BOX])
    for outline in outlines[:0:-1]:
        drawing.polygon(outline, INK)
    drawing.polygon(outlines[0], RED if failed else BLUE)
    # A light bar near the front tells which way a box drives.
    for outline in outlines:
        front, back = (outline[0] + outline[3]) / 2, (outline[1] + outline[2]) / 2
        drawing.disc(front + 0.2 * (back - front), 0.35, GRID)
    return drawing.pixels()


def scene(road: RoadMap) -> dict[str, Any]:
    """The map in plain numbers [m]: its bounds, and the outline of the drivable area as lines of role "road"."""
    parts = getattr(road.drivable, "geoms", [road.drivable])
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    sides = [side for ring in rings for side in pairwise([list(map(float, corner)) for corner in ring.coords])]
    return {
        "bounds": [list(map(float, side)) for side in road.bounds],
        "discs": [],
        "lines": [{"role": "road", "start": start, "end": end} for start, end in sides],
    }
