"""Flat pictures of planar scenes, without a graphics card.

World coordinates [m], x right and y up, map to pixels, y down, by one scale. Everything is drawn SAMPLES
times larger and averaged down, which is the anti-aliasing. Pillow does the work; it is imported when a
drawing is made.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int] | tuple[int, int, int, int]
"""Red, green, blue and, if not opaque, alpha, in 0..255."""

PAPER: Colour = (250, 248, 244)
GRID: Colour = (233, 230, 223)
INK: Colour = (58, 68, 84)
SHADOW: Colour = (58, 68, 84, 36)
METAL: Colour = (122, 134, 152, 120)
METAL_EDGE: Colour = (92, 104, 124, 170)
BLUE: Colour = (38, 112, 204)
ORANGE: Colour = (238, 130, 32)
GREEN: Colour = (44, 156, 104)
RED: Colour = (212, 62, 58)

SAMPLES = 3


@final
class Drawing:
    """A picture under construction.

    Args:
        bounds: Shown part of the world [m], `((x_min, x_max), (y_min, y_max))`.
        size: Width and height of the picture [px]; x decides the scale.
    """

    def __init__(self, *, bounds: tuple[tuple[float, float], tuple[float, float]], size: tuple[int, int]) -> None:
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise ImportError("Drawn frames need the 'viz' extra: pip install 'embodied-gen[viz]'") from error
        self.bounds = bounds
        self.size = size
        self._scale = SAMPLES * size[0] / (bounds[0][1] - bounds[0][0])  # [px / m]
        self._image = Image.new("RGB", (SAMPLES * size[0], SAMPLES * size[1]), PAPER[:3])
        self._pen = ImageDraw.Draw(self._image, "RGBA")

    def raster(self, colours: NDArray[np.uint8]) -> None:
        """Fill the shown part of the world with an image, shape `(H, W, 3)`, its first row at the bottom."""
        from PIL import Image

        image = Image.fromarray(np.ascontiguousarray(colours[::-1]))
        self._image.paste(image.resize(self._image.size, Image.Resampling.NEAREST))

    def grid(self, step: float) -> None:
        """Rule the background with lines every `step` [m]."""
        (left, right), (bottom, top) = self.bounds
        for x in np.arange(np.ceil(left / step), np.floor(right / step) + 1) * step:
            self.line([(x, bottom), (x, top)], GRID, width=0.002)
        for y in np.arange(np.ceil(bottom / step), np.floor(top / step) + 1) * step:
            self.line([(left, y), (right, y)], GRID, width=0.002)

    def disc(
        self,
        centre: Sequence[float] | NDArray[Any],
        radius: float,
        fill: Colour | None,
        *,
        edge: Colour | None = None,
        edge_width: float = 0.004,
    ) -> None:
        """A disc or, without `fill`, a ring; centre, radius and edge width in [m]."""
        x, y = self._pixel(centre)
        reach = radius * self._scale
        width = max(1, round(edge_width * self._scale)) if edge else 0
        self._pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill, edge, width)

    def box(self, low: Sequence[float] | NDArray[Any], high: Sequence[float] | NDArray[Any], fill: Colour) -> None:
        """An axis-aligned rectangle between two corners [m]."""
        (left, bottom), (right, top) = self._pixel(low), self._pixel(high)
        self._pen.rectangle((left, top, right, bottom), fill)

    def line(
        self, points: Sequence[Sequence[float] | NDArray[Any]] | NDArray[Any], colour: Colour, *, width: float
    ) -> None:
        """A polyline through `points` [m], shape `(P, 2)`, `width` [m]."""
        pixels = [self._pixel(point) for point in points]
        self._pen.line(pixels, colour, max(1, round(width * self._scale)), joint="curve")

    def capsule(self, start: NDArray[Any], end: NDArray[Any], radius: float, fill: Colour) -> None:
        """A bar with round ends [m], drawn as one polygon so that its alpha stays even."""
        length = float(np.linalg.norm(end - start))
        along = (end - start) / length if length > 0 else np.array([1.0, 0.0])
        angles = np.linspace(np.pi / 2, 3 * np.pi / 2, 13)
        turn = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cap = radius * (turn[:, :1] * along + turn[:, 1:] * np.array([-along[1], along[0]]))
        self.polygon(np.concatenate([start + cap, end - cap]), fill)

    def polygon(self, points: NDArray[Any], fill: Colour) -> None:
        """A filled polygon with corners `points` [m], shape `(P, 2)`."""
        self._pen.polygon([self._pixel(point) for point in points], fill)

    def trail(self, points: Sequence[NDArray[Any]], colour: Colour, *, width: float) -> None:
        """A polyline which fades towards its beginning; points [m], `width` [m]."""
        for index in range(1, len(points)):
            alpha = round(40 + 180 * index / len(points))
            self.line([points[index - 1], points[index]], (*colour[:3], alpha), width=width)

    def pixels(self) -> NDArray[np.uint8]:
        """The finished picture, shape `(height, width, 3)`."""
        return np.asarray(self._image.reduce(SAMPLES), dtype=np.uint8)

    def _pixel(self, point: Sequence[float] | NDArray[Any]) -> tuple[float, float]:
        (left, _), (_, top) = self.bounds
        return (float(point[0]) - left) * self._scale, (top - float(point[1])) * self._scale


def draw_scene(drawing: Drawing, scene: dict[str, Any]) -> None:
    """Draw the fixed parts of a planar scene.

    Args:
        drawing: Where to draw.
        scene: What an environment's `scene()` returns: `lines` and `discs` with a `role` each.
    """
    for line in scene["lines"]:
        start, end = np.array(line["start"]), np.array(line["end"])
        # Dashes, so that a line which may be crossed does not look like a wall.
        marks = np.linspace(0, 1, 2 * max(1, round(float(np.linalg.norm(end - start)) / 0.05)))
        for first, last in zip(marks[::2], marks[1::2], strict=True):
            drawing.line([start + first * (end - start), start + last * (end - start)], GREEN, width=0.008)
    for disc in scene["discs"]:
        if disc["role"] == "post":
            x, y = disc["centre"]
            drawing.disc((x + 0.006, y - 0.008), disc["radius"] * 1.04, SHADOW)
            drawing.disc((x, y), disc["radius"], INK)
            drawing.disc((x, y), disc["radius"] * 0.72, (78, 90, 108))
        else:
            drawing.disc(disc["centre"], disc["radius"], (*GREEN[:3], 70), edge=GREEN)


def check_render_mode(render_mode: str | None) -> None:
    """Accept None and "rgb_array".

    Raises:
        ValueError: For any other mode.
    """
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f'render_mode must be "rgb_array" or None; got {render_mode!r}.')
