"""People who walk by social forces: the law of the force, and what a plaza keeps to."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from envs import social_force
from envs.social_force import (
    DELTA,
    PERIOD,
    REACH,
    ROOM,
    SIGMA,
    U_0,
    V_0,
    SocialForce,
    pushed_off,
    repulsion,
    seen,
    walked,
)

points = arrays.arrays(np.float64, (2,), elements=st.floats(-4, 4))


def potential(place, other, velocity):
    r, s = place - other, DELTA * velocity
    axis = np.sqrt(max((np.linalg.norm(r) + np.linalg.norm(r - s)) ** 2 - s @ s, 0)) / 2
    return V_0 * np.exp((ROOM - axis) / SIGMA), axis


@given(points, points, arrays.arrays(np.float64, (2,), elements=st.floats(-1.5, 1.5)))
def test_the_force_is_minus_the_slope_of_its_potential(place, other, velocity):
    if potential(place, other, velocity)[1] < 0.1 or np.linalg.norm(place - other) < 0.05:
        return  # bounded there
    step = 1e-6
    slope = [
        (potential(place + h, other, velocity)[0] - potential(place - h, other, velocity)[0]) / (2 * step)
        for h in step * np.eye(2)
    ]
    found = repulsion(place[None], other[None], velocity[None])[0, 0]
    assert found == pytest.approx(-np.array(slope), abs=1e-4)


def test_forces_are_finite_everywhere():
    same = np.zeros((1, 2))
    assert np.isfinite(repulsion(same, same, same)).all()
    on_the_way = repulsion(np.array([[0.5, 0.0]]), same, np.array([[1.0, 0.0]]))
    assert np.isfinite(on_the_way).all()


def test_what_lies_behind_counts_by_half():
    ahead = np.array([[1.0, 0.0]])
    forces = np.array([[[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])  # from ahead, from behind, from the side
    assert seen(ahead, forces) == pytest.approx(forces * np.array([1.0, 0.5, 1.0])[:, None])


def test_a_lonely_person_crosses_in_a_straight_line_at_its_speed():
    plaza = SocialForce(1, 8.0, np.random.default_rng(3))
    first, number = plaza.positions[0].copy(), plaza.numbers[0]
    path = [first]
    while plaza.numbers[0] == number:
        path.append(plaza.positions[0].copy())
        plaza.step()
    way = path[-1] - first
    off = np.abs(np.cross(np.append(way, 0), np.append(np.array(path) - first, np.zeros((len(path), 1)), 1))[:, 2])
    assert (off / np.linalg.norm(way)).max() < 0.15  # of the noise alone
    assert 0.5 < np.linalg.norm(way) / (PERIOD * len(path)) < 2.2


def test_nobody_is_faster_than_the_limit_and_everybody_is_on_the_plaza():
    plaza = SocialForce(20, 6.0, np.random.default_rng(0))
    for _ in range(200):
        before, numbers = plaza.positions.copy(), plaza.numbers.copy()
        plaza.step(np.zeros(4))
        stayed = numbers == plaza.numbers
        moved = np.linalg.norm(plaza.positions - before, axis=1)[stayed] / PERIOD
        assert (moved <= social_force._FASTEST * plaza._speeds[stayed] + 1e-9).all()
        assert (np.abs(plaza.positions) <= 6.8).all() and len(set(plaza.numbers)) == 20


def test_people_keep_clear_of_one_another_and_of_a_guest():
    """Without forces far more of them meet."""

    def meetings(strength, monkeypatch):
        monkeypatch.setattr(social_force, "V_0", strength)
        plaza, met = SocialForce(16, 6.0, np.random.default_rng(1)), 0
        for _ in range(300):
            plaza.step(np.zeros(4))
            places = np.concatenate([plaza.positions, np.zeros((1, 2))])
            apart = np.linalg.norm(places[:, None] - places, axis=-1) + 9 * np.eye(len(places))
            met += int((apart < 0.4).sum())
        return met

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert meetings(V_0, monkeypatch) < 0.1 * meetings(0.0, monkeypatch)


def test_a_walk_is_a_function_of_its_seed():
    one, same, other = (
        walked(6, 30, half=6.0, every=4, generator=np.random.default_rng(seed))[0] for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other) and one.shape == (30, 6, 2)


PILLARS = [shapely.Point(0, 0).buffer(1.0), shapely.box(3, -4, 4, -2), shapely.LineString([(-4, 2), (-4, 4)])]


@pytest.mark.parametrize("obstacle", PILLARS, ids=lambda geometry: geometry.geom_type)
def test_the_force_of_an_obstacle_is_minus_the_slope_of_its_potential(obstacle):
    def push(place):
        return U_0 * np.exp(-obstacle.distance(shapely.Point(place)) / REACH)

    step = 1e-6
    for place in np.random.default_rng(0).uniform(-5, 5, (40, 2)):
        if not 0.05 < obstacle.distance(shapely.Point(place)) < 2:
            continue
        slope = [(push(place + h) - push(place - h)) / (2 * step) for h in step * np.eye(2)]
        assert pushed_off(place[None], [obstacle])[0, 0] == pytest.approx(-np.array(slope), abs=1e-3)


def test_who_is_within_an_obstacle_is_pushed_out_by_the_shortest_way():
    force = pushed_off(np.array([[0.9, 0.0], [0.0, -1.8]]), [shapely.box(-1, -2, 1, 2)])[:, 0]
    assert force == pytest.approx(U_0 / REACH * np.array([[1.0, 0.0], [0.0, -1.0]]))


def test_nobody_walks_through_obstacles_and_people_still_cross():
    at, who = walked(16, 300, half=8.0, every=4, generator=np.random.default_rng(0), obstacles=PILLARS)
    points = shapely.points(at)
    assert not any(shapely.contains(obstacle, points).any() for obstacle in PILLARS)
    on = shapely.linestrings(np.stack([at[:-1], at[1:]], 2))[who[1:] == who[:-1]]
    assert not any(shapely.crosses(obstacle, on).any() for obstacle in PILLARS)
    assert (np.diff(who, axis=0) != 0).sum() > 60
