"""The projection keeps small shapes and the lengths of the ellipsoid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.mercator import Mercator

latitudes = st.floats(-80, 80)
small = st.floats(-0.02, 0.02)

A, F = 6378137.0, 1 / 298.257223563
E2 = F * (2 - F)


@given(latitudes, st.floats(-179, 179), small, small)
def test_near_the_point_it_is_the_tangent_plane_of_the_ellipsoid(latitude, longitude, north, east):
    here = Mercator(latitude, longitude)(np.array([latitude + north]), np.array([longitude + east]))[0]
    sine = np.sin(np.radians(latitude + north / 2))
    meridian = A * (1 - E2) / (1 - E2 * sine**2) ** 1.5
    sine = np.sin(np.radians(latitude + north))
    parallel = A / np.sqrt(1 - E2 * sine**2) * np.cos(np.radians(latitude + north))
    x, y = parallel * np.radians(east), meridian * np.radians(north)
    y += parallel * np.sin(np.radians(latitude + north)) * np.radians(east) ** 2 / 2  # meridians converge
    assert here == pytest.approx([x, y], abs=0.02)


@given(latitudes, st.floats(-1, 1), st.floats(0.1, 3))
def test_it_is_conformal(latitude, east, angle):
    project = Mercator(latitude, 0.0)
    step = 1e-5
    a, b, c = project(np.array([latitude, latitude + step, latitude]), np.array([east, east, east + step]))
    north, right = b - a, c - a
    assert abs(north @ right) < 1e-4 * np.linalg.norm(north) * np.linalg.norm(right)


def test_a_quarter_meridian_is_as_long_as_the_ellipsoids():
    way = Mercator(0.0, 0.0)(np.array([-85.0, 85.0]), np.zeros(2))
    phi = np.radians(np.linspace(-85, 85, 20001))
    exact = np.trapezoid(A * (1 - E2) / (1 - E2 * np.sin(phi) ** 2) ** 1.5, phi)
    assert way[1, 1] - way[0, 1] == pytest.approx(exact, abs=0.01)
    assert np.allclose(way[:, 0], 0)


def test_poles_are_refused():
    with pytest.raises(ValueError, match=r"latitude of a map must lie in \[-85, 85\] degrees; got 89"):
        Mercator(89.0, 0.0)
