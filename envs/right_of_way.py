"""Who goes first where ways meet.

For each zone of two vehicles (see `envs.conflicts`) one of them is first and the other yields:

- who is in the zone already is first; of two in it the one in front, if they go through it together, else the one that
  was first before, or else is farther in;
- of two before it, who can no longer stop is first, else who arrives first, with the arrival time of constant
  acceleration a from the present speed, t = 2 d / (v + sqrt(v^2 + 2 a d)); ties go to the lower number;
- once the earlier arrival is less than DECIDED away the order stays as it is, unless the one that yields has left the
  zone CLEAR before the other comes: then it goes;
- vehicles that stand for PATIENCE and all wait for others that stand: the lowest number goes.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs.conflicts import Zones

DECIDED = 5.0
"""Time before the first arrival from which an order is kept [s]."""
CLEAR = 1.5
"""Time between leaving a zone and the other's arrival that is enough to go first [s]."""
PATIENCE = 2.0
"""Time at standstill after which a deadlock is looked for [s]."""
_EXPECTED = 1.5  # acceleration in estimates of arrival [m/s^2]
_HARD = 5.0  # braking that nobody wants to exceed to yield [m/s^2]
_NEAR = 15.0  # a vehicle this close to what it waits for is waiting for it [m]


@final
@dataclass(frozen=True, eq=False)
class Order:
    """The state of all zones at one time; columns 0 and 1 are the two vehicles.

    Attributes:
        alive: Zones that still matter, shape `(K,)`.
        inside: Whether a vehicle is in the zone, shape `(K, 2)`.
        distance: From its front to the zone, negative inside [m], shape `(K, 2)`.
        first: Column of the vehicle that goes first, shape `(K,)`.
    """

    alive: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    distance: NDArray[np.float64]
    first: NDArray[np.int64]


def arrival(distance: NDArray[np.float64], speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Time to cover a distance [m] from a speed [m/s] with the expected acceleration [s]; 0 for no distance."""
    d = np.maximum(distance, 0.0)
    return np.asarray(2 * d / np.maximum(speed + np.sqrt(speed**2 + 2 * _EXPECTED * d), 1e-9))


def order(
    zones: Zones,
    s: NDArray[np.float64],
    speed: NDArray[np.float64],
    length: NDArray[np.float64],
    active: NDArray[np.bool_],
    before: NDArray[np.int64],
) -> Order:
    """Who goes first in each zone.

    Args:
        zones: K zones of N vehicles.
        s: Where the vehicles' middles are on their paths [m], shape `(N,)`.
        speed: [m/s], shape `(N,)`.
        length: Of the vehicles [m], shape `(N,)`.
        active: Whether a vehicle is there, shape `(N,)`.
        before: Who was first so far, a column or -1, shape `(K,)`.
    """
    pair, half = zones.pair, length[zones.pair] / 2
    distance = zones.enter - s[pair] - half
    remaining = zones.leave - s[pair] + half
    inside = (distance < 0) & (remaining > 0)
    alive = np.asarray(active[pair].all(1) & (remaining > 0).all(1))
    v = speed[pair]
    time = arrival(distance, v)
    stuck = v**2 / (2 * _HARD) > distance
    earlier = np.where(time[:, 0] <= time[:, 1], 0, 1)
    first = np.where((before < 0) | (time.min(1) > DECIDED), earlier, before)
    yields = 1 - first
    rows = np.arange(len(first))
    goes = ~zones.together & (arrival(remaining, v)[rows, yields] + CLEAR < time[rows, first]) & ~stuck[rows, first]
    first = np.where(goes, yields, first)
    first = np.where(stuck[:, 0] != stuck[:, 1], np.where(stuck[:, 0], 0, 1), first)
    first = np.where(inside[:, 0] != inside[:, 1], np.where(inside[:, 0], 0, 1), first)
    ahead = s[pair] - zones.align
    in_front = np.where(ahead[:, 0] >= ahead[:, 1], 0, 1)
    deeper = np.where(distance[:, 0] <= distance[:, 1], 0, 1)
    both = inside.all(1)
    first = np.where(both & (before < 0), deeper, first)
    first = np.where(both & zones.together, in_front, first)
    return Order(alive, inside, distance, first)


def unlocked(
    zones: Zones, now: Order, standing: NDArray[np.float64], may: NDArray[np.bool_]
) -> tuple[int | None, NDArray[np.int64]]:
    """Resolve a deadlock, if there is one.

    Args:
        zones: K zones of N vehicles.
        now: Their order.
        standing: How long each vehicle has been standing [s], shape `(N,)`.
        may: Vehicles that go when they are told to, shape `(N,)`.

    Returns:
        The vehicle that goes now, or None, and who is first in each zone, shape `(K,)`.
    """
    rows = np.arange(len(now.first))
    stands = standing > PATIENCE
    second, first = zones.pair[rows, 1 - now.first], zones.pair[rows, now.first]
    waits = now.alive & (now.distance[rows, 1 - now.first] < _NEAR)
    # Nobody can go through someone who is in the zone, and a queue is no deadlock.
    firm = waits & (now.inside[rows, now.first] | ~stands[first])
    free = stands & may
    free[second[firm]] = False
    waiting = np.zeros(len(standing), dtype=np.bool_)
    waiting[second[waits]] = True
    found = np.flatnonzero(free & waiting)
    if not len(found):
        return None, now.first
    goes = int(found[0])
    return goes, np.where(waits & (second == goes), 1 - now.first, now.first)
