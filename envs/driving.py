"""Reactive traffic: vehicles that follow their paths by the Intelligent Driver Model.

A vehicle at arc length s of its path with speed v, driver (a, b, T, s_0), wanted speed v_0(s) (see `envs.paths`) and a
leader at gap g with speed v_l accelerates by

    dv/dt = free - a (s* / g)^2,    s* = s_0 + max(0, v T + v (v - v_l) / (2 sqrt(a b))),
    free = a (1 - (v / v_0)^4) for v <= v_0,    -b (1 - (v_0 / v)^(4 a / b)) for v > v_0,

between -HARDEST and a; the strongest of all interactions counts. Leaders are

- the first of two that go through a zone together, at the gap of their places u (before a merge: as if it were on the
  same lane already, or the zone's beginning as a line to stop at where that asks for less);
- the beginning of a zone where somebody else goes first, as a line to stop at;
- a guest, a vehicle moved from outside, wherever its box covers the path.

Positions follow by the ballistic rule s += (v + v') dt / 2. Laterally vehicles follow their paths exactly.

Sources: Treiber, Hennecke and Helbing 2000, Phys. Rev. E 62; the free part above v_0: Kesting, Treiber and Helbing
2010, Enhanced intelligent driver model (arXiv:0912.3613).
"""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs.conflicts import Zones, concatenated, zones_between
from envs.paths import STEP, Path
from envs.right_of_way import order, unlocked
from envs.vehicles import Vehicle

HARDEST = 8.0
"""Largest braking [m/s^2]."""
_LINE = 0.5  # distance kept from a line to stop at [m]
_TOUCH = 0.1  # smallest gap that is told apart [m]
_STANDS = 0.2  # [m/s]


