"""Vehicles and their drivers: sizes and habits, drawn within ranges.

Ranges, uniform: cars are 3.8 to 5.2 m long and 1.7 to 2.0 m wide, trucks (15 %) 7 to 11 m and 2.3 to 2.5 m. A driver's
largest acceleration is 1.0 to 2.0 m/s^2, comfortable braking 1.5 to 3.0 m/s^2, time headway 1.0 to 1.8 s, gap at
standstill 1.5 to 3.0 m, share of the speed limit 0.85 to 1.1 and lateral acceleration 2.0 to 3.5 m/s^2: the values for
cities and motorways in the source lie within.

Source: Treiber, Hennecke and Helbing 2000, Congested traffic states in empirical observations and microscopic
simulations, Phys. Rev. E 62.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

TRUCKS = 0.15
"""Share of trucks."""


@final
@dataclass(frozen=True)
class Vehicle:
    """A vehicle with its driver.

    Attributes:
        length: [m].
        width: [m].
        acceleration: Largest acceleration a [m/s^2].
        braking: Comfortable braking b [m/s^2].
        headway: Time headway T [s].
        gap: Gap at standstill s_0 [m].
        eagerness: Wanted speed as a share of the limit.
        lateral: Largest lateral acceleration in curves [m/s^2].
    """

    length: float = 4.6
    width: float = 1.85
    acceleration: float = 1.5
    braking: float = 2.0
    headway: float = 1.4
    gap: float = 2.0
    eagerness: float = 1.0
    lateral: float = 2.5


def draw_vehicle(generator: np.random.Generator, *, trucks: float = TRUCKS) -> Vehicle:
    """A vehicle from the ranges above, nine numbers of the generator.

    Args:
        generator: What to draw from.
        trucks: Probability of a truck.
    """
    share = generator.uniform(size=9)
    low, high = ((7.0, 2.3), (11.0, 2.5)) if share[0] < trucks else ((3.8, 1.7), (5.2, 2.0))
    least = np.array([*low, 1.0, 1.5, 1.0, 1.5, 0.85, 2.0])
    most = np.array([*high, 2.0, 3.0, 1.8, 3.0, 1.1, 3.5])
    return Vehicle(*(least + share[1:] * (most - least)).tolist())
