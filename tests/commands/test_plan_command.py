"""`embodied-gen plan` draws plans, checks them exactly, and bends them with constraints never trained on."""

import json
import re
import sys

import numpy as np
import pytest
import tiny
import torch
import yaml

from embodied_gen import draws, experiment
from planners import KeepInBox, KeepOutDisc, read_guide

CPU = ("--device", "cpu")


def guide_file(folder, *constraints, **settings):
    path = folder / "guide.yaml"
    path.write_text(yaml.safe_dump({"constraints": list(constraints), **settings}))
    return path


def record_of(path):
    return json.loads(path.read_text())


@pytest.fixture
def disc(tiny_run, tmp_path, cli):
    """A disc in the way of half of the run's plans, found from its unguided ones."""
    assert cli("plan", tiny_run, *CPU, "--out", "free.png", "--n", 40).status == 0
    plans = np.array(record_of(tmp_path / "free.json")["groups"]["unguided"]["plans"])
    centre = plans[:, -1].mean(0)
    radius = np.median(np.linalg.norm(plans - centre, axis=-1).min(1))
    return {"kind": "keep_out_disc", "centre": centre.tolist(), "radius": float(radius)}


def test_plans_are_drawn_and_their_numbers_lie_beside_the_picture(cli, own_run, tmp_path):
    outcome = cli("plan", own_run, *CPU, "--n", 5)
    assert outcome.status == 0, outcome.err
    assert (own_run / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert outcome.out == f"written: {own_run}/plan.png and plan.json\n"
    record = record_of(own_run / "plan.json")
    assert (record["schema"], record["run"], record["seed"], record["constraints"]) == (1, "tiny", 1_000_000, [])
    (group,) = record["groups"].values()
    assert np.array(group["plans"]).shape == (5, 8, 2) and group["feasible"] == [True] * 5 and group["margins"] == {}


def test_flags_with_their_values_before_the_run_plan_in_its_own_environment(cli, tmp_path):
    run = tiny.untrained_run(tmp_path / "planner", tiny.PLANNER)
    records = []
    for order in (["--n=2", "--device=cpu", run], [run, "--n", 2, "--device", "cpu"]):
        outcome = cli("plan", *order)
        assert outcome.status == 0, outcome.err
        records.append(record_of(run / "plan.json"))
    assert records[0] == records[1]


def test_plans_are_samples_of_the_predictor_from_the_first_observation(cli, own_run, tmp_path):
    assert cli("plan", own_run, *CPU, "--n", 3, "--seed", 17).status == 0
    run = experiment.load(own_run)
    observation, _ = run.experiment.maker()().reset(seed=17)
    history = torch.from_numpy(np.stack([observation] * 2).astype(np.float32))[None]
    expected = run.predictor.sample(history, 3, generator=draws.generator(17))[0]
    plans = record_of(own_run / "plan.json")["groups"]["unguided"]["plans"]
    assert torch.tensor(plans).equal(expected)


def test_guided_plans_satisfy_a_constraint_more_often_and_every_claim_is_exact(cli, tiny_run, tmp_path, disc):
    guide = guide_file(tmp_path, disc, buffer=0.01)
    outcome = cli("plan", tiny_run, *CPU, "--n", 40, "--guide", guide, "--out", "plan.svg")
    assert outcome.status == 0, outcome.err
    record, constraint = record_of(tmp_path / "plan.json"), KeepOutDisc(disc["centre"], disc["radius"])
    assert (tmp_path / "plan.svg").exists()
    assert record["constraints"] == [constraint.name]
    held = {}
    for title, group in record["groups"].items():
        margins = constraint.margin(torch.tensor(group["plans"])[None])[0]
        torch.testing.assert_close(torch.tensor(group["margins"][constraint.name]), margins)
        assert group["feasible"] == (margins >= 0).tolist()
        held[title] = sum(group["feasible"])
        assert f"{title}: {held[title]} of 40 plans satisfy all constraints" in outcome.out
    assert held["guided"] >= held["unguided"] + 10


def test_all_constraints_of_a_file_are_certified(cli, tiny_run, tmp_path, disc):
    box = {"kind": "keep_in_box", "low": [-0.5, -0.5], "high": [0.5, 0.5]}
    guide = guide_file(tmp_path, disc, box)
    assert cli("plan", tiny_run, *CPU, "--guide", guide, "--n", 6, "--out", "p.png").status == 0
    record = record_of(tmp_path / "p.json")
    assert record["constraints"] == [
        KeepOutDisc(disc["centre"], disc["radius"]).name,
        KeepInBox((-0.5, -0.5), (0.5, 0.5)).name,
    ]
    for group in record["groups"].values():
        both = np.min(list(group["margins"].values()), axis=0) >= 0
        assert group["feasible"] == both.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("constraints: [{kind: keep_out_disk}]", "guide.yaml: constraints.0: .*'keep_out_disk'.*'keep_out_disc'"),
        (
            "constraints: [{kind: keep_out_disc, centre: [0, 0], radius: -1}]",
            "guide.yaml: constraints.0.radius: Input should be greater than 0; got -1",
        ),
        ("constraints: [1, 2", "guide.yaml is not YAML"),
        ("constraints: []", "guide.yaml: config: a guide needs at least one constraint or cost; got none"),
        ("constraints: [{kind: reach_point, point: [0, 0], tolerance: 1, step: 99}]", "step 99: the path has 8 steps"),
        ("constraints: [{kind: keep_in_box, low: [1, 1], high: [0, 0]}]", "low must be below high in both axes"),
    ],
)
def test_a_wrong_guide_file_is_named_and_nothing_is_written(content, message, cli, own_run, tmp_path):
    (tmp_path / "guide.yaml").write_text(content)
    outcome = cli("plan", own_run, *CPU, "--guide", "guide.yaml")
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert re.search(message, outcome.err), outcome.err
    assert not (own_run / "plan.png").exists() and not (own_run / "plan.json").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n", 0], "--n must be at least 1; got 0."),
        (["--seed", -1], "--seed must be at least 0; got -1."),
        (["--out", "plan.foo"], "a picture's name must end in one of .*png"),
    ],
)
def test_impossible_flags_are_refused(flags, message, cli, tiny_run, tmp_path):
    outcome = cli("plan", tiny_run, *CPU, "--out", tmp_path / "plan.png", *flags)
    assert outcome.status == 2 and re.search(message, outcome.err), outcome.err
    assert not list(tmp_path.glob("plan*"))


