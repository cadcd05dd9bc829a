"""Metrics of scenes: what is known to fail fails, and motions are compared by their distributions."""

import math

import shapely
import torch

from planners.roads import OnRoad
from planners.scene_metrics import failures, realism
from tests.scenes import moving

ROAD = shapely.box(-20, -3, 60, 3)


def straight(offset=0.0, speed=5.0, steps=9, start=0.0):
    """One vehicle that drives along the road, `(T, 7)`."""
    t = 0.2 * torch.arange(steps)
    ones = torch.ones(steps)
    parts = [start + speed * t, offset * ones, 0 * ones, speed * ones, 4 * ones, 2 * ones, ones]
    return torch.stack(parts, -1).double()


def judged(*vehicles):
    scene = torch.stack(vehicles)[None]
    return {name: share.item() for name, share in failures(scene, ROAD, OnRoad(ROAD, cell=0.5))._asdict().items()}


def test_vehicles_apart_on_the_road_do_not_fail():
    assert set(judged(straight(), straight(start=8.0)).values()) == {0.0}


def test_a_corner_off_the_road_is_seen_by_the_box_and_not_by_the_centre():
    found = judged(straight(offset=2.5), straight(offset=-1.0, start=9.0))
    assert found["off_road_centre"] == 0 and found["off_road_box"] == 0.5
    assert found["off_road_swept"] == 0.5 and found["fail"] == 0.5 and found["collision"] == 0


def test_a_centre_off_the_road_counts_by_steps():
    leaving = straight(speed=10.0, start=45.0)  # passes x = 60 after 1.5 s
    found = judged(leaving)
    later = leaving[1:, 0]
    assert found["off_road_centre"] == (later > 60).double().mean().item()


def test_vehicles_that_pass_through_one_another_between_steps_collide_only_when_swept():
    across = straight(speed=30.0)
    across[:, 0] = 8.0
    across[:, 1] = torch.linspace(-48, 48, 9).double()  # 12 m a step, in the way at y = 0 in the middle
    across[:, 2] = math.pi / 2
    across[:, 1] += 6.0
    found = judged(straight(speed=0.0, start=8.0), across)
    assert found["collision"] == 0 and found["collision_swept"] == 1.0


def test_overlapping_vehicles_fail_and_the_absent_do_not():
    assert judged(straight(), straight(start=1.0))["fail"] == 1.0
    absent = straight(start=1.0)
    absent[:, 6] = 0
    assert judged(straight(), absent)["fail"] == 0


def test_scenes_are_as_real_as_themselves_and_less_with_other_motions():
    scenes = moving(0, agents=4, steps=21, rows=6)
    assert realism(scenes, scenes, 0.2) == (0.0, 0.0, 0.0)
    faster = scenes.clone()
    seconds = 0.2 * torch.arange(21).double()
    faster[..., 3] += 1.0 * seconds  # 1 m/s^2 more
    found = realism(faster, scenes, 0.2)
    assert found.real > 0.2 and found.unclipped > 0.2
    # All agents alike: nothing changes between them along their ways.
    still = scenes.clone()
    still[..., 2] = still[..., :1, 2]
    more = still.clone()
    more[..., 3] += 1.0 * seconds
    assert realism(more, still, 0.2).relative < 0.03  # rounding moves some across the edge of a bin at zero
    assert abs(realism(more, still, 0.2).unclipped - 1 / 3) < 1e-6