@final
class Traffic:
    """Vehicles on paths.

    Args:
        vehicles: N vehicles.
        paths: Their paths.
        zones: All zones of their pairs.
        s: Where their middles start on the paths [m], shape `(N,)`.
        speed: Their speeds at the start [m/s], shape `(N,)`.

    Attributes:
        s: Where they are on their paths [m], shape `(N,)`.
        speed: [m/s], shape `(N,)`.
        active: Whether they are still on the map, shape `(N,)`.
    """

    def __init__(
        self,
        vehicles: Sequence[Vehicle],
        paths: Sequence[Path],
        zones: Zones,
        s: NDArray[np.float64],
        speed: NDArray[np.float64],
    ) -> None:
        self.vehicles, self.paths = list(vehicles), list(paths)
        self.s, self.speed = s.copy(), speed.copy()
        self.active = np.ones(len(s), dtype=np.bool_)
        self.sizes = np.array([(vehicle.length, vehicle.width) for vehicle in vehicles])
        self._habits = np.array([(v.acceleration, v.braking, v.headway, v.gap) for v in vehicles]).T
        self._zones = zones
        self._first = np.full(len(zones), -1)
        self._standing = np.zeros(len(s))
        self._guest: NDArray[np.float64] | None = None
        self._stack()

    def twin(self) -> "Traffic":
        """The same traffic at the same time, to go on by itself; a guest becomes one of the vehicles."""
        twin = Traffic(self.vehicles, self.paths, self._zones, self.s, self.speed)
        twin.active, twin._first, twin._standing = self.active.copy(), self._first.copy(), self._standing.copy()
        return twin

    def boxes(self) -> NDArray[np.float64]:
        """Boxes (x, y, heading, length, width) of all vehicles, shape `(N, 5)`."""
        low, share = self._places()
        rows = np.arange(len(self.s))
        line = (1 - share)[:, None] * self._lines[rows, low] + share[:, None] * self._lines[rows, low + 1]
        boxes = np.concatenate([line[:, :3], self.sizes], axis=1)
        if self._guest is not None:
            boxes[0] = self._guest
        return boxes

    def host(self, box: NDArray[np.float64], speed: float) -> float:
        """Vehicle 0 is moved from outside from now on; the others expect it to follow its path.

        Args:
            box: Where it is, shape `(5,)`.
            speed: Its speed [m/s].

        Returns:
            Its distance from its path [m].
        """
        low = max(int(self.s[0] / STEP) - 5, 0)
        near = self._lines[0, low : low + 20, :2] - box[:2]
        nearest = int(np.argmin((near**2).sum(1)))
        heading = self._lines[0, low + nearest, 2]
        along = -near[nearest, 0] * np.cos(heading) - near[nearest, 1] * np.sin(heading)
        self._guest = box
        self.s[0] = min(max(STEP * (low + nearest) + along, 0.0), self._lengths[0])
        self.speed[0] = speed
        return float(np.linalg.norm(near[nearest]))

    def reroute(self, path: Path, s: float) -> None:
        """Vehicle 0 takes another path from arc length `s` [m] on."""
        keep = (self._zones.pair != 0).all(1)
        fresh = zones_between(0, path, self.paths)
        other = fresh.pair[:, 0] != 0
        kept = Zones(*(getattr(self._zones, name)[keep] for name in Zones.__dataclass_fields__))
        found = Zones(*(getattr(fresh, name)[other] for name in Zones.__dataclass_fields__))
        self._zones = concatenated([kept, found])
        self._first = np.concatenate([self._first[keep], np.full(int(other.sum()), -1)])
        self.paths[0] = path
        self.s[0] = s
        self._stack()

    def step(self, period: float) -> None:
        """Move all vehicles but a guest by one period [s]."""
        acceleration = self.accelerations()
        moved = np.maximum(self.speed + period * acceleration, 0.0)
        if self._guest is not None:
            moved[0] = self.speed[0]
        ahead = period * (self.speed + moved) / 2
        if self._guest is not None:
            ahead[0] = 0.0
        self.s = self.s + np.where(self.active, ahead, 0.0)
        self.speed = moved
        self._standing = np.where(moved < _STANDS, self._standing + period, 0.0)
        # A path was checked to stay on the road at its points; what comes after the last of them was not.
        leaving = self.s + self.sizes[:, 0] / 2 >= self._lengths - STEP
        if self._guest is not None:
            leaving[0] = False
        self.active &= ~leaving

    def accelerations(self) -> NDArray[np.float64]:
        """What the drivers do now [m/s^2], shape `(N,)`; decides who goes first where ways meet."""
        a, b, _, _ = self._habits
        low, share = self._places()
        rows = np.arange(len(self.s))
        wanted = (1 - share) * self._lines[rows, low, 3] + share * self._lines[rows, low + 1, 3]
        v = self.speed
        ratio = v / np.maximum(wanted, 0.1)
        below = a * (1 - np.minimum(ratio, 1.0) ** 4)
        above = -b * (1 - np.maximum(ratio, 1.0) ** (-4 * a / b))
        strength = np.zeros(len(v))
        if len(self._zones):
            self._yield(strength)
        if self._guest is not None:
            self._mind_guest(strength)
        return np.clip(np.where(ratio <= 1, below, above) - a * strength, -HARDEST, a)

    def _yield(self, strength: NDArray[np.float64]) -> None:
        """Interactions (s* / g)^2 with those that go first, the largest of each vehicle into `strength`."""
        zones, length = self._zones, self.sizes[:, 0]
        now = order(zones, self.s, self.speed, length, self.active, self._first)
        may = self.active.copy()
        if self._guest is not None:
            may[0] = False
        _, self._first = unlocked(zones, now, self._standing, may)
        rows = np.flatnonzero(now.alive)
        first = self._first[rows]
        leader, second = zones.pair[rows, first], zones.pair[rows, 1 - first]
        u = self.s[zones.pair[rows]] - zones.align[rows]
        here = np.arange(len(rows))
        gap = u[here, first] - u[here, 1 - first] - (length[leader] + length[second]) / 2
        follow = self._interaction(second, gap, self.speed[leader])
        margin = self._habits[3][second] - _LINE
        line = self._interaction(second, now.distance[rows, 1 - first] + margin, np.zeros(len(rows)))
        inside, together = now.inside[rows, 1 - first], zones.together[rows]
        outside = np.where(together, np.minimum(follow, line), line)
        here_too = np.where(together, follow, self._interaction(second, np.full(len(rows), _TOUCH), 0.0 * gap))
        np.maximum.at(strength, second, np.where(inside, here_too, outside))

    def _mind_guest(self, strength: NDArray[np.float64]) -> None:
        """Interactions with the guest's box where it covers a path ahead."""
        assert self._guest is not None
        x, y, heading, length, width = self._guest
        turn = self._lines[..., 2] - heading
        cosine, sine = np.abs(np.cos(turn)), np.abs(np.sin(turn))
        apart = np.hypot(self._lines[..., 0] - x, self._lines[..., 1] - y)
        covered = apart < self._reach + (length * sine + width * cosine) / 2
        s = STEP * np.arange(self._lines.shape[1])
        covered &= (s > self.s[:, None]) & (s <= self._lengths[:, None])
        covered[0] = False
        who = np.flatnonzero(covered.any(1) & self.active)
        at = covered[who].argmax(1)
        gap = s[at] + apart[who, at] - self._extent(who, at) - self.s[who] - self.sizes[who, 0] / 2
        along = self.speed[0] * np.maximum(np.cos(turn[who, at]), 0.0)
        np.maximum.at(strength, who, self._interaction(who, gap, along))

    def _extent(self, who: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Half the extent of the guest's box along the paths of others [m]."""
        assert self._guest is not None
        turn = self._lines[who, at, 2] - self._guest[2]
        return (self._guest[3] * np.abs(np.cos(turn)) + self._guest[4] * np.abs(np.sin(turn))) / 2

    def _interaction(
        self, who: NDArray[np.int64], gap: NDArray[np.float64], leader: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        a, b, headway, least = self._habits[:, who]
        v = self.speed[who]
        wanted = least + np.maximum(v * headway + v * (v - leader) / (2 * np.sqrt(a * b)), 0.0)
        return np.asarray((wanted / np.maximum(gap, _TOUCH)) ** 2)

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The point of each path before the vehicle, and the share of the way to the next."""
        whole = np.minimum(self.s, self._lengths) / STEP
        low = np.minimum(whole.astype(np.int64), (self._lengths / STEP).astype(np.int64) - 1)
        return low, whole - low

    def _stack(self) -> None:
        """Paths as arrays, filled up with their last points: x, y, heading and speed, `(N, P, 4)`."""
        self._lengths = np.array([path.length for path in self.paths])
        longest = max(len(path.points) for path in self.paths)
        lines = [np.column_stack([path.points, path.headings, path.speeds, path.reach]) for path in self.paths]
        filled = [np.concatenate([line, np.repeat(line[-1:], longest - len(line), axis=0)]) for line in lines]
        stacked = np.stack(filled)
        self._lines, self._reach = stacked[..., :4], stacked[..., 4]
