import math

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import tabletop_things
from envs.tabletop_scene import MOST, scene_of
from envs.tabletop_things import CLASSES


@given(st.integers(0, 10_000))
def test_a_thing_reaches_no_further_than_it_says_and_is_no_smaller_than_a_lip(seed):
    thing = tabletop_things.drawn(np.random.default_rng(seed))
    assert 0 <= thing.label < len(CLASSES)
    for part in thing.parts:
        far = {"box": np.linalg.norm(part.size), "sphere": part.size[0]}.get(part.kind)
        if part.kind in ("cylinder", "capsule"):
            far = math.hypot(*part.size) if part.kind == "cylinder" else sum(part.size)
        if len(thing.parts) == 1:
            assert thing.reach == pytest.approx(far)
        assert np.linalg.norm(part.at) <= thing.reach <= 0.06


def test_all_classes_are_drawn_about_equally_often():
    labels = [tabletop_things.drawn(np.random.default_rng(seed)).label for seed in range(600)]
    assert (np.abs(np.bincount(labels, minlength=len(CLASSES)) - 100) < 4 * math.sqrt(100)).all()


@settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_things_are_at_rest_and_above_the_table(seed):
    scene = scene_of(seed, (0, 8))
    before, count = scene.poses, len(scene.things)
    assert before.shape == (count, 7) and scene.labels.tolist() == [thing.label for thing in scene.things]
    mujoco.mj_step(scene.model, scene.data, nstep=40)  # 0.1 s
    assert (np.linalg.norm(scene.poses[:, :3] - before[:, :3], axis=1) < 0.005).all()
    depth = scene.data.contact.dist
    assert (depth > -0.003).all() and (before[:, 2] > 0.005).all()


def test_a_scene_is_a_function_of_its_seed():
    first, again, other = scene_of(3, (5, 5)), scene_of(3, (5, 5)), scene_of(4, (5, 5))
    assert first.poses.tobytes() == again.poses.tobytes() and first.things == again.things
    assert first.model.geom_rgba.tobytes() == again.model.geom_rgba.tobytes()
    assert first.poses.tobytes() != other.poses.tobytes()
    np.testing.assert_array_equal(first.camera((16, 16)).axes, again.camera((16, 16)).axes)
    assert scene_of((3, 1), (5, 5)).poses.tobytes() != first.poses.tobytes()


def test_the_number_of_things_is_within_its_range():
    counts = {len(scene_of(seed, (0, 3)).things) for seed in range(30)}
    assert counts == {0, 1, 2, 3}


@pytest.mark.parametrize("count", [(-1, 3), (4, 3), (0, MOST + 1), (1,), 4, (1.0, 2.0), (True, True), "13"])
def test_impossible_numbers_of_things_are_refused(count):
    with pytest.raises(ValueError, match="things must be a smallest and a largest number between 0 and 40, such as"):
        scene_of(0, count)


def test_the_thing_below_is_covered_and_the_one_above_is_not():
    for seed in range(40):
        scene = scene_of(seed, (8, 8))
        covered = scene.covered()
        height = scene.data.xipos[1:9, 2]
        assert not covered[height.argmax()]
        if covered.any():
            return
    raise AssertionError("in 40 heaps of 8 nothing lay on anything")
