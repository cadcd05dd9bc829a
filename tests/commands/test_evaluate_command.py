"""`embodied-gen evaluate` writes scores that do not depend on how they were computed, and loses none."""

import json
import sys

import pytest
import tiny
import yaml
from PIL import Image

from embodied_gen import experiment
from embodied_gen.commands.task import env_block_of
from embodied_gen.evaluate import BLOCK, evaluate
from planners import read_guide

FEW = ("--episodes", 5, "--workers", 1, "--device", "cpu")


def test_the_record_is_that_of_the_library_with_the_run_s_name(cli, own_run):
    outcome = cli("evaluate", own_run, *FEW)
    assert outcome.status == 0, outcome.err
    record = json.loads((own_run / "eval.json").read_text())
    run = experiment.load(own_run)
    expected = evaluate(run.policy(block=BLOCK), run.experiment.maker(), episodes=5, num_envs=2, workers=1)
    assert record["episodes"] == expected["episodes"] and record["summary"] == expected["summary"]
    assert (record["run"], record["head"], record["step"]) == ("tiny", "denoising", 40)
    info = json.loads((own_run / "eval_info.json").read_text())
    assert info["overall"]["n_episodes"] == 5 and info["overall"]["video_paths"] == []
    summary = record["summary"]
    assert f"{summary['success_rate']:.3f} ({summary['successes']}/5)" in outcome.out
    assert f"written: {own_run / 'eval.json'}" in outcome.out


def test_numbers_of_environments_and_workers_change_nothing_but_the_speed(cli, own_run, tmp_path):
    records = []
    for number, flags in enumerate((["--num-envs", 1], ["--num-envs", 4], ["--num-envs", 5, "--workers", 2])):
        target = tmp_path / f"{number}.json"
        assert cli("evaluate", own_run, *FEW, *flags, "--json", target).status == 0
        records.append(json.loads(target.read_text()))
    assert records[0]["episodes"] == records[1]["episodes"] == records[2]["episodes"]
    assert records[0]["summary"] == records[1]["summary"] == records[2]["summary"]
    assert not (own_run / "eval.json").exists()


def test_videos_are_written_and_named(cli, own_run):
    outcome = cli("evaluate", own_run, *FEW, "--video", 2)
    assert outcome.status == 0, outcome.err
    paths = [own_run / "videos" / f"episode-{seed}.gif" for seed in (1_000_000, 1_000_001)]
    assert sorted((own_run / "videos").iterdir()) == paths
    lengths = [episode["length"] for episode in json.loads((own_run / "eval.json").read_text())["episodes"]]
    for path, length in zip(paths, lengths, strict=False):
        with Image.open(path) as image:
            # Pillow drops frames that equal their neighbours.
            assert 1 < image.n_frames <= length + 1
    info = json.loads((own_run / "eval_info.json").read_text())
    assert info["overall"]["video_paths"] == [str(path) for path in paths]


def test_records_of_one_folder_each_keep_their_own_info(cli, own_run):
    for count, name in ((2, "eval.json"), (1, "other.json")):
        assert cli("evaluate", own_run, *FEW, "--episodes", count, "--json", own_run / name).status == 0
    counts = {path.name: json.loads(path.read_text())["overall"]["n_episodes"] for path in own_run.glob("*_info.json")}
    assert counts == {"eval_info.json": 2, "other_info.json": 1}


def test_scores_are_kept_where_videos_cannot_be_made(cli, own_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    outcome = cli("evaluate", own_run, *FEW, "--video", 1)
    assert outcome.status == 2
    assert "pip install 'embodied-gen[viz]'" in outcome.err
    assert len(json.loads((own_run / "eval.json").read_text())["episodes"]) == 5
    assert json.loads((own_run / "eval_info.json").read_text())["overall"]["n_episodes"] == 5


def test_a_single_episode_is_scored_too(cli, own_run):
    outcome = cli("evaluate", own_run, "--episodes", 1, "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert json.loads((own_run / "eval.json").read_text())["summary"]["return"]["interval"] is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--episodes", 0], "episodes and num-envs must be at least 1; got 0 and 32."),
        (["--num-envs", 0], "episodes and num-envs must be at least 1; got 5 and 0."),
        (["--seed", -1], "seed must be at least 0; got -1."),
        (["--threads", 0], "--threads must be at least 1; got 0."),
        (["--video", -1], "--video must be at least 0; got -1."),
        (["--workers", 0], "--workers must be at least 1; got 0."),
        (["--workers", -2], "--workers must be at least 1; got -2."),
    ],
)
def test_impossible_numbers_are_refused_and_leave_the_last_scores(flags, message, cli, own_run):
    (own_run / "eval.json").write_text("the last scores")
    outcome = cli("evaluate", own_run, *FEW, *flags)
    assert (outcome.status, outcome.err) == (2, f"embodied-gen evaluate: {message}\n")
    assert (own_run / "eval.json").read_text() == "the last scores"


