"""Costs of places from a config: ways are collected, learned, judged and drawn; and so are stretches ahead."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from embodied_gen import experiment
from embodied_gen.events import GridPath
from embodied_gen.heads import HasCostMap, MaxEntHead
from planners.whole_way import WholeWayAgent

CPU = ("--device", "cpu")
SIZE, MOVES = 32, 60
CONFIGS = Path(__file__).parents[2] / "configs"
TRAIN = {"steps": 4, "batch": 2, "rate": 0.1, "warmup": 1, "average": 0.5, "precision": "fp32", "validate_every": 2}


def config(folder, **changes):
    """terrain_max_ent.yaml on small maps, few of them."""
    content = yaml.safe_load((CONFIGS / "terrain_max_ent.yaml").read_text())
    content["env"]["kwargs"] = {"size": SIZE, "moves": MOVES}
    content["data"] |= {"root": "data", "episodes": 6, "held_out": 0.2, "dataset": "embodied/small/ways-v0"}
    content["event"] |= {"rows": SIZE, "columns": SIZE}
    content["head"]["map"] = {"kind": "linear"}
    content["control"] |= {"rows": SIZE, "columns": SIZE, "moves": MOVES}
    content["train"] = TRAIN
    path = folder / "ways.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def succeeds(cli, *words):
    outcome = cli(*words)
    assert outcome.status == 0, outcome.err
    return outcome


@pytest.fixture
def run(cli, tmp_path):
    """A trained run, in the working folder."""
    path = config(tmp_path)
    succeeds(cli, "collect", path)
    succeeds(cli, "train", path, *CPU, "--out", "run")
    return tmp_path / "run"


def test_ways_are_learned_judged_and_drawn(cli, run, tmp_path):
    head = experiment.load(run).predictor.head
    assert isinstance(head, MaxEntHead) and isinstance(head.event, GridPath) and isinstance(head, HasCostMap)
    assert head.event.shape == (MOVES + 1, 2)
    succeeds(cli, "evaluate", run, *CPU, "--episodes", 5, "--num-envs", 2, "--workers", 1)
    record = json.loads((run / "eval.json").read_text())
    assert record["summary"]["length"]["mean"] == 1 and len(record["episodes"]) == 5
    assert record["summary"]["success_rate"] == 1  # draws end at the goal
    succeeds(cli, "plan", run, *CPU, "--n", 3)
    drawn = json.loads((run / "plan.json").read_text())
    assert (run / "plan.png").read_bytes().startswith(b"\x89PNG")
    ways, shown = np.array(drawn["ways"]), np.array(drawn["demonstration"])
    assert ways.shape == (3, MOVES + 1, 2) and shown.shape == (MOVES + 1, 2) and drawn["feasible"] == [True] * 3
    assert np.allclose(ways[:, 0], shown[0]) and np.allclose(ways[:, -1], shown[-1])
    succeeds(cli, "report", run)
    assert "data:image/png" in (tmp_path / "report.html").read_text()


def test_ways_under_a_guide_are_counted(cli, run, tmp_path):
    guide = tmp_path / "guide.yaml"
    guide.write_text("constraints:\n  - {kind: keep_in_box, low: [0, 0], high: [16, 16]}\n")
    outcome = succeeds(cli, "plan", run, *CPU, "--n", 2, "--guide", guide)
    assert "2 of 2 ways satisfy all constraints" in outcome.out


def test_demonstrations_of_another_length_and_maps_of_another_size_are_named(cli, run, tmp_path):
    path = config(tmp_path)
    outcome = cli("train", path, *CPU, "--out", "other", "--control.moves", 50)
    assert outcome.status != 0 and "an action must hold 51 way-points of 2 numbers; got 122 numbers" in outcome.err
    outcome = cli("train", path, *CPU, "--out", "other", "--control.rows", 31)
    assert outcome.status != 0 and "Set control to the environment's map" in outcome.err


def test_a_way_is_one_action_whatever_the_block(run):
    predictor = experiment.load(run).predictor
    agent = WholeWayAgent(predictor)
    env = experiment.load(run).experiment.maker()()
    seen = [env.reset(seed=seed)[0] for seed in (3, 4, 5)]
    whole = agent.plan([agent.remember(seed, one) for seed, one in enumerate(seen)])
    assert agent.action_size == 2 * (MOVES + 1) and whole.shape == (3, 1, agent.action_size)
    other = agent.with_block(2)
    assert np.array_equal(other.plan([other.remember(seed, one) for seed, one in enumerate(seen)]), whole)


def test_stretches_ahead_are_learned_but_do_not_act_alone(cli, tmp_path):
    content = yaml.safe_load((CONFIGS / "terrain_planner.yaml").read_text())
    content["env"]["kwargs"] = {"size": SIZE}
    content["data"] |= {"root": "data", "episodes": 3, "held_out": 0.3, "dataset": "embodied/small/states-v0"}
    content["net"] = {"kind": "mlp", "width": 16, "depth": 1}
    content["control"] |= {"horizon": 6}
    content["train"] = TRAIN
    path = tmp_path / "ahead.yaml"
    path.write_text(yaml.safe_dump(content))
    succeeds(cli, "collect", path)
    succeeds(cli, "train", path, *CPU, "--out", "ahead")
    predictor = experiment.load(tmp_path / "ahead").predictor
    assert predictor.encoder(torch.zeros(3, 1, 2)).shape == (3, 2) and predictor.head.event.shape == (6, 2)
    outcome = cli("evaluate", tmp_path / "ahead", *CPU, "--episodes", 1)
    assert outcome.status != 0 and "stretches ahead of 6 way-points" in outcome.err
    path.write_text(yaml.safe_dump(content | {"control": {**content["control"], "goal": [4]}}))
    outcome = cli("train", path, *CPU, "--out", "other")
    assert outcome.status != 0 and "must name as many channels; got [0, 1] and [4]" in outcome.err
