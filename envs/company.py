"""The other vehicles of a driving episode: reactive ones, or tracks that are replayed.

States are rows (x, y, heading, speed, length, width, valid) [m, rad, m/s], row 0 is the ego's and row i the vehicle
that had slot i at the start: the nearest first. Rows of vehicles that are not there are zero.

The reference is how far the ego would have come: as one more vehicle of the reactive traffic, or by its own track.
"""

import abc
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs.boxes import overlapping
from envs.layout import BOX, STATE
from envs.placement import Placement
from envs.scenarios import Scenario, Track

PERIOD = 0.1
"""Control period [s]."""
_STRAYED = 2.0  # distance from its path at which the ego takes another one [m]
_CLEAR = 11  # steps in which a recorded ego must not overlap anybody
_LEAST = 50  # steps that a recording of the ego goes on after its start, if it is long enough
_SURROUNDINGS = {"pedestrian", "bicycle", "parkedVehicle", "constructionZone", "roadBoundary", "building", "pillar"}


class Company(abc.ABC):
    """The vehicles around the ego in one episode.

    Attributes:
        reference: How far the ego would have come in the whole episode [m].
    """

    reference: float

    @abc.abstractmethod
    def states(self) -> NDArray[np.float64]:
        """All vehicles now, shape `(agents, 7)`; row 0 is the ego's at the start of the episode."""

    @abc.abstractmethod
    def step(self, box: NDArray[np.float64], speed: float) -> None:
        """Move everybody else by one period, then see where the ego went: its box `(5,)` and speed [m/s]."""


@final
class Reactive(Company):
    """Traffic by the Intelligent Driver Model.

    Args:
        placement: Places vehicles on the map.
        agents: Vehicles with the ego.
        steps: Length of an episode, for the reference.
        generator: What to draw from, at the start and where the ego changes its way.
    """

    def __init__(self, placement: Placement, agents: int, steps: int, generator: np.random.Generator) -> None:
        self._placement, self._agents, self._generator = placement, agents, generator
        self._traffic = placement.draw(agents, generator)
        boxes = self._traffic.boxes()
        self._slots = np.argsort(np.linalg.norm(boxes[:, :2] - boxes[0, :2], axis=1), kind="stable")
        ahead = self._traffic.twin()
        for _ in range(steps):
            ahead.step(PERIOD)
        self.reference = float(ahead.s[0] - self._traffic.s[0])
        self._traffic.host(boxes[0], float(self._traffic.speed[0]))

    def states(self) -> NDArray[np.float64]:
        """See `Company`."""
        states = np.zeros((self._agents, STATE))
        boxes = self._traffic.boxes()
        found = np.concatenate(
            [boxes[:, :3], self._traffic.speed[:, None], boxes[:, 3:], np.ones((len(boxes), 1))], axis=1
        )
        states[: len(boxes)] = np.where(self._traffic.active[:, None], found, 0.0)[self._slots]
        return states

    def step(self, box: NDArray[np.float64], speed: float) -> None:
        """See `Company`."""
        self._traffic.step(PERIOD)
        if self._traffic.host(box, speed) > _STRAYED:
            (lanes,) = self._placement.road.ways.lanes(box[None, :2], box[2:3])
            path, s = self._placement.path(self._traffic.vehicles[0], *lanes[0], self._generator)
            self._traffic.reroute(path, s)


@final
class Replayed(Company):
    """Vehicles that follow given tracks and do not react.

    Args:
        tracks: States of all agents at all steps, shape `(agents, T, 7)`, T >= 1; then only the ego is left.
        steps: Length of an episode, for the reference.
    """

    def __init__(self, tracks: NDArray[np.float64], steps: int) -> None:
        self._tracks = np.where(tracks[..., -1:] > 0.5, tracks, 0.0)
        self._tracks[..., -1] = self._tracks[..., -1] > 0.5
        self._step = 0
        own = self._tracks[0, : steps + 1]
        there = (own[1:, -1] > 0) & (own[:-1, -1] > 0)
        self.reference = float((np.linalg.norm(np.diff(own[:, :2], axis=0), axis=1) * there).sum())

    def states(self) -> NDArray[np.float64]:
        """See `Company`."""
        if self._step >= self._tracks.shape[1]:
            return np.zeros((len(self._tracks), STATE))
        return self._tracks[:, self._step].copy()

    def step(self, box: NDArray[np.float64], speed: float) -> None:
        """See `Company`; where the ego is makes no difference."""
        self._step += 1


def recorded(
    scenario: Scenario, placement: Placement, agents: int, steps: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """A piece of a recording around one of its vehicles as tracks, shape `(agents, steps + 1, 7)`.

    The ego is a random vehicle at a random time at which its box is on the road and overlaps nobody for a second.

    Args:
        scenario: Map and recording with a period of 0.1 s.
        placement: Of the scenario's map.
        agents: Vehicles with the ego, the nearest at the start.
        steps: Length.
        generator: What to draw from.

    Raises:
        ValueError: If there is no such vehicle.
    """
    starts = [
        (track, track.first + step)
        for track in scenario.tracks
        if not track.static and track.kind not in _SURROUNDINGS
        for step in range(max(1, len(track.states) - _LEAST))
    ]
    for index in generator.permutation(len(starts)):
        track, start = starts[index]
        piece = _piece(_nearest(scenario, track, start)[:agents], start, agents, steps)
        if placement.covers(piece[0, 0, BOX]) and _free(piece[:, :_CLEAR]):
            return piece
    raise ValueError(f"{scenario.road.name}: no recorded vehicle is ever on the road; use others='idm'.")


def _nearest(scenario: Scenario, track: Track, start: int) -> list[Track]:
    """A track and all others that are there at a step, by their distance from it."""
    place = track.states[start - track.first]
    found = [(other, state) for other in scenario.tracks if (state := other.at(start)) is not None]
    apart = [0.0 if other is track else float(np.hypot(*(state - place)[:2])) for other, state in found]
    order = sorted(range(len(found)), key=lambda row: (apart[row], found[row][0] is not track))
    return [found[row][0] for row in order]


def _free(piece: NDArray[np.float64]) -> bool:
    """Whether the first of some vehicles overlaps none of the others, states `(agents, T, 7)`."""
    there = (piece[:1, :, -1] > 0) & (piece[1:, :, -1] > 0)
    return not bool((overlapping(piece[:1][..., BOX], piece[1:][..., BOX]) & there).any())


def _piece(tracks: list[Track], start: int, agents: int, steps: int) -> NDArray[np.float64]:
    piece = np.zeros((agents, steps + 1, STATE))
    for row, track in enumerate(tracks):
        for step in range(steps + 1):
            state = track.at(start + step)
            if state is not None:
                piece[row, step] = (*state, track.length, track.width, 1.0)
    return piece