def test_without_matplotlib_the_extra_is_named(cli, tiny_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = cli("plan", tiny_run, *CPU, "--out", "plan.png")
    assert outcome.status == 2 and "Install the extra: pip install 'embodied-gen[viz]'." in outcome.err


def test_plans_of_an_environment_without_a_scene_are_drawn_over_the_steps(cli, tmp_path):
    config = tiny.experiment_of(event={"kind": "trajectory"}, env={"id": "Pendulum-v1"})
    predictor = tiny.predictor_of(config, tiny.episodes_of((20,), observation=3, action=1))
    from embodied_gen.training import checkpoint

    experiment.save_config(tmp_path / "run", config, experiment.sizes_of(predictor))
    checkpoint.save_model(tmp_path / "run", 1, predictor)
    outcome = cli("plan", "run", *CPU, "--n", 2)
    assert outcome.status == 0, outcome.err
    assert np.array(record_of(tmp_path / "run" / "plan.json")["groups"]["unguided"]["plans"]).shape == (2, 8, 1)


def test_feasible_plans_share_the_weight_and_margins_are_the_smallest(cli, tiny_run, tmp_path, disc):
    guide = guide_file(tmp_path, disc)
    assert cli("plan", tiny_run, *CPU, "--n", 12, "--guide", guide, "--out", "p.png").status == 0
    record = record_of(tmp_path / "p.json")
    for group in record["groups"].values():
        good = np.array(group["feasible"])
        np.testing.assert_allclose(group["margin"], np.min(list(group["margins"].values()), axis=0), atol=1e-6)
        np.testing.assert_allclose(group["weight"], good / max(good.sum(), 1))
    run = experiment.load(tiny_run)
    observation, _ = run.experiment.maker()().reset(seed=1_000_000)
    history = torch.from_numpy(np.stack([observation] * 2).astype(np.float32))[None]
    answer = run.predictor.certified(
        history, 12, generator=draws.generator(1_000_000), guide=read_guide(guide).build(0.1)[0]
    )
    assert torch.tensor(record["groups"]["guided"]["plans"]).equal(answer.x[0])


def test_a_margin_without_constraints_is_null(cli, own_run, tmp_path):
    assert cli("plan", own_run, *CPU, "--n", 2).status == 0
    group = record_of(own_run / "plan.json")["groups"]["unguided"]
    assert group["margin"] == [None, None] and group["weight"] == [0.5, 0.5]


def test_where_no_plan_is_good_the_constraint_that_most_break_is_named(cli, tiny_run, tmp_path):
    far = {"kind": "reach_point", "point": [7, 7], "tolerance": 0.1}
    room = {"kind": "keep_in_box", "low": [-9, -9], "high": [9, 9]}
    outcome = cli("plan", tiny_run, *CPU, "--n", 4, "--guide", guide_file(tmp_path, room, far), "--out", "p.png")
    assert outcome.status == 0, outcome.err
    margins = record_of(tmp_path / "p.json")["groups"]["unguided"]["margins"]
    name = "within 0.1 m of (7, 7) at step -1"
    assert (
        f"unguided: 0 of 4 plans satisfy all constraints; the most violated constraint is [{name}]: 4 plans break it, "
        f"the best of them by {-max(margins[name]):.3g}\n"
    ) in outcome.out
    assert "no plan can satisfy" not in outcome.out


def test_constraints_that_cannot_hold_together_are_named(cli, tiny_run, tmp_path):
    point = {"kind": "reach_point", "point": [0.1, 0.1], "tolerance": 0.01}
    around = {"kind": "keep_out_disc", "centre": [0.1, 0.1], "radius": 0.1}
    guide = guide_file(tmp_path, point, around)
    outcome = cli("plan", tiny_run, *CPU, "--n", 2, "--guide", guide, "--out", "p.png")
    assert outcome.status == 0, outcome.err
    (sentence,) = record_of(tmp_path / "p.json")["contradictions"]
    assert read_guide(guide).contradictions(0.1) == [sentence]
    assert f"no plan can satisfy: {sentence.removeprefix('infeasible: ')}\n" in outcome.out


def test_a_planner_is_asked_for_ways_to_the_goal_of_several_durations(cli, tmp_path):
    run = tiny.untrained_run(tmp_path / "run", tiny.PLANNER | {"tolerance": 0.5})
    fast = {"kind": "speed_limit", "limit": 90}
    outcome = cli("plan", run, *CPU, "--n", 5, "--seed", 11, "--guide", guide_file(tmp_path, fast))
    assert outcome.status == 0, outcome.err
    record = record_of(run / "plan.json")
    env = experiment.load(run).experiment.maker()()
    goal = env.reset(seed=11)[0][4:]
    period = 1 / env.metadata["render_fps"]
    np.testing.assert_allclose(record["durations"], 3 * period * np.array([2, 2, 2, 1, 1]), rtol=1e-6)
    assert record["constraints"] == ["speed at most 90 m/s", "end within 0.5 of the goal"]
    for group in record["groups"].values():
        plans = np.array(group["plans"])
        assert plans.shape == (5, 4, 4)
        away = np.linalg.norm(plans[:, -1, :2] - goal, axis=-1)
        np.testing.assert_allclose(group["margins"]["end within 0.5 of the goal"], 0.5 - away, atol=1e-5)
        steps = np.linalg.norm(np.diff(plans[..., :2], axis=1), axis=-1) * 3 / np.array(record["durations"])[:, None]
        np.testing.assert_allclose(group["margins"]["speed at most 90 m/s"], (90 - steps).min(1), rtol=1e-4)
    assert re.search(r"unguided: \d of 5 plans satisfy all constraints", outcome.out)
    assert cli("report", run).status == 0


def test_a_planner_is_judged_by_its_goal_without_a_guide_too(cli, tmp_path):
    run = tiny.untrained_run(tmp_path / "run", tiny.PLANNER)
    outcome = cli("plan", run, *CPU, "--n", 1)
    assert outcome.status == 0 and "unguided: " in outcome.out
    record = record_of(run / "plan.json")
    assert record["constraints"] == ["end within 0.25 of the goal"] and list(record["groups"]) == ["unguided"]


def test_plans_in_a_maze_keep_clear_of_its_walls(cli, tmp_path):
    pytest.importorskip("gymnasium_robotics")
    control = tiny.PLANNER | {"horizon": 3}
    run = tiny.untrained_run(tmp_path / "run", control)
    guide = guide_file(tmp_path, walls={"clearance": 0.08})
    flags = ["--env.id", "embodied/PointMaze-v0", "--env.kwargs.max-episode-steps", 100]
    outcome = cli("plan", run, *CPU, "--n", 2, "--guide", guide, *flags)
    assert outcome.status == 0, outcome.err
    assert record_of(run / "plan.json")["constraints"][0] == "keep 0.08 m from the walls"
    assert (run / "plan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"walls": {"clearance": 0.1}}, "a guide with walls needs the free space"),
        (
            {"constraints": [{"kind": "speed_limit", "limit": 1, "channels": [7, 8]}]},
            "constraints.0 of the guide is about the channels [7, 8]; the plans have 2, counted from 0.",
        ),
    ],
    ids=["walls", "channels"],
)
def test_a_guide_that_does_not_fit_the_run_is_told(content, sentence, cli, own_run, tmp_path):
    (tmp_path / "guide.yaml").write_text(yaml.safe_dump(content))
    outcome = cli("plan", own_run, *CPU, "--guide", "guide.yaml")
    assert outcome.status == 2 and sentence in outcome.err, outcome.err


