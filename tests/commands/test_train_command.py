"""`embodied-gen train` makes a run, goes on with it, and never harms another."""

import json
import re
import shutil

import numpy as np
import pytest
import safetensors.torch
import tiny
import torch
import yaml

from embodied_gen import experiment
from embodied_gen.demos import store
from embodied_gen.training import checkpoint, files
from embodied_gen.training.metrics_log import read

CPU = ("--device", "cpu")
FEW = ("--train.steps", 3)


@pytest.fixture
def config(tmp_path, tiny_data):
    return tiny.config_file(tmp_path, tiny_data)


def weights(run):
    return {name: t.numpy().tobytes() for name, t in files.read_tensors(checkpoint.model_path(run))[0].items()}


def snapshot(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_holds_config_weights_state_log_and_card(tiny_run):
    names = {str(path.relative_to(tiny_run)) for path in tiny_run.rglob("*") if path.is_file()}
    names = {name for name in names if not name.startswith("tensorboard")}
    assert names == {"config.json", "model.safetensors", "state/last.safetensors", "metrics.jsonl", "card.md"}
    assert experiment.load(tiny_run).step == 40
    card = (tiny_run / "card.md").read_text()
    held_out = [line["held_out_loss"] for line in read(tiny_run / "metrics.jsonl") if "held_out_loss" in line][-1]
    for part in ("library_name: embodied-gen", "# tiny", "`embodied/Avoid-v0`", f"{held_out:.4f}", "40 steps of 16"):
        assert part in card, part


def test_overrides_from_the_command_line_reach_the_run(cli, config, tmp_path):
    outcome = cli("train", config, *CPU, *FEW, "--head.steps", 7, "--seed", 5, "--control.horizon", 9, "--out", "r")
    assert outcome.status == 0, outcome.err
    written = json.loads((tmp_path / "r" / "config.json").read_text())["experiment"]
    assert (written["train"]["steps"], written["head"]["steps"], written["seed"]) == (3, 7, 5)
    run = experiment.load(tmp_path / "r")
    assert (
        run.experiment.train.steps == 3 and run.predictor.head.steps == 7 and run.predictor.head.event.shape == (9, 2)
    )
    assert written["train"]["batch"] == 16  # the file's, where nothing else is asked for


def test_the_folder_is_named_after_the_config_where_no_other_is_given(cli, config, tmp_path):
    assert cli("train", config, *CPU, *FEW).status == 0
    assert experiment.load(tmp_path / "runs" / "tiny").step == 3


def test_one_seed_gives_the_same_weights_and_another_seed_others(cli, config, tmp_path, tiny_run):
    assert cli("train", config, *CPU, "--out", "again").status == 0
    assert cli("train", config, *CPU, "--out", "other", "--seed", 1).status == 0
    assert weights(tmp_path / "again") == weights(tiny_run)
    assert weights(tmp_path / "other") != weights(tiny_run)


def refused(outcome, message):
    assert outcome.status == 2
    assert outcome.err.startswith("embodied-gen train: ") and "Traceback" not in outcome.err
    assert re.search(message, outcome.err), outcome.err


def test_an_existing_run_is_left_alone_without_resume(cli, config, own_run):
    before = snapshot(own_run)
    refused(cli("train", config, *CPU, "--out", own_run), f"{own_run} holds a training run already. Pass --resume")
    assert snapshot(own_run) == before


@pytest.mark.parametrize("flags", [[], ["--resume"]])
def test_a_run_whose_state_was_thrown_away_is_left_alone(flags, cli, config, own_run):
    shutil.rmtree(own_run / "state")
    before = snapshot(own_run)
    refused(
        cli("train", config, *CPU, "--seed", 3, "--out", own_run, *flags),
        f"{own_run} holds weights without the training state",
    )
    assert snapshot(own_run) == before


@pytest.mark.parametrize(
    "flags", [["--train.rate", "0.1"], ["--seed", "1"], ["--head.steps", "4"], ["--data.episodes", "7"]]
)
def test_resuming_with_another_config_data_or_seed_is_refused(flags, cli, config, own_run):
    before = snapshot(own_run)
    refused(
        cli("train", config, *CPU, "--out", own_run, "--resume", *flags),
        f"{own_run} was trained with another configuration, data set, seed or number of processes than asked for now.*"
        "Resume with the same ones .*or train into another folder with --out",
    )
    assert snapshot(own_run) == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "other"}, 'has name "tiny", not "other" as asked for'),
        ({"env": {"kwargs": {"max_speed": 0.3}}}, 'has env .*"kwargs": {}.*, not .*"max_speed": 0.3.* as asked for'),
    ],
)
def test_resuming_under_another_name_or_in_another_environment_is_refused(
    changes, sentence, cli, tiny_data, own_run, tmp_path
):
    before, config = snapshot(own_run), tiny.config_file(tmp_path, tiny_data, **changes)
    refused(
        cli("train", config, *CPU, "--out", own_run, "--resume"),
        rf"{own_run} {sentence}\. Resume with its own \(run/config.json holds it\), or train into another folder with",
    )
    assert snapshot(own_run) == before


