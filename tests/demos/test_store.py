"""What is written is read back, Minari itself can read it, and there is never half a data set."""

import os
import sys

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import envs  # noqa: F401 - registers the environments
from embodied_gen.demos import store
from embodied_gen.demos.store import Recording

DATASET = "embodied/test/expert-v0"


def recordings_of(lengths, observation=4, action=2, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Recording(
            seed=seed + index,
            observations=rng.normal(size=(length + 1, observation)) * 0.1,
            actions=rng.normal(size=(length, action)).astype(np.float32) * 0.1,
            rewards=rng.normal(size=length),
            terminated=bool(index % 2),
            success=bool(index % 2),
        )
        for index, length in enumerate(lengths)
    ]


@pytest.fixture(scope="module")
def env():
    made = gym.make("embodied/Avoid-v0")
    yield made
    made.close()


def write(root, env, lengths=(3, 5, 4), dataset=DATASET, **changes):
    return store.write(dataset, recordings_of(lengths), env, root=root, description="of a test", **changes)


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 1000))
def test_what_is_read_are_the_recordings(tmp_path_factory, env, lengths, seed):
    root, recordings = tmp_path_factory.mktemp("store"), recordings_of(lengths, seed=seed)
    folder = store.write(DATASET, recordings, env, root=root, description="")
    assert folder == root / DATASET
    episodes = store.read(DATASET, root=root)
    assert episodes.lengths.tolist() == lengths
    # The observation after the last action is nobody's context.
    seen = np.concatenate([recording.observations[:-1] for recording in recordings])
    assert episodes.observations.equal(torch.from_numpy(seen.astype(np.float32)))
    assert episodes.actions.equal(torch.from_numpy(np.concatenate([r.actions for r in recordings])))
    assert episodes.source == f"dataset {DATASET}"


def test_minari_itself_loads_it_with_its_spaces_seeds_and_ends(tmp_path, env, monkeypatch):
    write(tmp_path, env)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert list(minari.list_local_datasets()) == [DATASET]
    dataset = minari.load_dataset(DATASET)
    assert dataset.spec.observation_space == env.observation_space
    assert dataset.spec.action_space == env.action_space
    assert dataset.spec.env_spec.id == "embodied/Avoid-v0"
    for expected, episode in zip(recordings_of((3, 5, 4)), dataset.iterate_episodes(), strict=True):
        np.testing.assert_array_equal(episode.observations, expected.observations)
        np.testing.assert_array_equal(episode.actions, expected.actions)
        np.testing.assert_array_equal(episode.rewards, expected.rewards)
        last = [False] * (len(expected.actions) - 1)
        assert episode.terminations.tolist() == [*last, expected.terminated]
        assert episode.truncations.tolist() == [*last, not expected.terminated]
    recovered = dataset.recover_environment()
    assert recovered.observation_space == env.observation_space


def test_the_first_episodes_are_read_where_fewer_are_wanted(tmp_path, env):
    write(tmp_path, env)
    whole, part = store.read(DATASET, root=tmp_path), store.read(DATASET, root=tmp_path, episodes=2)
    assert len(part) == 2 and part.actions.equal(whole.actions[:8])


def test_too_few_episodes_are_told(tmp_path, env):
    write(tmp_path, env)
    with pytest.raises(
        ValueError, match=f"{DATASET} has 3 episodes; data.episodes asks for 4. Collect more or ask for"
    ):
        store.read(DATASET, root=tmp_path, episodes=4)