@pytest.mark.parametrize("verb", ["plan", "evaluate"])
def test_a_planner_needs_the_channels_that_it_plans(verb, cli, tmp_path):
    run = tiny.untrained_run(tmp_path / "run", tiny.PLANNER)
    outcome = cli(verb, run, *CPU, "--env.id", "Pendulum-v1")
    assert outcome.status == 2
    assert "the planner reads channel 5 of the observation, which has 3 here. Name the environment" in outcome.err


def test_costs_of_a_guide_file_serve_ways_of_every_duration(cli, tmp_path):
    run = tiny.untrained_run(tmp_path / "run", tiny.PLANNER | {"strides": 3})
    costs = [{"kind": "target_speed", "speed": 1.0, "unit": 1.0}, {"kind": "smoothness", "unit": 1.0}]
    outcome = cli("plan", run, *CPU, "--n", 4, "--guide", guide_file(tmp_path, costs=costs))
    assert outcome.status == 0, outcome.err
    assert list(record_of(run / "plan.json")["groups"]) == ["unguided", "guided"]


def test_inverse_dynamics_plan_nothing(cli, tmp_path):
    run = tiny.untrained_run(tmp_path / "run", {"kind": "inverse", "state": [2, 3]}, event={"kind": "trajectory"})
    outcome = cli("plan", run, *CPU)
    assert outcome.status == 2 and "predicts the action between two neighbouring states" in outcome.err
