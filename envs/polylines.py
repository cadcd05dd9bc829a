"""Polylines in the plane: arc length, even samples, direction, smoothing.

A polyline has corners p_0, ..., p_n; its arc length at p_k is s_k = sum_{j < k} |p_{j+1} - p_j|, and between corners
p is linear in s. The direction at a corner is that of the central difference p_{k+1} - p_{k-1}.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Points = NDArray[np.float64]


def arc_length(points: Points) -> NDArray[np.float64]:
    """Arc length at every corner [m], shape `(P,)`, from points `(P, 2)` [m]."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def at(points: Points, length: NDArray[np.float64], s: NDArray[np.float64]) -> Points:
    """Points at arc lengths `s` `(S,)` of a polyline `(P, 2)` with arc lengths `length`; its ends beyond them."""
    return np.stack([np.interp(s, length, points[:, axis]) for axis in (0, 1)], axis=1)


def resample(points: Points, count: int) -> Points:
    """`count` >= 2 points `(count, 2)`, evenly spaced by arc length, from the first corner to the last."""
    length = arc_length(points)
    return at(points, length, np.linspace(0.0, length[-1], count))


def extended(points: Points, before: float, after: float) -> Points:
    """The polyline with a straight piece of `before` [m] at its start and `after` [m] at its end."""
    first, last = _unit(points[0] - points[1]), _unit(points[-1] - points[-2])
    return np.concatenate([[points[0] + before * first], points, [points[-1] + after * last]])


def without_repeats(points: Points) -> Points:
    """The polyline without corners that lie on the one before, within 1e-6 m."""
    keep = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
    return points[np.concatenate([[True], keep])]


def headings(points: Points) -> NDArray[np.float64]:
    """Direction at every corner [rad], shape `(P,)`, continuous along the polyline (it may leave [-pi, pi])."""
    around = np.concatenate([points[1:2] - points[:1], points[2:] - points[:-2], points[-1:] - points[-2:-1]])
    return np.unwrap(np.arctan2(around[:, 1], around[:, 0]))


def smoothed(points: Points, *, step: float, width: float) -> Points:
    """Evenly spaced points on a polyline whose kinks a Gaussian rounds off.

    Args:
        points: Corners [m], shape `(P, 2)`.
        step: Spacing [m]; the last sample lies up to one step before the end.
        width: Standard deviation of the Gaussian along the polyline [m]; straight pieces stay as they are.
    """
    margin = 4 * width
    length = float(arc_length(points)[-1])
    longer = extended(points, margin, margin)
    s = np.arange(-np.ceil(margin / step), np.floor((length + margin) / step + 1e-9) + 1) * step + margin
    even = at(longer, arc_length(longer), s)
    rounded = gaussian_filter1d(even, width / step, axis=0, mode="nearest")
    inside = (s > margin - 1e-9) & (s < margin + length + 1e-9)
    return rounded[inside]


def _unit(vector: Points) -> Points:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