def test_how_a_planner_executes_may_change_and_its_config_says_so(cli, tiny_data, tmp_path):
    control = {"kind": "planner", "state": [0, 1], "goal": [2, 3], "reaches": [0, 1], "horizon": 4, "strides": 2}
    content = tiny.content(tiny_data, event={"kind": "trajectory"}) | {"control": control}
    (tmp_path / "planner.yaml").write_text(yaml.safe_dump(content))
    command = ["train", "planner.yaml", *CPU, *FEW, "--out", "run", "--resume"]
    assert cli(*command).status == 0
    before = weights(tmp_path / "run")
    outcome = cli(*command, "--control.candidates", 7)
    assert outcome.status == 0, outcome.err
    run = experiment.load(tmp_path / "run")
    assert run.experiment.control.candidates == 7 and weights(tmp_path / "run") == before
    kept = snapshot(tmp_path / "run")
    refused(cli(*command, "--control.candidates", 8, "--seed", 1), "run was trained with another configuration")
    assert snapshot(tmp_path / "run") == kept


def test_resuming_with_data_that_changed_under_the_same_name_is_refused(cli, own_run, tiny_data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)
    config = tiny.config_file(tmp_path, root)
    assert cli("train", config, *CPU, *FEW, "--out", "r").status == 0
    shutil.rmtree(root)
    assert cli("collect", config, "--seed", 99).status == 0
    refused(
        cli("train", config, *CPU, *FEW, "--out", "r", "--resume"), "r was trained with another configuration, data"
    )


def test_a_finished_run_resumed_stays_as_it_is(cli, config, own_run):
    before = weights(own_run), read(own_run / "metrics.jsonl")
    outcome = cli("train", config, *CPU, "--out", own_run, "--resume")
    assert outcome.status == 0, outcome.err
    assert (weights(own_run), read(own_run / "metrics.jsonl")) == before
    assert re.search(r"^train: 40/40 in \d+ s, 0 s left", outcome.out, re.MULTILINE), outcome.out


def harm(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "foreign bytes":
        path.write_bytes(b"\x00 something else \xff" * 20)
    elif how == "foreign file" and path.suffix == ".safetensors":
        path.write_bytes(safetensors.torch.save({"weight": torch.zeros(2)}))
    elif how == "foreign file":
        path.write_text('{"model": "resnet"}')
    elif path.suffix == ".safetensors":
        tensors, note = files.read_tensors(path)
        header = {"format": "embodied-gen", "schema": "2", "note": json.dumps(note)}
        path.write_bytes(safetensors.torch.save(tensors, header))
    else:
        path.write_text(json.dumps(json.loads(content) | {"schema": 2}))


MESSAGES = {
    "truncated": "is truncated or not .* It was left as it is; restore it from a copy",
    "foreign bytes": "is truncated or not .* It was left as it is; restore it from a copy",
    "foreign file": "was not written by embodied-gen.* It was left as it is; name a",
    "newer": "has schema 2; this version of embodied-gen reads up to 1. Upgrade: pip install -U embodied-gen.",
}


@pytest.mark.parametrize("how", MESSAGES)
@pytest.mark.parametrize("file", ["state/last.safetensors", "config.json"])
def test_a_damaged_run_cannot_be_resumed_and_is_left_as_it_is(how, file, cli, config, own_run):
    harm(own_run / file, how)
    before = snapshot(own_run)
    refused(cli("train", config, *CPU, "--out", own_run, "--resume"), f"{own_run / file} {MESSAGES[how]}")
    assert snapshot(own_run) == before


@pytest.mark.parametrize("how", MESSAGES)
@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("verb", ["evaluate", "plan", "info"])
def test_a_damaged_run_is_named_by_every_verb_and_left_as_it_is(verb, how, file, cli, own_run):
    harm(own_run / file, how)
    before = snapshot(own_run)
    outcome = cli(verb, own_run)
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert re.search(f"{own_run / file} {MESSAGES[how]}", outcome.err), outcome.err
    assert snapshot(own_run) == before


def test_a_really_full_disk_keeps_the_last_checkpoint_and_with_space_the_run_goes_on(cli, config, small_disk, tiny_run):
    disk = small_disk("2000k")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(1_100_000))
    refused(
        cli("train", config, *CPU, "--out", disk / "run"),
        f"no space left to write {disk}/run/.*; the last good file is kept. Free some space and run again",
    )
    assert files.read_tensors(checkpoint.state_path(disk / "run"))[1]["step"] == 10
    assert experiment.load(disk / "run").step == 10
    assert not list((disk / "run").rglob("*.part"))
    ballast.unlink()
    assert cli("train", config, *CPU, "--out", disk / "run", "--resume").status == 0
    assert weights(disk / "run") == weights(tiny_run)