def test_a_device_that_is_absent_is_named(cli, own_run):
    outcome = cli("evaluate", own_run, "--device", "cuda:77")
    assert outcome.status == 2 and "device 'cuda:77' cannot be used here" in outcome.err


CPU = ("--episodes", 3, "--workers", 1, "--device", "cpu")
BOX = {"kind": "keep_in_box", "low": [-0.5, -0.5], "high": [0.5, 0.5]}
LIMIT = {"kind": "speed_limit", "limit": 50, "channels": [2, 3]}


@pytest.fixture
def planner(tmp_path):
    return tiny.untrained_run(tmp_path / "planner", tiny.PLANNER | {"tracker": tiny.TRACKER})


@pytest.fixture
def inverse(tmp_path):
    return tiny.untrained_run(
        tmp_path / "inverse",
        {"kind": "inverse", "state": [2, 3]},
        head={"kind": "regression"},
        event={"kind": "trajectory"},
    )


def guide_file(folder, *constraints, **more):
    path = folder / "guide.yaml"
    path.write_text(yaml.safe_dump({"constraints": list(constraints), **more}))
    return path


def record_of(run):
    return json.loads((run / "eval.json").read_text())


def test_a_policy_acts_under_a_guide_and_the_record_says_so(cli, own_run, tmp_path):
    guide = guide_file(tmp_path, BOX, buffer=0.01)
    outcome = cli("evaluate", own_run, *FEW, "--guide", guide)
    assert outcome.status == 0, outcome.err
    run, record = experiment.load(own_run), record_of(own_run)
    wanted, constraints = read_guide(guide).build(0.1)
    agent = run.policy(guide=wanted, block=BLOCK)
    expected = evaluate(agent, run.experiment.maker(), episodes=5, num_envs=2, workers=1)
    assert record["episodes"] == expected["episodes"]
    assert record["guide"] == {"file": str(guide), "constraints": [constraints[0].name]}
    assert record["execution"] == "as predicted" and "plans" not in record
    assert cli("evaluate", own_run, *FEW).status == 0
    free = record_of(own_run)
    assert "guide" not in free and free["episodes"] != record["episodes"]


@pytest.mark.parametrize("follower", ["tracker", "inverse"])
def test_a_planner_acts_and_the_record_counts_its_plans(follower, cli, planner, inverse, tmp_path):
    guide = guide_file(tmp_path, BOX, LIMIT)
    flags = ["--inverse", inverse] if follower == "inverse" else []
    outcome = cli("evaluate", planner, *CPU, "--guide", guide, *flags)
    assert outcome.status == 0, outcome.err
    record = record_of(planner)
    assert record["execution"] == (f"inverse dynamics {inverse}" if flags else "tracker")
    assert record["guide"]["constraints"] == [c.name for c in read_guide(guide).build(0.1)[1]]
    plans = record["plans"]
    assert 3 * 2 <= plans["made"] <= 3 * 5  # five steps, a plan every three, sooner after one that is not good
    assert 0 <= plans["infeasible"] <= plans["made"] and 0 < plans["replan_ms_p50"] <= plans["replan_ms_p95"]
    assert f"{plans['made']}, {plans['infeasible']}" in outcome.out and "ms a plan" in outcome.out
    assert "ms an action" not in outcome.out
    assert [episode["length"] for episode in record["episodes"]] == [5] * 3


def test_a_planner_obeys_the_limits_of_the_guide_file(cli, planner, tmp_path):
    nowhere = {"kind": "keep_in_box", "low": [90, 90], "high": [91, 91]}
    assert cli("evaluate", planner, *CPU, "--guide", guide_file(tmp_path, nowhere)).status == 0
    plans = record_of(planner)["plans"]
    assert plans["infeasible"] == plans["made"]


