"""`embodied-gen evaluate` writes scores that do not depend on how they were computed, and loses none."""

import json
import sys

import pytest
from PIL import Image

from embodied_gen import experiment
from embodied_gen.evaluate import BLOCK, evaluate

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


def test_scores_are_kept_where_videos_cannot_be_made(cli, own_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    outcome = cli("evaluate", own_run, *FEW, "--video", 1)
    assert outcome.status == 2
    assert "pip install 'embodied-gen[viz]'" in outcome.err
    assert len(json.loads((own_run / "eval.json").read_text())["episodes"]) == 5


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
