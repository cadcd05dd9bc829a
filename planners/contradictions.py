r"""Constraints that nothing can satisfy together, where that is cheap to prove.

What a constraint says of a position is taken apart into places: it is inside of a set (a box, a region, a point with
its tolerance) or outside of one, for some agents at some steps. Two constraints contradict each other where, for an
agent and a step that both are about,

    two sets to be inside of have no point in common,
    a set to be inside of lies in one to be outside of,
    two ranges of an attribute have no value in common,
    two sets to be inside of at steps k < l lie further apart than a speed limit lets an agent go in l - k steps.

Discs are replaced by polygons around them where they are to be inside of and within them where they are to be outside
of, so that what is reported is so. What is not reported may be impossible all the same.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import shapely
import torch
from shapely.geometry import Point, box
from shapely.geometry.base import BaseGeometry

from planners.attributes import AttributeRange, Fixed
from planners.boxes import wrap
from planners.constraints import Constraint, KeepInBox, KeepOutDisc, ReachPoint, SpeedLimit
from planners.regions import KeepInRegion, KeepOutRegion
from planners.roads import OnRoad
from planners.scenes import HEADING, OfAgents, X, Y
from planners.spans import During

_QUARTER = 16  # corners of a quarter of a disc
_AROUND = 1 / math.cos(math.pi / (4 * _QUARTER))  # what makes a polygon within a disc one around it


class _About(NamedTuple):
    """Agents and first and last step that a claim is about; None for all."""

    agents: tuple[int, ...] | None
    steps: tuple[int, int] | None

    def shares(self, other: "_About") -> bool:
        """Whether both are certainly about one agent at one step, in a path of any length."""
        return _one_agent(self, other) and _overlap(self.steps, other.steps)


class _Place(NamedTuple):
    """A set that the position in two channels is inside of, or outside of."""

    name: str
    about: _About
    channels: tuple[int, int]
    where: BaseGeometry


class _Range(NamedTuple):
    """A range that the value of a channel lies in; of directions where it turns."""

    name: str
    about: _About
    channel: int
    middle: float
    half: float
    turns: bool


def contradictions(constraints: Sequence[Constraint]) -> list[str]:
    """Why nothing can satisfy all constraints, each sentence naming those that contradict each other.

    Args:
        constraints: On paths or scenes. Of scenes it is said for agents that are there.

    Returns:
        Sentences; none where nothing was found, which proves nothing.
    """
    inside = [list(_inside(constraint)) for constraint in constraints]
    outside = [list(_outside(constraint)) for constraint in constraints]
    ranges = [list(_ranges(constraint)) for constraint in constraints]
    found = [_first(_apart(*pair) for pair in product(a, b)) for a, b in combinations(inside, 2)]
    found += [_first(_swallowed(*pair) for pair in product(a, b)) for a, b in product(inside, outside)]
    found += [_first(_no_value(*pair) for pair in product(a, b)) for a, b in combinations(ranges, 2)]
    points = [place for places in inside for place in places if _step(place) is not None]
    found += [_first(_too_far(limit, *pair) for pair in combinations(points, 2)) for limit in constraints]
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def _first(sentences: Iterable[str | None]) -> str | None:
    return next((sentence for sentence in sentences if sentence), None)


def _apart(a: _Place, b: _Place) -> str | None:
    if a.channels == b.channels and a.about.shares(b.about) and a.where.disjoint(b.where):
        return _sentence([a.name, b.name], f"what they keep in lies {a.where.distance(b.where):g} m apart")
    return None


def _swallowed(a: _Place, b: _Place) -> str | None:
    if a.channels == b.channels and a.about.shares(b.about) and shapely.contains_properly(b.where, a.where):
        return _sentence([a.name, b.name], "all that the first allows is forbidden by the second")
    return None


def _no_value(a: _Range, b: _Range) -> str | None:
    if a.channel != b.channel or a.turns != b.turns or not a.about.shares(b.about):
        return None
    difference = a.middle - b.middle
    off = abs(float(wrap(torch.tensor(difference, dtype=torch.float64)))) if a.turns else abs(difference)
    # A hair more, as values that are given were rounded.
    apart = off - a.half - b.half
    return _sentence([a.name, b.name], "their ranges have no value in common") if apart > 1e-6 * (1 + off) else None


def _too_far(limit: Constraint, a: _Place, b: _Place) -> str | None:
    bare, about = _bare(limit)
    start, end = _step(a), _step(b)
    if not isinstance(bare, SpeedLimit) or start is None or end is None or (start < 0) != (end < 0):
        return None
    if not (bare.channels == a.channels == b.channels and _one_agent(a.about, b.about, about)):
        return None
    if not _covers(about.steps, min(start, end), max(start, end)):
        return None
    way, most = a.where.distance(b.where), bare.limit * float(torch.as_tensor(bare.period).max()) * abs(end - start)
    why = f"{way:g} m lie between steps {start} and {end}, in which {most:g} m can be gone"
    return _sentence([a.name, b.name, limit.name], why) if way > most * (1 + 1e-6) + 1e-6 else None


def _sentence(names: list[str], why: str) -> str:
    return f"infeasible: {' and '.join(f'[{name}]' for name in dict.fromkeys(names))} cannot hold together: {why}."


def _inside(constraint: Constraint) -> Iterator[_Place]:
    """Sets that the position has to be inside of, or around them."""
    bare, about = _bare(constraint)
    if isinstance(bare, KeepInBox):
        yield _Place(constraint.name, about, bare.channels, box(*bare.low, *bare.high))
    elif isinstance(bare, KeepInRegion):
        yield _Place(constraint.name, about, bare.channels, bare.distance.region)
    elif isinstance(bare, OnRoad):
        yield _Place(constraint.name, about, (X, Y), bare.distance.region)
    elif isinstance(bare, ReachPoint) and (steps := _at(about.steps, bare.step)) is not None:
        disc = Point(bare.point).buffer(bare.tolerance * _AROUND, quad_segs=_QUARTER)
        yield _Place(constraint.name, _About(about.agents, steps), bare.channels, disc)
    elif isinstance(bare, Fixed):
        for at, values, mask in _given(bare, about):
            if bool(mask[X] and mask[Y]):
                x, y = values[[X, Y]].tolist()
                t = bare.tolerance * (1 + 1e-6) + 1e-6 * math.hypot(x, y)
                yield _Place(constraint.name, at, (X, Y), box(x - t, y - t, x + t, y + t))


def _outside(constraint: Constraint) -> Iterator[_Place]:
    """Sets that the position has to be outside of, or within them."""
    bare, about = _bare(constraint)
    if isinstance(bare, KeepOutDisc):
        disc = Point(bare.centre).buffer(bare.radius, quad_segs=_QUARTER)
        yield _Place(constraint.name, about, bare.channels, disc)
    elif isinstance(bare, KeepOutRegion):
        yield _Place(constraint.name, about, bare.channels, bare.distance.region)


def _ranges(constraint: Constraint) -> Iterator[_Range]:
    """Ranges that values have to lie in."""
    bare, about = _bare(constraint)
    if isinstance(bare, AttributeRange):
        middle, half = (bare.low + bare.high) / 2, (bare.high - bare.low) / 2
        yield _Range(constraint.name, about, bare.channel, middle, half, bare.turns)
    elif isinstance(bare, Fixed):
        for at, values, mask in _given(bare, about):
            for channel in mask.nonzero().flatten().tolist():
                yield _Range(constraint.name, at, channel, float(values[channel]), bare.tolerance, channel == HEADING)


def _given(fixed: Fixed, about: _About) -> Iterator[tuple[_About, torch.Tensor, torch.Tensor]]:
    """Values and masks `(D,)` of each agent and step; nothing where contexts have their own."""
    if fixed.values.ndim != fixed.mask.ndim:
        return
    if fixed.mask.ndim == 1:
        yield about, fixed.values, fixed.mask
    elif fixed.mask.ndim in (2, 3) and about.steps is None:
        for index in fixed.mask.any(-1).nonzero().tolist():
            agents = (index[0],) if len(index) == 2 else about.agents
            where = tuple(index)
            yield _About(agents, (index[-1], index[-1])), fixed.values[where], fixed.mask[where]


def _bare(constraint: Constraint) -> tuple[Constraint, _About]:
    """A constraint without what says whom and when it is about; one span and one choice of agents are taken off."""
    steps = None
    if isinstance(constraint, During):
        steps, constraint = (constraint.first, constraint.last), constraint.constraint
    if isinstance(constraint, OfAgents):
        return constraint.constraint, _About(constraint.agents, steps)
    return constraint, _About(constraint.agents if isinstance(constraint, OnRoad) else None, steps)


def _one_agent(*abouts: _About) -> bool:
    """Whether all of them are about one agent."""
    named = [set(about.agents) for about in abouts if about.agents is not None]
    return not named or bool(set.intersection(*named))


def _overlap(a: tuple[int, int] | None, b: tuple[int, int] | None) -> bool:
    if a is None or b is None or a == b:
        return True
    one_sign = len({number < 0 for number in (*a, *b)}) == 1
    return one_sign and max(a[0], b[0]) <= min(a[1], b[1])


def _covers(steps: tuple[int, int] | None, first: int, last: int) -> bool:
    return steps is None or (
        len({number < 0 for number in (*steps, first)}) == 1 and steps[0] <= first and last <= steps[1]
    )


def _at(steps: tuple[int, int] | None, step: int) -> tuple[int, int] | None:
    """The step of a span as one of the path; None where it depends on the path's length."""
    if steps is None:
        return step, step
    start = steps[0] if step >= 0 else steps[1] + 1
    number = start + step
    return (number, number) if (number < 0) == (steps[0 if step >= 0 else 1] < 0) else None


def _step(place: _Place) -> int | None:
    """The single step that a place is about."""
    steps = place.about.steps
    return steps[0] if steps is not None and steps[0] == steps[1] else None
