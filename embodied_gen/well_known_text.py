"""Files with one geometry a line in well-known text, such as walls and outlines.

Source: well-known text as in OGC 06-103r4, through shapely.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import shapely

_DIGITS = 17  # of coordinates, as many as tell double precision apart


@final
@dataclass(frozen=True)
class Described:
    """What the geometries of a file are, for messages.

    Attributes:
        one: "a wall".
        many: "walls".
        such_as: Text of one.
        must_be: What fits, in words.
        fits: Whether a geometry with finite coordinates is one.
    """

    one: str
    many: str
    such_as: str
    must_be: str
    fits: Callable[[shapely.Geometry], bool]


def read(path: Path, described: Described) -> list[shapely.Geometry]:
    """The geometries of a file, in the order of their lines; empty lines are skipped.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no geometry, or one that does not fit, or there is none; names file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file of {described.many} {path}. Name one with a line of well-known text for each."
        )
    text = path.read_text(errors="replace")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path}, line 1: there are no {described.many}. Give a line of well-known text for each.")
    return [_geometry(line, f"{path}, line {number}", described) for number, line in lines]


def write(path: Path, geometries: Iterable[shapely.Geometry]) -> None:
    """Writes geometries to a file that `read` reads, with all digits of their coordinates."""
    path.write_text("".join(f"{shapely.to_wkt(geometry, rounding_precision=_DIGITS)}\n" for geometry in geometries))


def _geometry(line: str, place: str, described: Described) -> shapely.Geometry:
    try:
        with np.errstate(invalid="ignore"):  # what is not finite is refused below
            geometry = shapely.from_wkt(line)
    except shapely.errors.GEOSException as error:
        raise ValueError(
            f"{place}: {described.one} must be well-known text, such as {described.such_as}; got {line[:60]!r}."
        ) from error
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise ValueError(f"{place}: coordinates must be finite; got {line[:60]!r}.")
    if not described.fits(geometry):
        raise ValueError(f"{place}: {described.one} must be {described.must_be}; got {line[:60]!r}.")
    return geometry