def test_a_data_set_is_never_written_over(tmp_path, env):
    write(tmp_path, env)
    before = store.read(DATASET, root=tmp_path).digest(), files(tmp_path)
    for attempt in (lambda: write(tmp_path, env, lengths=(2,)), lambda: store.check_new(DATASET, root=tmp_path)):
        with pytest.raises(
            FileExistsError, match=rf"the dataset in {tmp_path / DATASET} exists already. Use it, delete"
        ):
            attempt()
    assert (store.read(DATASET, root=tmp_path).digest(), files(tmp_path)) == before


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("where", ["while writing", "before moving"])
def test_an_interrupted_write_leaves_nothing(tmp_path, env, monkeypatch, kind, where):
    write(tmp_path, env, dataset="embodied/other/expert-v0")
    before = files(tmp_path)

    def stop(*_, **__):
        raise kind("stopped")

    if where == "while writing":
        monkeypatch.setattr(minari.dataset._storages.hdf5_storage.HDF5Storage, "update_episodes", stop)
    else:
        monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(kind):
        write(tmp_path, env)
    assert not store.exists(DATASET, root=tmp_path)
    assert [
        path for path in files(tmp_path) if path.endswith(("hdf5", "metadata.json")) and "namespace" not in path
    ] == [path for path in before if path.endswith(("hdf5", "metadata.json")) and "namespace" not in path]
    assert not [path for path in files(tmp_path) if path.startswith(".")]
    monkeypatch.undo()
    write(tmp_path, env)
    assert len(store.read(DATASET, root=tmp_path)) == 3


def test_a_full_disk_is_refused_before_hdf5_meets_it(small_disk, env):
    lengths = [40] * 8
    for size in ("20k", "100k", "200k"):
        root = small_disk(size)
        with pytest.raises(OSError, match=f"no space left to write 8 episodes into {root}: about .* MB are needed"):
            write(root, env, lengths=lengths)
        assert files(root) == []
    root = small_disk("500k")
    write(root, env, lengths=lengths)
    assert len(store.read(DATASET, root=root)) == 8


@pytest.mark.parametrize("count", [1, 40])
def test_a_data_set_takes_no_more_space_than_was_asked_for(tmp_path, env, count):
    recordings = recordings_of([3] * count)
    folder = store.write(DATASET, recordings, env, root=tmp_path, description="")
    arrays = sum(r.observations.nbytes + r.actions.nbytes + r.rewards.nbytes for r in recordings)
    assert (folder / "data" / "main_data.hdf5").stat().st_size < 2 * arrays + store._OVERHEAD * count


def test_the_environment_variable_of_minari_is_left_as_it_was(tmp_path, env, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", "/somewhere/else")
    write(tmp_path, env)
    assert os.environ["MINARI_DATASETS_PATH"] == "/somewhere/else"
    monkeypatch.delenv("MINARI_DATASETS_PATH")
    write(tmp_path, env, dataset="embodied/other/expert-v0")
    assert "MINARI_DATASETS_PATH" not in os.environ


def test_several_data_sets_share_a_folder(tmp_path, env):
    for name in ("embodied/one/expert-v0", "embodied/one/expert-v1", "two-v0"):
        write(tmp_path, env, dataset=name)
    with pytest.raises(FileNotFoundError) as caught:
        store.read("embodied/three-v0", root=tmp_path)
    assert str(caught.value) == (
        f"no dataset 'embodied/three-v0' in {tmp_path}; it holds embodied/one/expert-v0, embodied/one/expert-v1, "
        "two-v0. Collect it: embodied-gen collect CONFIG."
    )


def test_what_a_killed_collection_left_aside_is_no_data_set(tmp_path, env):
    write(tmp_path / ".collect-killed", env)
    with pytest.raises(FileNotFoundError, match="it holds none"):
        store.read(DATASET, root=tmp_path)
    with pytest.raises(FileNotFoundError, match="it holds none"):
        store.read(DATASET, root=tmp_path / "absent")


@pytest.mark.parametrize(
    "name", ["", "expert", "embodied/expert", "../up-v0", "embodied/expert-v", "a b-v0", "/etc/x-v0"]
)
def test_a_name_that_minari_does_not_know_is_refused_before_any_work(tmp_path, name):
    with pytest.raises(
        ValueError, match="a dataset's id must be a name with a version, such as embodied/avoid/expert-v0"
    ):
        store.check_new(name, root=tmp_path)


def test_nothing_to_write_is_refused(tmp_path, env):
    with pytest.raises(ValueError, match="there are no episodes to write"):
        store.write(DATASET, [], env, root=tmp_path, description="")
    assert files(tmp_path) == []


def test_a_data_set_without_episodes_is_told(tmp_path, env):
    folder = write(tmp_path, env)
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        for name in list(file):
            del file[name]
    metadata = folder / "data" / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"total_episodes": 3', '"total_episodes": 0'))
    with pytest.raises(ValueError, match=f"dataset {DATASET} holds no episodes. Collect some"):
        store.read(DATASET, root=tmp_path)


@pytest.mark.parametrize("file", ["main_data.hdf5", "metadata.json"])
@pytest.mark.parametrize("damage", ["cut", "foreign", "gone"])
def test_a_damaged_data_set_is_named(tmp_path, env, file, damage):
    folder = write(tmp_path, env)
    path = folder / "data" / file
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"foreign bytes")
    with pytest.raises(ValueError, match=f"the dataset in {folder} cannot be read .*Delete the folder and collect it"):
        store.read(DATASET, root=tmp_path)


