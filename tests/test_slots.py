"""Results of an episode depend on its seed and its actions alone."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import gymnasium as gym
import numpy as np
import pytest

from embodied_gen.slots import Chunk, EnvMaker, SerialSlots, make_slots, succeeded
from embodied_gen.slots_process import ProcessSlots


class Fragile(gym.Env):
    """Counts its steps, shares one observation array, and fails in the ways that its action asks for."""

    action_space = gym.spaces.Box(-9, 9, (1,), np.float32)
    observation_space = gym.spaces.Dict(
        {
            "zeta": gym.spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "alpha": gym.spaces.Box(-np.inf, np.inf, (1,), np.float64),
            "kind": gym.spaces.Discrete(3),
        }
    )

    def __init__(self, length=5):
        self.length = length
        self.shared = np.zeros(2)

    def _observe(self):
        return {"zeta": self.shared, "alpha": np.array([-self.shared[0]]), "kind": np.int64(1)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.shared[:] = 0, self.np_random.random()
        return self._observe(), {}

    def step(self, action):
        if action[0] == 7:
            raise KeyError("a broken joint")
        if action[0] == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        if action[0] == 9:
            time.sleep(60)
        self.shared[0] += 1
        info = {
            "success": np.bool_(True),
            "count": np.int64(self.shared[0]),
            "name": "fragile",
            "array": np.zeros(3),
            "cell": np.array(0.5),
            "nested": {},
        }
        return self._observe(), float(action[0]), self.shared[0] >= self.length, False, info


gym.register(id="SlotsTest/Fragile-v0", entry_point=f"{__name__}:Fragile")

pytestmark = pytest.mark.filterwarnings("ignore:.*share an object:UserWarning")

FRAGILE = EnvMaker(id="SlotsTest/Fragile-v0", imports=(__name__,))
PENDULUM = EnvMaker(id="InvertedPendulum-v5", kwargs={"max_episode_steps": 10})
SEEDS = [3, 1, 4, 15, 9, 2, 6]


def actions_of(seed, steps):
    return np.random.default_rng(seed).uniform(-4, 4, (steps, 1))


def alone(seed, steps):
    """One episode of the pendulum in a plain gymnasium loop."""
    env = gym.make(PENDULUM.id, **PENDULUM.kwargs)
    observation, _ = env.reset(seed=seed)
    rows, rewards = [observation.copy()], []
    for action in actions_of(seed, steps):
        clipped = np.clip(action, env.action_space.low, env.action_space.high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(clipped)
        rows.append(observation.copy())
        rewards.append(reward)
        if terminated or truncated:
            break
    return np.array(rows), np.array(rewards), terminated, truncated


def episodes(slots, seeds, length, steps=48):
    """All episodes, each seed put into whichever slot is free first."""
    waiting, running, records = list(seeds), {}, {}
    while waiting or running:
        free = [slot for slot in reversed(range(slots.num)) if slot not in running][: len(waiting)]
        if free:
            starting, waiting = waiting[: len(free)], waiting[len(free) :]
            for slot, seed, row in zip(free, starting, slots.reset(free, starting), strict=True):
                running[slot], records[seed] = seed, ([row[None]], [], 0)
        order = sorted(running)
        plans = [actions_of(running[slot], steps + length) for slot in order]
        starts = [records[running[slot]][2] for slot in order]
        chunk = slots.run(order, np.stack([p[s : s + length] for p, s in zip(plans, starts, strict=True)]))
        for row, slot in enumerate(order):
            rows, rewards, start = records[running[slot]]
            count = chunk.steps[row]
            rows.append(chunk.observations[row, :count])
            rewards.append(chunk.rewards[row, :count])
            records[running[slot]] = (rows, rewards, start + count)
            if chunk.done[row]:
                ends = (bool(chunk.terminated[row]), bool(chunk.truncated[row]))
                records[running.pop(slot)] = (np.concatenate(rows), np.concatenate(rewards), *ends)
    return records


@pytest.fixture(scope="module")
def pair():
    with ProcessSlots(PENDULUM, 3, 2) as slots:
        yield slots


@pytest.fixture
def fragile():
    with ProcessSlots(FRAGILE, 3, 2) as slots:
        yield slots


@pytest.mark.parametrize("length", [1, 7, 16])
def test_episodes_equal_a_plain_loop_bit_for_bit_in_one_process_and_in_two(length, pair):
    for num in (1, 4):
        with SerialSlots(PENDULUM, num) as serial:
            assert_same(episodes(serial, SEEDS, length))
    assert_same(episodes(pair, SEEDS, length))


def assert_same(records):
    for seed in SEEDS:
        for ours, plain in zip(records[seed], alone(seed, 48), strict=True):
            np.testing.assert_array_equal(ours, plain)


def test_the_episodes_of_the_grid_end_in_both_ways():
    assert {alone(seed, 48)[2:] for seed in SEEDS} == {(True, False), (False, True)}


def test_spaces_are_those_of_the_environment(pair):
    with SerialSlots(PENDULUM, 1) as serial:
        assert pair.observation_space == serial.observation_space
        assert pair.action_space == serial.action_space
    assert pair.num == 3


@pytest.mark.parametrize("make", [SerialSlots, lambda maker, num: ProcessSlots(maker, num, 2)])
def test_an_episode_that_ends_in_mid_chunk_repeats_its_last_observation(make):
    with make(EnvMaker(FRAGILE.id, {"length": 3}, FRAGILE.imports), 2) as slots:
        first = slots.reset([1, 0], [5, 6])
        chunk = slots.run([0, 1], np.array([[[1.0]] * 5, [[2.0]] * 5]))
        np.testing.assert_array_equal(chunk.observations[0, :, 0], [-1, -2, -3, -3, -3])
        np.testing.assert_array_equal(chunk.rewards, [[1, 1, 1, 0, 0], [2, 2, 2, 0, 0]])
        np.testing.assert_array_equal(chunk.observations[:, :, -1], first[::-1, -1:].repeat(5, axis=1))
        assert chunk.steps.tolist() == [3, 3]
        assert chunk.terminated.all() and not chunk.truncated.any() and chunk.done.all()
        assert chunk.infos == [{"success": True, "count": 3, "name": "fragile", "cell": 0.5}] * 2
        assert [type(value) for value in chunk.infos[0].values()] == [bool, int, str, float]


def test_observations_are_copies():
    with SerialSlots(FRAGILE, 1) as slots:
        first = slots.reset([0], [0]).copy()
        kept = slots.reset([0], [0])
        slots.run([0], np.ones((1, 2, 1)))
        np.testing.assert_array_equal(kept, first)


def test_actions_are_clipped_and_cast_before_the_environment_sees_them():
    with SerialSlots(EnvMaker(FRAGILE.id, {"length": 9}, FRAGILE.imports), 1) as slots:
        slots.reset([0], [0])
        chunk = slots.run([0], np.array([[[-50.0], [0.1]]]))
        assert chunk.rewards.tolist() == [[-9.0, float(np.float32(0.1))]]


def test_dict_observations_are_filtered_and_flattened_in_the_order_of_their_space():
    env = EnvMaker(FRAGILE.id, imports=FRAGILE.imports)()
    observation, _ = env.reset(seed=0)
    assert env.observation_space.shape == observation.shape == (6,)
    env = EnvMaker(FRAGILE.id, imports=FRAGILE.imports, keys=("zeta", "alpha"))()
    env.reset(seed=0)
    observation, *_ = env.step(np.ones(1, np.float32))
    assert observation.shape == (3,)
    assert observation[:2].tolist() == [-1, 1]


@pytest.mark.parametrize("make", [SerialSlots, lambda maker, num: ProcessSlots(maker, num, 2)])
def test_a_wrong_recipe_reads_the_same_in_one_process_and_in_two(make):
    with pytest.raises(ValueError, match=r"'InvertedPendulum-v55' is not registered.*InvertedPendulum-v5"):
        make(EnvMaker("InvertedPendulum-v55"), 2)
    with pytest.raises(ValueError, match=r"'InvertedPendulun-v5' is not registered.*InvertedPendulum-v5"):
        make(EnvMaker("InvertedPendulun-v5"), 2)
    with pytest.raises(ImportError, match="no_such_extra"):
        make(EnvMaker("InvertedPendulum-v5", imports=("no_such_extra",)), 2)
    with pytest.raises(ValueError, match="keys need a Dict observation"):
        make(EnvMaker("InvertedPendulum-v5", keys=("state",)), 2)
    with pytest.raises(ValueError, match=r"\['beta'\] are not observations.*alpha"):
        make(EnvMaker(FRAGILE.id, imports=FRAGILE.imports, keys=("beta", "zeta")), 2)
    with pytest.raises(ValueError, match="Box of shape"):
        make(EnvMaker("CartPole-v1"), 2)
    with pytest.raises(FileNotFoundError, match=r"^a recording must be a text file .* no file absent.txt. Name one"):
        make(EnvMaker("embodied/Crowd-v0", {"tracks": "absent.txt"}, ("envs",)), 2)


def test_a_recipe_survives_pickling():
    assert pickle.loads(pickle.dumps(PENDULUM)) == PENDULUM


ZEROS = np.zeros((1, 2, 1))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda slots: slots.run([1], ZEROS), r"Slots \[1\] have no running episode"),
        (lambda slots: slots.run([3], ZEROS), r"distinct numbers in \[0, 3\)"),
        (lambda slots: slots.run([], ZEROS[:0]), r"one or more"),
        (lambda slots: slots.reset([0, 0], [1, 2]), r"distinct"),
        (lambda slots: slots.reset([0], [1, 2]), r"one per slot \(1\); got 2"),
        (lambda slots: slots.run([0], ZEROS[0]), r"shape \(1, n >= 1, 1\); got \(2, 1\)"),
        (lambda slots: slots.run([0], ZEROS[:, :0]), r"shape"),
        (lambda slots: slots.run([0], ZEROS + np.nan), r"slots \[0\] contain NaN"),
    ],
)
def test_misuse_is_refused_with_a_sentence_and_harms_no_other_slot(workers, call, message, pair):
    slots = pair if workers == 2 else SerialSlots(PENDULUM, 3)
    slots.reset([0, 1, 2], [0, 1, 2])
    slots.run([1], np.full((1, 60, 1), 3.0))
    with pytest.raises(ValueError, match=message):
        call(slots)
    assert slots.run([2], ZEROS).steps.tolist() == [2]


def test_a_slot_never_reset_cannot_run():
    with SerialSlots(PENDULUM, 2) as slots, pytest.raises(ValueError, match="no running episode"):
        slots.run([0], np.zeros((1, 1, 1)))


@pytest.mark.parametrize(("num", "workers"), [(0, 1), (2, 3), (2, 0)])
def test_impossible_numbers_are_refused(num, workers):
    with pytest.raises(ValueError, match="must be"):
        SerialSlots(PENDULUM, num) if num < 1 else ProcessSlots(PENDULUM, num, workers)


def test_an_exception_in_a_worker_arrives_with_its_traceback_and_leaves_the_slots_usable(fragile):
    fragile.reset([0, 1, 2], [0, 1, 2])
    with pytest.raises(RuntimeError, match=r"Worker 1 raised KeyError: 'a broken joint'\n(.|\n)*in step"):
        fragile.run([0, 1], np.array([[[1.0]], [[7.0]]]))
    with pytest.raises(ValueError, match=r"Slots \[0, 1\] have no running episode"):
        fragile.run([0, 1, 2], np.ones((3, 1, 1)))
    fragile.reset([0, 1], [0, 1])
    assert fragile.run([0, 1, 2], np.ones((3, 1, 1))).steps.tolist() == [1, 1, 1]


def test_a_killed_worker_is_an_error_and_no_hang(fragile):
    fragile.reset([0, 1, 2], [0, 1, 2])
    with pytest.raises(RuntimeError, match=r"Worker 1 .* exit code -9"):
        fragile.run([0, 1], np.array([[[1.0]], [[8.0]]]))
    assert all(worker.process.poll() is not None for worker in fragile._workers)
    with pytest.raises(ValueError, match="closed"):
        fragile.reset([0], [0])


def test_a_worker_killed_between_calls_is_an_error_and_no_hang(fragile):
    fragile._workers[0].process.kill()
    fragile._workers[0].process.wait()
    with pytest.raises(RuntimeError, match=r"Worker 0 .* exit code -9"):
        fragile.reset([0, 1, 2], [0, 1, 2])


def test_close_ends_the_workers_and_may_be_called_twice():
    slots = ProcessSlots(PENDULUM, 2, 2)
    processes = [worker.process for worker in slots._workers]
    slots.close()
    slots.close()
    assert [process.poll() for process in processes] == [0, 0]


def test_workers_end_with_the_garbage_collection_of_their_slots():
    slots = ProcessSlots(PENDULUM, 1, 1)
    process = slots._workers[0].process
    del slots
    assert process.poll() == 0


def script(tmp_path, body):
    """Starts a script without a main guard, as a user would write it."""
    path = tmp_path / "user_script.py"
    path.write_text(textwrap.dedent(body))
    return subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, start_new_session=True)


def alive(number):
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(number, seconds=10):
    end = time.monotonic() + seconds
    while alive(number) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(number)


HEADER = """
import sys, time
print("main", flush=True)
from embodied_gen.slots import EnvMaker, make_slots
slots = make_slots(EnvMaker("InvertedPendulum-v5"), 2, 2)
print(*[worker.process.pid for worker in slots._workers], flush=True)
"""


def test_workers_import_neither_the_main_script_nor_torch(tmp_path):
    body = HEADER + 'print(*["torch" in sys.modules]); slots.close()'
    output, _ = script(tmp_path, body).communicate(timeout=240)
    lines = output.splitlines()
    assert lines[0] == "main" and lines[2:] == ["False"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_when_their_parent_dies(tmp_path, kind):
    # A process started in the background may have been told to ignore SIGINT.
    heed = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    parent = script(tmp_path, heed + HEADER + "time.sleep(60)")
    parent.stdout.readline()
    workers = [int(number) for number in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(alive(number) for number in workers)
    parent.send_signal(kind)
    parent.communicate(timeout=240)
    assert all(wait_for_end(number) for number in workers)


def test_one_worker_means_no_process():
    with make_slots(PENDULUM, 2, 1) as slots:
        assert isinstance(slots, SerialSlots)
    with make_slots(PENDULUM, 2, 8) as slots:
        assert isinstance(slots, ProcessSlots) and len(slots._workers) == 2


def test_a_chunk_is_done_when_it_is_terminated_or_truncated():
    flags = np.array([False, True, False, True]), np.array([False, False, True, True])
    empty = np.zeros((4, 0))
    assert Chunk(empty, empty, empty, *flags, infos=[]).done.tolist() == [False, True, True, True]


class Judged(gym.Env):
    """Ends at once and says of its success what it was told to."""

    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self, said):
        self.said = said

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1), {}

    def step(self, action):
        return np.zeros(1), 0.0, True, False, {"is_success": self.said}


gym.register(id="SlotsTest/Judged-v0", entry_point=f"{__name__}:Judged")


class Closing(gym.Env):
    """Has a file in a folder from when it is made until it is closed; refuses to be the one too many."""

    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self, folder, most):
        if len(os.listdir(folder)) >= most:
            raise FileNotFoundError(f"there is no place left in {folder}.")
        self.file = tempfile.NamedTemporaryFile(dir=folder)

    def close(self):
        self.file.close()


gym.register(id="SlotsTest/Closing-v0", entry_point=f"{__name__}:Closing")


@pytest.mark.parametrize("workers", [1, 2])
def test_closing_ends_the_environments(tmp_path, workers):
    maker = EnvMaker("SlotsTest/Closing-v0", {"folder": str(tmp_path), "most": 9}, (__name__,))
    with make_slots(maker, 3, workers):
        assert len(os.listdir(tmp_path)) == 3
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_recipe_that_fails_later_leaves_no_environment_open_and_reads_the_same(tmp_path, workers):
    maker = EnvMaker("SlotsTest/Closing-v0", {"folder": str(tmp_path), "most": 2}, (__name__,))
    with pytest.raises(FileNotFoundError, match=f"^there is no place left in {tmp_path}"):
        make_slots(maker, 6, workers)
    assert os.listdir(tmp_path) == []


def tensor(value):
    import torch  # here, since workers import this module

    return torch.tensor(value)


def judged(said):
    """Success as evaluation sees it."""
    with SerialSlots(EnvMaker("SlotsTest/Judged-v0", {"said": said}), 1) as slots:
        slots.reset([0], [0])
        return succeeded(slots.run([0], np.zeros((1, 1, 1))).infos[0])


@pytest.mark.parametrize("true", [True, False])
@pytest.mark.parametrize(
    "form", [bool, float, np.bool_, lambda true: np.array([true]), lambda true: tensor([[true]]), tensor]
)
def test_success_of_one_element_is_the_same_in_evaluation_and_in_collection(form, true):
    assert judged(form(true)) is succeeded({"is_success": form(true)}) is true


def test_an_info_that_says_nothing_of_success_is_none():
    assert not succeeded({}) and not judged(None)


@pytest.mark.parametrize("said", [np.array([True, False]), np.zeros(0), [True], "no"])
@pytest.mark.parametrize("judge", [judged, lambda said: succeeded({"success": said})])
def test_success_that_is_not_one_value_is_refused(judge, said):
    with pytest.raises(ValueError, match=r"info must be one number or truth value; got .*Wrap the environment to say"):
        judge(said)


@pytest.mark.parametrize(
    ("name", "kwargs", "limits", "asked"),
    [
        ("Traffic", {}, (100, 100), 50),
        ("Traffic", {}, (100, 100), 200),
        ("PointMaze", {"maze": "umaze"}, (1, 300), 500),
        ("PointMaze", {"maze": "large"}, (1, 800), 10_000),
    ],
)
def test_a_limit_that_would_change_the_task_is_refused(name, kwargs, limits, asked):
    id = f"embodied/{name}-v0"
    for limit in limits:
        EnvMaker(id, kwargs | {"max_episode_steps": limit}, ("envs",))()
    with pytest.raises(ValueError, match=rf"must be in {limits[0]}\.\.{limits[1]}, .* of {id}; got {asked}\. Leave it"):
        EnvMaker(id, kwargs | {"max_episode_steps": asked}, ("envs",))()


def test_a_stream_of_goals_is_cut_off_where_it_is_asked_for():
    maker = EnvMaker("embodied/PointMaze-v0", {"goals": "stream", "max_episode_steps": 350}, ("envs",))
    with SerialSlots(maker, 1) as slots:
        slots.reset([0], [0])
        chunk = slots.run([0], np.zeros((1, 400, 2)))
        assert chunk.steps.tolist() == [350] and chunk.truncated.all()
