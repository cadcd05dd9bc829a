"""Crowd-v0: limits of the robot, what it sees, collisions at every moment, recordings, and the expert."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from shapely.geometry import LineString, Point

from envs.crowd import A_MAX, GOAL_RADIUS, PERSON, ROBOT, V_MAX, CrowdEnv, distances
from envs.crowd_expert import contact
from envs.social_force import PERIOD
from envs.track_replay import Recording, Replay

NAME = "embodied/Crowd-v0"
pairs = arrays.arrays(np.float64, (2, 2), elements=st.floats(-3, 3))


@pytest.fixture(scope="module")
def env():
    return gymnasium.make(NAME)


@pytest.fixture
def recording(tmp_path):
    """Two minutes on foot: one person round and round, one who stands still, one who comes and goes."""
    rows = []
    for frame in range(300):
        angle = 0.1 * frame
        rows.append((10 * frame, 1, 3 * np.cos(angle), 3 * np.sin(angle)))
        rows.append((10 * frame, 2, -5.0, 0.0))
        if frame % 40 < 20:
            rows.append((10 * frame, 3 + frame // 40, 5.0, 0.1 * (frame % 40)))
    path = tmp_path / "walk.txt"
    np.savetxt(path, rows, delimiter="\t")
    return path


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, render_mode=render_mode))


def test_gymnasium_has_no_complaint_about_recordings(assert_clean, recording):
    assert_clean(gymnasium.make(NAME, tracks=str(recording), pedestrians=4, render_mode="rgb_array"))


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic, recording):
    assert_deterministic(NAME, steps=60)
    assert_deterministic(NAME, steps=30, tracks=str(recording), pedestrians=4)


def test_the_expert_nearly_always_arrives_and_passes_on_both_sides(env, play):
    expert, infos, sides = env.unwrapped.expert(), [], set()
    for seed in range(40):
        infos.append(play(env, expert, seed)[2])
        sides.add(expert._side)
    assert np.mean([info["is_success"] for info in infos]) >= 0.95 and sides == {-1.0, 1.0}
    times = [info["time_to_goal"] for info in infos if info["is_success"]]
    assert 10 / V_MAX - 1 < min(times) <= max(times) < 20
    assert all((info["closest"] < 0) == info["collision"] for info in infos)


def test_going_straight_on_is_no_plan(env):
    """A robot that sees nobody collides far more often than the expert."""
    failed = 0
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        done = False
        while not done:
            way = env.unwrapped.layout.goal(observation) - env.unwrapped.layout.robot(observation)[:2]
            action = (way / np.linalg.norm(way)).astype(np.float32)
            observation, _, terminated, truncated, info = env.step(action)
            done = terminated or truncated
        failed += info["collision"]
    assert failed > 8


@given(st.integers(0, 100), st.lists(pairs, min_size=1, max_size=12))
def test_the_robot_keeps_to_its_limits(seed, commands):
    env = CrowdEnv(pedestrians=1)
    before = env.layout.robot(env.reset(seed=seed)[0])
    for command in commands:
        observation = env.step(np.clip(command[0], -1, 1).astype(np.float32))[0]
        assert observation in env.observation_space
        now = env.layout.robot(observation)
        assert np.linalg.norm(now[2:]) <= V_MAX + 1e-6
        assert np.linalg.norm(now[2:] - before[2:]) <= A_MAX * PERIOD + 1e-6
        assert now[:2] == pytest.approx(before[:2] + PERIOD * now[2:])
        before = now


def test_what_is_observed_of_people_is_where_they_were():
    env = CrowdEnv(pedestrians=5)
    layout, seen = env.layout, []
    observation, _ = env.reset(seed=2)
    for _ in range(33):
        seen.append((env._people.positions.copy(), env._people.numbers.copy()))
        observation = env.step(np.array([0.0, 0.0], np.float32))[0]
    seen.append((env._people.positions.copy(), env._people.numbers.copy()))
    tracks, present = layout.tracks(observation), layout.present(observation)
    assert present[:, -1].all()
    for step in range(8):
        at, numbers = seen[-1 - 4 * (7 - step)]
        same = numbers == seen[-1][1]
        assert np.array_equal(present[:, step], same)
        assert tracks[same, step] == pytest.approx(at[same]) and not tracks[~same, step].any()


@given(pairs)
def test_the_smallest_distance_of_a_step_is_that_of_shapely(ends):
    found = distances(ends[:1], ends[1:])[0]
    still = np.abs(ends[0] - ends[1]).max() < 1e-12  # shapely has no distance from such a line
    expected = np.linalg.norm(ends[0]) if still else Point(0, 0).distance(LineString(ends))
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_person_who_passes_through_between_two_steps_is_a_collision():
    env = CrowdEnv(pedestrians=1)
    env.reset(seed=0)
    env._people.positions = env._robot[None, :2] + np.array([[0.0, 0.6]])
    env._people.velocities = np.zeros((1, 2))

    def jump(guest):
        env._people.positions = env._people.positions - np.array([[0.0, 1.2]])

    env._people.step = jump
    _, reward, terminated, truncated, info = env.step(np.zeros(2, np.float32))
    assert terminated and not truncated and info["collision"] and not info["is_success"]
    assert info["closest"] == pytest.approx(-ROBOT - PERSON, abs=0.05) and reward < -0.9
    assert np.linalg.norm(env._people.positions[0] - env._robot[:2]) > ROBOT + PERSON


def test_rewards_add_up_to_the_way_and_the_end(env, play):
    observation, _ = env.reset(seed=4)
    expert, total, done, info = env.unwrapped.expert(), 0.0, False, {}
    expert.reset(4)
    layout = env.unwrapped.layout
    start = np.linalg.norm(layout.goal(observation) - layout.robot(observation)[:2])
    while not done:
        observation, reward, terminated, truncated, info = env.step(expert.act(observation))
        total, done = total + reward, terminated or truncated
    left = np.linalg.norm(layout.goal(observation) - layout.robot(observation)[:2])
    assert info["is_success"] and left < GOAL_RADIUS
    assert total == pytest.approx(1 - left / start + 1)


def test_who_stands_still_runs_out_of_time(env):
    env.reset(seed=1)
    for step in range(1, 201):
        _, _, terminated, truncated, info = env.step(np.zeros(2, np.float32))
        if terminated:
            assert info["collision"]
            return
        assert truncated == (step == 200) and info["time_to_goal"] == np.inf


def steps_of(env, seed=0):
    """Of a robot that stands still, to the end of the episode."""
    env.reset(seed=seed)
    for step in range(1, 2000):
        _, _, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
        if terminated or truncated:
            return step, terminated


@pytest.mark.parametrize("limit", [50, 200, 300])
def test_the_limit_of_steps_is_the_one_asked_for(limit):
    assert steps_of(gymnasium.make(NAME, pedestrians=1, max_episode_steps=limit)) == (limit, False)


def test_an_episode_ends_with_its_recording_while_people_are_still_there(tmp_path):
    path = tmp_path / "corners.txt"
    walk(path, 80)
    env = gymnasium.make(NAME, tracks=str(path), max_episode_steps=1000)
    steps, terminated = steps_of(env)
    assert 200 <= steps < len(Recording(path)) and not terminated
    assert env.unwrapped._people.present.sum() == 2 and env.unwrapped._people.ended


def test_a_recording_is_repeated_between_its_frames(recording):
    whole = Recording(recording)
    rows = np.loadtxt(recording)
    middle = (rows[:, 2:].min(0) + rows[:, 2:].max(0)) / 2
    for frame, person, *place in rows[:40]:
        row, at = int(np.searchsorted(np.unique(rows[:, 1]), person)), int(frame) // 10 * 4
        if whole.present[row, at]:
            assert whole.positions[row, at] == pytest.approx(place - middle)
    assert whole.positions[0, 2] == pytest.approx(whole.positions[0, [0, 4]].mean(0))


def test_people_of_a_recording_keep_their_slots(recording):
    whole = Recording(recording)
    replay, last = Replay(whole, 0, 4), {}
    for at in range(len(whole)):
        here = dict(zip(replay.numbers[replay.present].tolist(), np.flatnonzero(replay.present).tolist(), strict=True))
        assert {number - 1 for number in here} == set(np.flatnonzero(whole.present[:, at]).tolist())
        assert all(last.get(number, slot) == slot for number, slot in here.items())
        last = {number: slot for number, slot in here.items()}
        replay.step()
    assert not replay.present.any(), "nobody is there after the end"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 1 2\n10 1 2\n", "four finite numbers"),
        ("0 1 x 2\n", "must be four numbers"),
        ("0 1 nan 2\n10 1 2 3\n", "finite"),
    ],
)
def test_wrong_recordings_are_refused(tmp_path, text, sentence):
    path = tmp_path / "wrong.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"wrong\.txt.*{sentence}"):
        CrowdEnv(tracks=str(path))


def walk(path, frames):
    """A recording of two people who stand far away from where robots start."""
    np.savetxt(path, [(frame, 2 + side, 20 * side, 20 * side) for frame in range(frames) for side in (-1, 1)])


@pytest.mark.parametrize(("frames", "lasts"), [(8, "2.8"), (57, "22.4"), (58, "22.8")])
def test_a_recording_that_is_shorter_than_an_episode_is_refused(tmp_path, frames, lasts):
    walk(tmp_path / "short.txt", frames)
    with pytest.raises(ValueError, match=rf"short\.txt lasts {lasts} s; an episode takes more than 22.8 s .*longer"):
        CrowdEnv(tracks=str(tmp_path / "short.txt"))


def test_the_shortest_recording_has_people_to_the_end_of_an_episode(tmp_path):
    walk(tmp_path / "enough.txt", 59)
    env = gymnasium.make(NAME, tracks=str(tmp_path / "enough.txt"))
    for seed in range(3):
        assert steps_of(env, seed) == (200, False) and env.unwrapped._people.present.sum() == 2


def test_a_person_twice_in_a_frame_is_refused(tmp_path):
    path = tmp_path / "wrong.txt"
    path.write_text("0 1 2 3\n10 1 2 3\n10 1 2 4\n")
    with pytest.raises(ValueError, match="in a frame twice"):
        CrowdEnv(tracks=str(path))


def test_wrong_arguments_are_refused(recording):
    with pytest.raises(ValueError, match=r"3 people at once, more than the 2 slots.*Set pedestrians to 3"):
        CrowdEnv(tracks=str(recording), pedestrians=2)
    for people in (0, 129, 2.5, True, "4"):
        with pytest.raises(ValueError, match=r"pedestrians must be a whole number in 1\.\.128"):
            CrowdEnv(pedestrians=people)
    env = CrowdEnv()
    env.reset(seed=0)
    for action in (np.zeros(3), np.array([np.nan, 0])):
        with pytest.raises(ValueError, match="must be 2 finite numbers"):
            env.step(action)


def test_pictures_show_where_everybody_is():
    env = CrowdEnv(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (400, 400, 3) and first.dtype == np.uint8 and np.array_equal(first, env.render())
    env.step(np.array([0.0, 1.0], np.float32))
    assert (env.render() != first).any()


@given(pairs, pairs, st.floats(0.2, 1.0))
def test_times_of_contact_are_those_of_small_steps(ends, candidates, radius):
    away, velocities = ends[:1], ends[1:]
    found = contact(away, velocities, candidates, radius)[:, 0]
    for time, candidate in zip(found, candidates, strict=True):
        moments = np.arange(0, 4, 0.002)
        apart = np.linalg.norm(away + moments[:, None] * (velocities - candidate), axis=1)
        if apart[0] < radius:
            assert time in (0.0, np.inf)
        elif np.isfinite(time) and time < 3.9:
            assert apart[np.abs(moments - time).argmin()] == pytest.approx(radius, abs=0.03)
            assert (apart[moments < time - 0.01] >= radius - 1e-6).all()
        else:
            assert (apart >= radius - 0.03).all() or time >= 3.9


def test_what_is_foreseen_of_a_recording_happens_and_looking_changes_nothing(recording):
    env = CrowdEnv(pedestrians=4, tracks=str(recording))
    env.reset(seed=1)
    foreseen, numbers = env.foreseen(12), env._people.numbers.copy()
    for step in range(48):
        observation = env.step(np.zeros(2, np.float32))[0]
        stayed = numbers == env._people.numbers
        numbers = np.where(stayed, numbers, -1)
        if (step + 1) % 4 == 0:
            found = env.layout.tracks(observation)[:, -1]
            assert foreseen[stayed, step // 4] == pytest.approx(found[stayed])


def test_what_is_foreseen_of_people_happens_if_the_robot_is_far_away():
    env, other = (CrowdEnv(pedestrians=6) for _ in range(2))
    for each in (env, other):
        each.reset(seed=3)
    foreseen = env.foreseen(12)
    assert np.array_equal(foreseen, other.foreseen(12)) and np.array_equal(foreseen, env.foreseen(12))
    people, numbers = other._people, other._people.numbers.copy()
    for _ in range(48):
        people.step(np.array([500.0, 0, 0, 0]))
    stayed = numbers == people.numbers
    assert stayed.any() and foreseen[stayed, -1] == pytest.approx(people.positions[stayed])


def test_whoever_leaves_is_foreseen_to_go_straight_on():
    env = CrowdEnv(pedestrians=8)
    env.reset(seed=0)
    here = np.concatenate([env._people.positions[:, None], env.foreseen(40)], 1)
    assert np.linalg.norm(np.diff(here, axis=1), axis=-1).max() < 1.4  # nobody jumps to where another enters
    assert np.abs(here).max() > env.half.max() + 1