def test_a_missing_data_set_says_how_to_collect_it(cli, tmp_path):
    refused(
        cli("train", tiny.config_file(tmp_path, "nowhere"), *CPU),
        f"no dataset '{tiny.DATASET}' in nowhere; it holds none. Collect it: embodied-gen collect CONFIG.",
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"episodes": 80}}, "has 8 episodes; data.episodes asks for 80. Collect more or ask for fewer."),
        (
            {"data": {"held_out": 0.99}},
            "has 8 episodes, too few to hold out 8. Collect more, or set data.held_out to 0.",
        ),
        (
            {"control": {"horizon": 99}},
            "the longest of 8 episodes has .* fewer than the horizon of 99. Shorten control.hor",
        ),
        (
            {"env": {"id": "embodied/Reach-v0"}},
            r"has observations of shape \(4,\); the environment embodied/Reach-v0 has \(6",
        ),
        ({"env": {"id": "CartPole-v1"}}, r"has actions of shape \(2,\); the environment CartPole-v1 has \(\)"),
        ({"net": {"kind": "unet", "kernel": 4}}, "kernel must be odd"),
        ({"net": {"kind": "transformer", "width": 18, "heads": 4}}, "width must be a multiple of heads"),
        ({"train": {"rate": 1e30}}, "is not finite.* The last checkpoint is kept; lower train.rate"),
    ],
)
def test_what_does_not_fit_is_named(changes, message, cli, tmp_path, tiny_data):
    refused(cli("train", tiny.config_file(tmp_path, tiny_data, **changes), *CPU), message)
    assert not checkpoint.state_path(tmp_path / "runs" / "tiny").exists()


def test_without_the_packages_of_the_environment_it_trains_and_says_what_it_did_not_check(cli, tmp_path, tiny_data):
    config = tiny.config_file(tmp_path, tiny_data, env={"id": "no_such_simulator:embodied/Avoid-v0"})
    outcome = cli("train", config, *CPU, *FEW)
    assert outcome.status == 0, outcome.err
    assert "the data set is not checked against the environment:" in outcome.out and "no_such_simulator" in outcome.out


def test_numbers_that_are_not_finite_are_named_to_the_channel(cli, tmp_path, monkeypatch):
    write = store._buffer

    def spoil(index, recording):
        if index == 1:
            recording.actions[2, 1] = np.nan
        return write(index, recording)

    monkeypatch.setattr(store, "_buffer", spoil)
    config = tiny.config_file(tmp_path, "data", data={"episodes": 2})
    assert cli("collect", config).status == 0
    refused(
        cli("train", config, *CPU),
        f"dataset {tiny.DATASET}: actions must be finite; got nan in episode 1, step 2, channel 1. Repair or drop",
    )


def test_held_out_episodes_may_be_shorter_than_the_horizon(cli, tmp_path, tiny_data):
    lengths = store.read(tiny.DATASET, root=tiny_data).lengths
    horizon = int(lengths.max())
    assert (lengths < horizon).sum() >= 4
    config = tiny.config_file(tmp_path, tiny_data, control={"horizon": horizon}, data={"held_out": 0.4})
    outcomes = [cli("train", config, *CPU, *FEW, "--seed", seed, "--out", f"r{seed}").status for seed in range(4)]
    assert outcomes == [0] * 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train.steps", "-3"], "Input should be greater than or equal to 1"),
        (["--train.steps", "many"], "--train.steps"),
        (["--control.actions", "99"], r"control.actions \(99\) must not exceed control.horizon \(8\)"),
        (["--head.kind", "regression"], "--head.kind"),
        (["--device", "cuda:77"], "device 'cuda:77' cannot be used here"),
    ],
)
def test_wrong_values_on_the_command_line_are_refused(flags, message, cli, config, tmp_path):
    outcome = cli("train", config, *flags)
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert re.search(message, outcome.err), outcome.err
    assert not (tmp_path / "runs").exists()
