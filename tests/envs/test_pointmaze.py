import json

import gymnasium
import networkx as nx
import numpy as np
import pytest
import shapely

pytest.importorskip("gymnasium_robotics")

from envs.pointmaze import PointMazeEnv, cell_to_xy, greedy_cells, xy_to_cell

NAME = "embodied/PointMaze-v0"
MAZES = {"umaze": ((1, 1), 300), "medium": ((6, 6), 600), "large": ((7, 9), 800)}


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, render_mode=render_mode))


@pytest.mark.parametrize("goals", ["fixed", "random", "stream"])
def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic, goals):
    assert_deterministic(NAME, maze="medium", goals=goals, steps=60)


def test_a_stream_has_a_new_goal_whenever_the_last_is_reached():
    env = PointMazeEnv(maze="umaze", goals="stream")
    expert = env.expert()
    observation, _ = env.reset(seed=0)
    expert.reset(0)
    assert env.limits_of_steps is None
    reached = 0
    for _ in range(1500):
        last = observation
        observation, reward, _, _, info = env.step(expert.act(observation))
        moved = not np.array_equal(observation[4:], last[4:])
        assert moved == (np.linalg.norm(observation[:2] - last[4:]) < 0.1)
        if moved:
            assert info["is_success"] and reward == 1
            reached += 1
    assert reached >= 5


@pytest.mark.parametrize("maze", MAZES)
def test_the_expert_reaches_the_goal_stays_there_and_the_episode_has_its_length(play, maze):
    env = gymnasium.make(NAME, maze=maze)
    for seed in range(3):
        observations, actions, info = play(env, env.unwrapped.expert(), seed)
        assert len(actions) == MAZES[maze][1]
        assert info == {"is_success": True}
        distance = np.linalg.norm(observations[:, :2] - observations[:, 4:], axis=1)
        assert (distance[-100:] <= 0.45).all()


@pytest.mark.parametrize("maze", MAZES)
def test_the_goal_is_the_middle_of_the_fixed_cell_unless_random(maze):
    env, other = PointMazeEnv(maze=maze), PointMazeEnv(maze=maze, goals="random")
    expected = cell_to_xy(MAZES[maze][0], env.walls)
    assert not env.walls[MAZES[maze][0]]
    goals = [env.reset(seed=seed)[0][4:] for seed in range(5)]
    assert np.array_equal(goals, [expected] * 5)
    assert len({tuple(other.reset(seed=seed)[0][4:]) for seed in range(5)}) == 5


def test_starts_cover_all_free_cells_and_lie_near_their_middles():
    env = PointMazeEnv(maze="umaze")
    starts = [env.reset(seed=seed)[0] for seed in range(100)]
    cells = {xy_to_cell(start[:2], env.walls) for start in starts}
    assert cells == set(map(tuple, env.free_cells))
    for start in starts:
        middle = cell_to_xy(xy_to_cell(start[:2], env.walls), env.walls)
        assert np.abs(start[:2] - middle).max() <= 0.1
    assert 0.05 < np.std([start[2:4] for start in starts]) < 0.2


def test_reward_is_1_at_the_goal_and_0_elsewhere(play):
    env = gymnasium.make(NAME)
    expert = env.unwrapped.expert()
    observation, _ = env.reset(seed=3)
    expert.reset(3)
    seen = set()
    for _ in range(300):
        observation, reward, terminated, _, info = env.step(expert.act(observation))
        near = np.linalg.norm(observation[:2] - observation[4:]) <= 0.45
        assert (reward, info["is_success"], terminated) == (float(near), near, False)
        seen.add(reward)
    assert seen == {0.0, 1.0}


def test_the_ball_does_not_pass_walls():
    env = PointMazeEnv(maze="umaze")
    observation, _ = env.reset(seed=0)
    for _ in range(200):
        observation, *_ = env.step(np.array([1.0, 1.0], np.float32))
        assert not env.walls[xy_to_cell(observation[:2], env.walls)]


@pytest.mark.parametrize("maze", ["medium", "large"])
def test_greedy_cells_are_shortest_paths(maze):
    walls = PointMazeEnv(maze=maze).walls
    graph = nx.grid_2d_graph(*walls.shape)
    graph.remove_nodes_from(map(tuple, np.argwhere(walls)))
    target = MAZES[maze][0]
    for start, distance in nx.single_source_shortest_path_length(graph, target).items():
        if start == target:
            continue
        cells = greedy_cells(walls, start, target)
        assert len(cells) == distance
        assert cells[-1] == target
        assert all(graph.has_edge(a, b) for a, b in zip([start, *cells], cells, strict=False))


def test_experts_of_different_seeds_take_different_way_points():
    env = PointMazeEnv(maze="large")
    observation, _ = env.reset(seed=0)
    expert = env.expert()
    ways = []
    for seed in (0, 1, 0):
        expert.reset(seed)
        expert.act(observation)
        ways.append(np.array(expert._waypoints))
    assert np.array_equal(ways[0], ways[2])
    assert np.abs(ways[0] - ways[1]).max() > 0.02
    assert np.array_equal(ways[0][-1], ways[1][-1])


def test_no_model_files_are_left_behind(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    PointMazeEnv().close()
    assert list(tmp_path.iterdir()) == []


def test_frames_show_the_ball():
    env = PointMazeEnv(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    env.reset(seed=1)
    assert first.shape == (200, 200, 3)
    assert (first != env.render()).any()


def test_unknown_mazes_and_bad_actions_are_refused():
    with pytest.raises(ValueError, match="umaze, medium, large; got 'huge'"):
        PointMazeEnv(maze="huge")
    with pytest.raises(ValueError, match=r"umaze, medium, large; got \['umaze'\]"):
        PointMazeEnv(maze=["umaze"])
    with pytest.raises(ValueError, match="goals must be one of fixed, random, stream; got 'none'"):
        PointMazeEnv(goals="none")
    env = PointMazeEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="2 finite numbers"):
        env.step(np.array([np.nan, 0.0]))


def test_a_missing_package_is_explained_by_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "gymnasium_robotics.envs.maze.point_maze", None)
    with pytest.raises(ImportError, match=r"'robotics' extra: pip install 'embodied-gen\[robotics\]'"):
        PointMazeEnv()


@pytest.mark.parametrize("maze", MAZES)
def test_the_free_space_is_where_the_cells_are_free(maze):
    env = PointMazeEnv(maze=maze)
    free = env.free_space()
    assert free.geom_type == "Polygon" and free.is_valid
    assert free.area == pytest.approx(len(env.free_cells))
    rows, columns = env.walls.shape
    points = np.random.default_rng(0).uniform([-columns / 2, -rows / 2], [columns / 2, rows / 2], (500, 2))
    expected = [not env.walls[xy_to_cell(point, env.walls)] for point in points]
    assert shapely.contains_xy(free, points).tolist() == expected


def test_a_scene_has_the_walls_and_the_goal_in_plain_numbers():
    env = PointMazeEnv(maze="medium", goals="random")
    goal = env.reset(seed=3)[0][4:]
    scene = json.loads(json.dumps(env.scene()))
    (disc,) = scene["discs"]
    assert disc == {"role": "goal", "centre": goal.tolist(), "radius": 0.45}
    assert scene["bounds"] == [[-4, 4], [-4, 4]]
    sides = shapely.union_all([shapely.LineString([line["start"], line["end"]]) for line in scene["lines"]])
    assert sides.symmetric_difference(env.free_space().boundary).length < 1e-9
    assert {line["role"] for line in scene["lines"]} == {"wall"}
