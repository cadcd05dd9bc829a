"""`embodied-gen collect` fills a data set once, and says how well the expert did."""

import re
import sys
from pathlib import Path

import tiny

from embodied_gen import statistics
from embodied_gen.demos import store
from embodied_gen.training import files

ROOT = Path(__file__).parents[2]


def test_it_writes_the_episodes_and_prints_the_success_with_its_interval(cli, tmp_path):
    config = tiny.config_file(tmp_path, "data")
    outcome = cli("collect", config, "--episodes", 3)
    assert outcome.status == 0, outcome.err
    episodes = store.read(tiny.DATASET, root=tmp_path / "data")
    successes, tried = map(int, re.search(r"expert success (\d+)/(\d+) = ", outcome.out).groups())
    low, high = statistics.wilson(successes, tried)
    mean = float(episodes.lengths.double().mean())
    assert len(episodes) == 3
    assert (
        f"expert success {successes}/{tried} = {successes / tried:.3f} [{low:.3f}, {high:.3f}]; kept 3 episodes of "
        f"{mean:.0f} steps on average in {tmp_path / 'data' / tiny.DATASET}"
    ) in outcome.out


def test_the_same_seed_collects_the_same_and_another_seed_others(cli, tmp_path):
    config = tiny.config_file(tmp_path, "data")
    digests = []
    for root, seed in (("a", 0), ("b", 0), ("c", 7)):
        assert cli("collect", config, "--root", root, "--seed", seed, "--episodes", 2).status == 0
        digests.append(store.read(tiny.DATASET, root=tmp_path / root).digest())
    assert digests[0] == digests[1] != digests[2]


def test_values_of_the_config_can_be_given_as_flags(cli, tmp_path):
    flags = ("--env.kwargs.dimension", 3, "--data.dataset", "embodied/particle-3d/expert-v0", "--data.episodes", 2)
    outcome = cli("collect", ROOT / "configs" / "particle_flow.yaml", "--root", "data", *flags)
    assert outcome.status == 0, outcome.err
    episodes = store.read("embodied/particle-3d/expert-v0", root=tmp_path / "data")
    assert len(episodes) == 2 and episodes.actions.shape[1] == 3


def test_a_disturbance_changes_the_demonstrations_and_its_values_can_be_given_as_flags(cli, tmp_path):
    config = tiny.config_file(tmp_path, "a", data={"disturbance": {"size": 0.01, "chance": 0.5}})
    digests = []
    for root, flags in (("a", ()), ("b", ("--data.disturbance.size", 0.02)), ("c", ("--data.disturbance.steps", 2))):
        outcome = cli("collect", config, "--root", root, "--episodes", 1, *flags)
        assert outcome.status == 0, outcome.err
        digests.append(store.read(tiny.DATASET, root=tmp_path / root).digest())
    assert len(set(digests)) == 3
    outcome = cli("collect", config, "--root", "d", "--data.disturbance.size", -1)
    assert outcome.status == 2
    assert re.search(r"data.disturbance.*size.*should be greater than 0.*input_value=-1.0", outcome.err, re.DOTALL)


def test_an_existing_data_set_is_refused_before_any_work_and_left_as_it_is(cli, tmp_path, tiny_data):
    config = tiny.config_file(tmp_path, tiny_data)
    before = store.read(tiny.DATASET, root=tiny_data).digest()
    outcome = cli("collect", config)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        f"embodied-gen collect: the dataset in {tiny_data / tiny.DATASET} exists already. "
        "Use it, delete the folder, or name another data.dataset.\n"
    )
    outcome = cli("collect", config, "--if-missing")
    assert outcome.status == 0 and f"dataset {tiny.DATASET} exists in {tiny_data}" in outcome.out
    assert store.read(tiny.DATASET, root=tiny_data).digest() == before


def test_impossible_numbers_and_names_are_refused_before_any_work(cli, tmp_path):
    config = tiny.config_file(tmp_path, "data")
    for flags, message in (
        (["--episodes", 0], "episodes must be at least 1; got 0."),
        (["--seed", -1], "seed must be at least 0; got -1."),
    ):
        outcome = cli("collect", config, *flags)
        assert (outcome.status, outcome.err) == (2, f"embodied-gen collect: {message}\n")
    tiny.config_file(tmp_path, "data", data={"dataset": "nameless"})
    outcome = cli("collect", config)
    assert outcome.status == 2 and "must be a name with a version, such as embodied/avoid/expert-v0" in outcome.err
    assert not (tmp_path / "data").exists()


def test_without_minari_the_extra_is_named_before_any_work(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    outcome = cli("collect", tiny.config_file(tmp_path, "data"))
    assert (outcome.status, outcome.out) == (2, "")
    assert "Install the extra: pip install 'embodied-gen[data]'" in outcome.err


def test_an_environment_without_an_expert_is_named(cli, tmp_path):
    outcome = cli("collect", tiny.config_file(tmp_path, "data", env={"id": "Pendulum-v1"}))
    assert outcome.status == 2 and "PendulumEnv has no method expert()" in outcome.err


def test_a_full_disk_leaves_no_data_set(cli, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_move", refuse)
    outcome = cli("collect", tiny.config_file(tmp_path, "data"), "--episodes", 2)
    assert outcome.status == 2 and "No space left on device" in outcome.err
    assert [path for path in (tmp_path / "data").rglob("*")] == []
    assert files.FULL[0] == 28
