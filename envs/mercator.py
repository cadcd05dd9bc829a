"""Positions on the earth as metres in a plane: a transverse Mercator projection around a point.

Krueger's series to the third order in the ellipsoid's third flattening n, with scale 1 on the meridian of the point:
positions are exact to a millimetre, distances at x metres from the meridian are too long by the share x^2 / (2 R^2),
R = 6371 km, which is 1.2 mm per km at 10 km.

Source: Karney 2011, Transverse Mercator with an accuracy of a few nanometers, equations (7) to (12); the ellipsoid is
that of WGS 84.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

_RADIUS = 6378137.0  # equatorial radius [m]
_FLATTENING = 1 / 298.257223563
_N = _FLATTENING / (2 - _FLATTENING)
_MERIDIAN = _RADIUS / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_ALPHA = (
    _N / 2 - 2 * _N**2 / 3 + 5 * _N**3 / 16,
    13 * _N**2 / 48 - 3 * _N**3 / 5,
    61 * _N**3 / 240,
)
_E = 2 * np.sqrt(_N) / (1 + _N)


@final
class Mercator:
    """A projection around a point.

    Args:
        latitude: Of the point [degrees], in [-85, 85].
        longitude: Of the point [degrees].

    Raises:
        ValueError: If the point is too close to a pole.
    """

    def __init__(self, latitude: float, longitude: float) -> None:
        if not -85 <= latitude <= 85:
            raise ValueError(f"the latitude of a map must lie in [-85, 85] degrees; got {latitude}.")
        self._longitude = longitude
        self._north = 0.0
        self._north = float(self(np.array([latitude]), np.array([longitude]))[0, 1])

    def __call__(self, latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres east and north of the point, shape `(P, 2)`, from degrees, shapes `(P,)`."""
        sine = np.sin(np.radians(latitude))
        east = np.radians(longitude - self._longitude)
        conformal = np.sinh(np.arctanh(sine) - _E * np.arctanh(_E * sine))
        xi = np.arctan2(conformal, np.cos(east))
        eta = np.arctanh(np.sin(east) / np.sqrt(1 + conformal**2))
        x = eta + sum(a * np.cos(2 * k * xi) * np.sinh(2 * k * eta) for k, a in enumerate(_ALPHA, 1))
        y = xi + sum(a * np.sin(2 * k * xi) * np.cosh(2 * k * eta) for k, a in enumerate(_ALPHA, 1))
        return np.stack([_MERIDIAN * x, _MERIDIAN * y - self._north], axis=1)
