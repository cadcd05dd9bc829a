r"""Time along a path: how fast a path in the plane can be run through under limits of speed and acceleration.

The path is resampled to equal lengths h. With v the speed along it and k the curvature, the acceleration has the parts
dv/dt along the path and k v^2 across it, so with w = v^2, dw/ds = 2 dv/dt,

    w <= V^2,    k w <= A,    (dw/ds / 2)^2 + (k w)^2 <= A^2.

The fastest profile is the largest w below the first two limits that a pass forwards can accelerate to and a pass
backwards can brake from; it ends at rest. Between two samples the acceleration is constant, which gives the time.

Source: Bobrow, Dubowsky and Gibson 1985, Time-optimal control of robotic manipulators along specified paths (IJRR).
"""

import numpy as np

SPACING = 0.01
"""Longest distance between samples of a path [m]."""


def timed(path: np.ndarray, *, start: float, speed: float, acceleration: float, period: float) -> np.ndarray:
    """The states of a run along a path, one a period, the path's end included and its start not.

    Args:
        path: Corners of the path `(P, 2)` [m], P >= 2.
        start: Speed at the start [m/s], cut to what the limits allow.
        speed: Largest speed V [m/s], > 0.
        acceleration: Largest acceleration A [m/s^2], > 0.
        period: Time between states [s], > 0.

    Returns:
        Positions and velocities `(T, 4)` [m, m/s]; the last one is the path's end, at rest.
    """
    points, spacing = resampled(path, SPACING)
    if spacing == 0:
        return np.concatenate([path[-1], [0, 0]])[None]
    tangents = np.diff(points, axis=0) / spacing
    curvature = np.zeros(len(points))
    curvature[1:-1] = _turns(tangents) / spacing
    squares = np.minimum(speed**2, acceleration / np.maximum(curvature, 1e-9))
    squares[0], squares[-1] = min(squares[0], max(start, 0.0) ** 2), 0
    _accelerate(squares, curvature, spacing, acceleration)
    _accelerate(squares[::-1], curvature[::-1], spacing, acceleration)
    return _sampled(points, tangents, np.sqrt(squares), spacing, period)


def resampled(path: np.ndarray, spacing: float) -> tuple[np.ndarray, float]:
    """Points at equal distances of at most a spacing along a path `(L, 2)`, three or more, and their distance [m]."""
    along = np.concatenate([[0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    count = max(int(np.ceil(along[-1] / spacing)), 2)
    at = np.linspace(0, along[-1], count + 1)
    return np.stack([np.interp(at, along, path[:, axis]) for axis in (0, 1)], 1), float(along[-1] / count)


def _turns(tangents: np.ndarray) -> np.ndarray:
    """Angles between neighbouring tangents [rad]."""
    a, b = tangents[:-1], tangents[1:]
    return np.abs(np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(1)))


def _accelerate(squares: np.ndarray, curvature: np.ndarray, spacing: float, acceleration: float) -> None:
    """Lowers squared speeds, in place, to those that can be reached from the sample before."""
    for index in range(len(squares) - 1):
        across = curvature[index] * squares[index]
        left = max(acceleration**2 - across**2, 0.0) ** 0.5
        squares[index + 1] = min(squares[index + 1], squares[index] + 2 * spacing * left)


def _sampled(points: np.ndarray, tangents: np.ndarray, speeds: np.ndarray, spacing: float, period: float) -> np.ndarray:
    """States at whole periods of a run with speeds at points."""
    lasts = 2 * spacing / np.maximum(speeds[:-1] + speeds[1:], 1e-9)
    times = np.concatenate([[0], lasts.cumsum()])
    at = np.minimum(period * np.arange(1, int(np.ceil(times[-1] / period)) + 1), times[-1])
    stretch = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(lasts) - 1)
    since = at - times[stretch]
    rise = (speeds[stretch + 1] - speeds[stretch]) / lasts[stretch]
    gone = speeds[stretch] * since + rise * since**2 / 2
    position = points[stretch] + gone[:, None] * tangents[stretch]
    velocity = (speeds[stretch] + rise * since)[:, None] * tangents[stretch]
    return np.concatenate([position, velocity], 1)