def test_metadata_of_another_form_are_named(tmp_path, env):
    folder = write(tmp_path, env)
    (folder / "data" / "metadata.json").write_text("[]")
    with pytest.raises(ValueError, match=f"the dataset in {folder} cannot be read .*Delete the folder and collect it"):
        store.read(DATASET, root=tmp_path)


@pytest.mark.parametrize(
    ("name", "damage", "got"),
    [
        ("observations", lambda rows: rows[:4], r"\(4, 4\) and \(5, 2\)"),
        ("observations", lambda rows: rows[:, :3], r"\(6, 3\) and \(5, 2\)"),
        ("actions", lambda rows: np.tile(rows, 2), r"\(6, 4\) and \(5, 4\)"),
    ],
)
def test_an_episode_whose_observations_and_actions_are_out_of_step_is_named(tmp_path, env, name, damage, got):
    folder = write(tmp_path, env)
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        rows = damage(file[f"episode_1/{name}"][:])
        del file[f"episode_1/{name}"]
        file[f"episode_1/{name}"] = rows
    expected = r"\(6, 4\) and \(5, 2\)"
    with pytest.raises(
        ValueError, match=f"dataset {DATASET}: episode 1 must .* shapes {expected}; got {got}. Delete the dataset and"
    ):
        store.read(DATASET, root=tmp_path)


@pytest.mark.parametrize("episodes", [0, -1])
def test_fewer_than_one_episode_cannot_be_asked_for(tmp_path, env, episodes):
    write(tmp_path, env)
    with pytest.raises(ValueError, match=f"data.episodes must be at least 1, or null for all episodes; got {episodes}"):
        store.read(DATASET, root=tmp_path, episodes=episodes)


def test_spaces_that_are_not_flat_are_named(tmp_path):
    env = gym.make("CartPole-v1")
    recording = Recording(0, np.zeros((3, 4), np.float32), np.zeros(2, np.int64), np.zeros(2), True, True)
    store.write("cart/pole-v0", [recording], env, root=tmp_path, description="")
    with pytest.raises(ValueError, match=r"cart/pole-v0: the action space must be a flat Box; got Discrete\(2\)"):
        store.read("cart/pole-v0", root=tmp_path)


def test_numbers_that_are_not_finite_are_named_on_reading(tmp_path, env):
    recordings = recordings_of((3, 5))
    recordings[1].observations[2, 3] = np.nan
    store.write(DATASET, recordings, env, root=tmp_path, description="")
    with pytest.raises(ValueError, match="observations must be finite; got nan in episode 1, step 2, channel 3"):
        store.read(DATASET, root=tmp_path)


@pytest.mark.parametrize(
    "attempt", [store.check_new, store.read, lambda name, root: write(root, None)], ids=["check", "read", "write"]
)
def test_without_minari_the_extra_is_named(tmp_path, monkeypatch, attempt):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(
        ImportError, match=r"stored with Minari, which is not installed. .*pip install 'embodied-gen\[data\]'"
    ):
        attempt(DATASET, root=tmp_path)
