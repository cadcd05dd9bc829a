"""The crowd benchmark goes on with episodes of the same runs and people, and with no others."""

import importlib
from pathlib import Path

import pytest

from embodied_gen import experiment
from embodied_gen.experiment import Sizes
from embodied_gen.training import files
from tests.tiny import experiment_of

EPISODES = [{"seed": seed, "collision": seed == 1, "time": 9.0 - seed, "closest": 0.1} for seed in range(4)]


@pytest.fixture
def crowd(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("crowd")


@pytest.fixture
def run(tmp_path):
    experiment.save_config(tmp_path / "run", experiment_of(), Sizes(4, 2))
    trained(tmp_path / "run", b"once")
    return tmp_path / "run"


def trained(folder, weights):
    (folder / "model.safetensors").write_bytes(weights)


def continued(crowd, run, target, **changes):
    """The record that a call finds, with four episodes of each arm written to it."""
    arguments = crowd.Arguments(str(run), str(run), arms=("standing", "learned", crowd.NAMES[-1]), **changes)
    arms = {name: crowd.arm_of(name, None, run, run) for name in arguments.arms}
    record = crowd.begun(target, arguments, arms)
    found = {name: len(record["arms"].get(name, ())) for name in arms}
    files.write_json(target, record | {"arms": dict.fromkeys(arms, EPISODES)})
    return found


def test_episodes_go_on_and_those_of_a_run_that_was_trained_again_are_measured_anew(crowd, run, tmp_path):
    target = tmp_path / "record.json"
    assert set(continued(crowd, run, target).values()) == {0}
    assert set(continued(crowd, run, target).values()) == {4}
    trained(run, b"twice")
    found = continued(crowd, run, target)
    assert found == {"standing": 4, "learned": 0, crowd.NAMES[-1]: 0}
    assert set(continued(crowd, run, target).values()) == {4}


def test_a_record_that_does_not_say_which_run_was_measured_goes_on_where_there_was_none(crowd, run, tmp_path):
    target = tmp_path / "record.json"
    continued(crowd, run, target)
    record = files.read_json(target)
    del record["identities"]
    files.write_json(target, record)
    assert continued(crowd, run, target) == {"standing": 4, "learned": 0, crowd.NAMES[-1]: 0}


def test_a_recording_of_the_same_name_and_other_people_begins_anew(crowd, run, tmp_path):
    target, tracks = tmp_path / "record.json", tmp_path / "walk.txt"
    for walk, known in (("0 1 0 0\n10 1 1 0\n", 0), ("0 1 0 0\n10 1 1 0\n", 4), ("0 1 0 0\n10 1 2 0\n", 0)):
        tracks.write_text(walk)
        assert set(continued(crowd, run, target, tracks=str(tracks)).values()) == {known}


def test_differences_are_over_the_episodes_that_both_arms_have(crowd):
    found = crowd.rows({"standing": EPISODES, crowd.BASELINE: EPISODES[:2], "oracle": []})
    assert [(row["arm"], row["episodes"]) for row in found] == [("standing", 4), (crowd.BASELINE, 2)]
    assert found[0]["only"] == [0, 0] and found[0]["time_difference"] == 0 and "difference" not in found[1]


def test_what_is_no_arm_or_no_run_is_named(crowd, run):
    with pytest.raises(ValueError, match=r"arms must be of standing, .*; got 'sitting'"):
        crowd.arm_of("sitting", None, run, run)
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a run: it has no config\.json"):
        crowd.arm_of("learned", None, Path("nowhere"), run).identity()
    with pytest.raises(ValueError, match=r"model\.safetensors is truncated or not a safetensors file"):
        crowd.arm_of("learned", None, run, run).make()
