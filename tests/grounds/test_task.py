"""A task collects its demonstrations once, and is judged on the seeds of every other policy."""

from pathlib import Path

import tiny

from embodied_gen import evaluate as evaluation
from embodied_gen.blocks import DataBlock, EnvBlock, MLPBlock, PolicyControl
from embodied_gen.blocks.head import RegressionBlock
from embodied_gen.control import Policy
from embodied_gen.experiment import Sizes, assembled
from embodied_gen.grounds.task import TaskGround


def ground_of(folder):
    return TaskGround(
        env=EnvBlock(id="embodied/Avoid-v0"),
        data=DataBlock(dataset="embodied/tiny-avoid/expert-v0", root=str(folder), episodes=4),
        net=MLPBlock(width=16, depth=1),
        control=PolicyControl(history=2, horizon=8, actions=4),
        trials=3,
    )


def test_demonstrations_are_collected_where_there_are_none_and_only_then(tmp_path):
    ground, notes = ground_of(tmp_path), []
    assert ground.missing() == 4
    episodes = ground.episodes(notes.append)
    assert len(episodes) == 4 and notes[-1].startswith("kept 4 of ") and ground.missing() == 0
    noted = len(notes)
    assert ground.episodes(notes.append).digest() == episodes.digest() and len(notes) == noted


def test_it_is_judged_as_by_evaluate(tmp_path):
    ground = ground_of(tmp_path)
    windows = ground.control.examples(tiny.episodes_of((20, 20)))
    predictor = assembled(ground.control, ground.event, ground.net, RegressionBlock(), examples=windows, seed=0).eval()
    found = ground.judge(predictor, seed=0, workers=1)
    policy = Policy(predictor, history=2, actions=4, block=evaluation.BLOCK)
    summary = evaluation.evaluate(policy, ground.maker(), episodes=3, num_envs=1, workers=1)["summary"]
    assert found["successes"] == summary["successes"] and found["trials"] == summary["episodes"] == 3
    assert found["parts"] == [summary["modes"]["taken"]] and found["rewarded"] >= found["successes"]
    assert found["due"] == [[3 / 24] * 24]


def test_its_sizes_are_those_of_its_environment_and_control():
    assert ground_of(Path("nowhere")).sizes() == Sizes(observation=4, action=2)
    assert ground_of(Path("nowhere")).judgements == 3


def test_judging_times_no_calls(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "latency", None)
    ground = ground_of(tmp_path)
    windows = ground.control.examples(tiny.episodes_of((20, 20)))
    predictor = assembled(ground.control, ground.event, ground.net, RegressionBlock(), examples=windows, seed=0).eval()
    assert ground.judge(predictor, seed=0, workers=1)["trials"] == 3