def test_the_episodes_of_a_planner_do_not_depend_on_how_many_run_beside(cli, planner, tmp_path):
    records = []
    for number, flags in enumerate((["--num-envs", 1], ["--num-envs", 3, "--workers", 2])):
        target = tmp_path / f"{number}.json"
        assert cli("evaluate", planner, *CPU, *flags, "--json", target).status == 0
        records.append(json.loads(target.read_text()))
    assert records[0]["episodes"] == records[1]["episodes"]
    assert records[0]["plans"]["made"] == records[1]["plans"]["made"]


def test_a_run_is_scored_in_another_variant_of_its_environment(cli, planner):
    outcome = cli("evaluate", planner, *CPU, "--env.kwargs.max-episode-steps", 4)
    assert outcome.status == 0, outcome.err
    record = record_of(planner)
    assert record["env"] == {"id": "embodied/Reach-v0", "kwargs": {"max_episode_steps": 4}}
    assert [episode["length"] for episode in record["episodes"]] == [4] * 3
    assert cli("evaluate", *CPU, "--env.kwargs.max-episode-steps", 3, planner).status == 0
    assert record_of(planner)["summary"]["length"]["mean"] == 3


@pytest.mark.parametrize(
    ("run", "flags", "sentence"),
    [
        (
            "bare",
            [],
            "nothing follows its plans. Name learned inverse dynamics, --inverse RUN, or write a tracker ",
        ),
        ("inverse", [], "it follows plans and does not act alone. Evaluate a planner with it: embodied-gen evaluate"),
        ("own", ["--inverse", "inverse"], "--inverse follows the plans of a planner; "),
        ("planner", ["--inverse", "planner"], "which follows no plans. Name a run with control.kind inverse."),
        ("planner", ["--inverse", "nowhere"], "nowhere is not a run: it has no config.json."),
        ("planner", ["--inverse", "odd"], "reads the channels [4, 5] of the observation; the plans have [0, 1, 2, 3]."),
        ("planner", ["--guide", "guide.yaml"], "a planner takes the quickest plan that satisfies the constraints"),
        ("planner", ["--guide", "walls.yaml"], "a guide with walls needs the free space"),
        ("own", ["--guide", "far.yaml"], "constraints.0 of the guide is about the channels [2, 3]; the plans have 2"),
        ("nowhere", ["--env.kwargs.goals", "fixed"], "nowhere is not a run: it has no config.json."),
    ],
)
def test_what_does_not_fit_together_is_told_with_the_remedy(
    run, flags, sentence, cli, own_run, planner, inverse, tmp_path
):
    tiny.untrained_run(tmp_path / "bare", tiny.PLANNER)
    tiny.untrained_run(tmp_path / "odd", {"kind": "inverse", "state": [4, 5]}, event={"kind": "trajectory"})
    guide_file(tmp_path, BOX, costs=[{"kind": "smoothness", "unit": 1.0}])
    (tmp_path / "walls.yaml").write_text("walls: {clearance: 0.1}")
    (tmp_path / "far.yaml").write_text(yaml.safe_dump({"constraints": [LIMIT]}))
    outcome = cli("evaluate", {"own": own_run}.get(run, run), *CPU, *flags)
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert sentence in outcome.err, outcome.err


@pytest.mark.parametrize("before", [["--episodes=3"], ["--seed", "-1"], ["--env.kwargs.x", "-0.5"], ["-h"], []])
def test_the_environment_is_that_of_the_run_wherever_flags_stand(before, planner):
    flags = [*before, str(planner), "--n=3", "--device", "cpu"]
    assert env_block_of(flags) == experiment.load_config(planner)[0].env


def test_flags_with_their_values_before_the_run_score_it_in_its_own_environment(cli, planner):
    assert cli("evaluate", planner, *CPU).status == 0
    after = record_of(planner)
    assert cli("evaluate", "--episodes=3", "--workers=1", "--device=cpu", planner).status == 0
    before = record_of(planner)
    assert before["env"] == after["env"] == {"id": "embodied/Reach-v0", "kwargs": {"max_episode_steps": 5}}
    assert before["episodes"] == after["episodes"]


@pytest.mark.parametrize("verb", ["evaluate", "plan"])
def test_a_run_that_the_flags_were_not_read_for_is_refused(verb, cli, planner):
    outcome = cli(verb, "--device", "cpu", "--", planner)
    sentence = f"flags were read for no run, but RUN is {planner}. Name RUN before all flags, and once."
    assert (outcome.status, outcome.err) == (2, f"embodied-gen {verb}: {sentence}\n")
