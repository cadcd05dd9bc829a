"""Pictures of semantic maps: a colour for each class, darker where the ground is steep."""

import numpy as np
from numpy.typing import NDArray

from envs.drawing import BLUE, GREEN, ORANGE, RED, Drawing
from envs.rover import RADIUS
from envs.terrain_map import TerrainMap
from envs.terrain_site import TerrainSite

SIZE = (384, 384)
"""Width and height of a frame [px]."""
_GROUND = (226, 216, 190)
_COLOURS = {
    "vegetation": (140, 188, 112),
    "parking": (176, 176, 206),
    "walkway": (222, 178, 140),
    "road": (138, 138, 144),
    "obstacle": (52, 60, 84),
}
"""Later ones cover earlier ones."""


def colours(terrain: TerrainMap) -> NDArray[np.uint8]:
    """The map as an image, shape `(H, W, 3)`; row 0 is the south."""
    image = np.full((*terrain.shape, 3), _GROUND, dtype=np.float32)
    for name, colour in _COLOURS.items():
        image[terrain.layer(name) > 0.5] = colour
    return (image * (1 - terrain.layer("slope")[..., None])).astype(np.uint8)


def frame(site: TerrainSite, trail: NDArray[np.float64], *, failed: bool) -> NDArray[np.uint8]:
    """A picture of an episode, shape `(384, 384, 3)`: the map, the cheapest way, the robot with its trail, the goal.

    Args:
        site: Where it takes place.
        trail: Positions of the robot so far [m], shape `(N, 2)`.
        failed: Whether to show the robot in the colour of failure.
    """
    rows, columns = site.terrain.shape
    cell = site.terrain.cell
    drawing = Drawing(bounds=((0.0, columns * cell), (0.0, rows * cell)), size=SIZE)
    drawing.raster(colours(site.terrain))
    scale = columns * cell / 32
    drawing.line(site.way_from(site.start), ORANGE, width=0.15 * scale)
    drawing.line(trail, BLUE, width=0.2 * scale)
    drawing.disc(site.goal, 0.5, (*GREEN[:3], 120), edge=GREEN, edge_width=0.1 * scale)
    drawing.disc(trail[-1], 2 * RADIUS * scale, RED if failed else BLUE)
    return drawing.pixels()
