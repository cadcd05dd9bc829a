"""A run that is killed and resumed is the run that was never killed, byte for byte."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
from forks import Real

from embodied_gen import experiment
from embodied_gen.training import checkpoint, files
from embodied_gen.training.metrics_log import read

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")

STEPS = 120
LONG = {"steps": STEPS, "checkpoint_every": 8, "log_every": 7, "validate_every": 50}


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_data):
    return tiny.config_file(tmp_path_factory.mktemp("killed"), tiny_data, train=LONG)


@pytest.fixture(scope="module")
def uninterrupted(forks, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    child = forks.start(train(config), folder)
    assert child.wait() == 0, child.text
    return folder / "run"


def train(config, *more):
    return ["train", config, "--out", "run", "--device", "cpu", *more]


def until(condition, child, seconds=60):
    """Waits for a moment in the life of a process; False if it ended before."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        if not child.running():
            return False
        time.sleep(0.001)
    return True


def saved(run):
    path = checkpoint.state_path(run)
    return path.stat().st_mtime_ns if path.exists() else 0


def content(path):
    """Everything in a file of tensors: names, types, shapes, bits and the note."""
    tensors, note = files.read_tensors(path)
    return {name: (str(t.dtype), tuple(t.shape), t.numpy().tobytes()) for name, t in tensors.items()}, note


def assert_same_run(run, other):
    for path in (checkpoint.model_path, checkpoint.state_path):
        assert content(path(run)) == content(path(other))
    for mine, theirs in zip(read(run / "metrics.jsonl"), read(other / "metrics.jsonl"), strict=True):
        assert mine.pop("step_seconds", 0) >= 0 and theirs.pop("step_seconds", 0) >= 0
        assert mine == theirs
    assert (run / "card.md").read_text() == (other / "card.md").read_text()
    left = [path.name for path in run.rglob("*") if path.name.endswith(".part")]
    assert left == []


def test_the_log_of_a_run_holds_each_logged_step_once_and_in_order(uninterrupted):
    steps = [line["step"] for line in read(uninterrupted / "metrics.jsonl")]
    expected = sorted({*range(7, STEPS, 7), 50, 100, STEPS})
    assert steps == expected


def kill_until_it_ends(start, run):
    """Starts, kills and resumes a run at random moments, three times or more, until it comes to its end."""
    for seed in range(20):
        chance, kills = random.Random(seed), 0
        while True:
            child = start()
            for _ in range(chance.choice([0, 2, 4])):  # at least that many more checkpoints, so that it gets on
                before = saved(run)
                until(lambda before=before: saved(run) != before, child)
            time.sleep(chance.uniform(0, 0.1))
            child.kill(signal.SIGKILL)
            if child.wait() == 0:
                break
            kills += 1
        if kills >= 3:
            return
        shutil.rmtree(run)  # a busy machine sent the signals too late
    raise AssertionError("it was never killed in time")


def stop_in_time(start, run, moment, number):
    """Starts processes that train one run and sends them a signal at a moment, again where they ended before it."""
    for _ in range(20):
        children = start()
        if until(moment, children[0]):
            for child in children:
                child.kill(number)
            if 0 not in [child.wait() for child in children]:
                return children
        [child.wait() for child in children]
        shutil.rmtree(run, ignore_errors=True)
    raise AssertionError("the signal never came in time")


def test_killed_again_and_again_at_random_moments_it_ends_with_the_same_weights_and_log(
    forks, config, tmp_path, uninterrupted
):
    run = tmp_path / "run"
    kill_until_it_ends(lambda: forks.start(train(config, "--resume"), tmp_path), run)
    assert_same_run(run, uninterrupted)


@pytest.mark.slow
def test_real_processes_killed_again_and_again_end_with_the_same_weights_and_log(config, tmp_path, uninterrupted):
    run = tmp_path / "run"
    kill_until_it_ends(lambda: Real(train(config, "--resume"), tmp_path), run)
    assert_same_run(run, uninterrupted)


def test_a_real_process_killed_and_resumed_equals_the_uninterrupted_one(forks, config, tmp_path, uninterrupted):
    run = tmp_path / "run"
    (process,) = stop_in_time(lambda: [Real(train(config), tmp_path)], run, lambda: saved(run), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert files.read_tensors(checkpoint.state_path(run))[1]["step"] < STEPS
    child = forks.start(train(config, "--resume"), tmp_path)
    assert child.wait() == 0, child.text
    assert_same_run(run, uninterrupted)


def test_killed_before_the_first_checkpoint_it_starts_again(forks, config, tmp_path, uninterrupted):
    run = tmp_path / "run"
    stop_in_time(
        lambda: [forks.start(train(config, "--train.checkpoint-every", "1000000"), tmp_path)],
        run,
        lambda: len(read(run / "metrics.jsonl")) >= 2,
        signal.SIGKILL,
    )
    assert not checkpoint.state_path(run).exists() and not checkpoint.model_path(run).exists()
    child = forks.start(train(config), tmp_path)  # nothing was saved, so there is nothing to refuse
    assert child.wait() == 0, child.text
    assert_same_run(run, uninterrupted)


def test_killed_between_the_two_files_of_the_last_checkpoint_the_weights_are_written_again(
    forks, config, tmp_path, uninterrupted
):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    tensors, _ = files.read_tensors(checkpoint.model_path(run))
    files.write_tensors(checkpoint.model_path(run), {k: v * 0 for k, v in tensors.items()}, {"step": 112})
    child = forks.start(train(config, "--resume"), tmp_path)
    assert child.wait() == 0, child.text
    assert_same_run(run, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_the_step_and_says_how_to_go_on(number, forks, config, tmp_path, uninterrupted):
    run = tmp_path / "run"
    (child,) = stop_in_time(
        lambda: [forks.start(train(config, "--train.checkpoint-every", f"{STEPS}"), tmp_path)],
        run,
        lambda: len(read(run / "metrics.jsonl")) >= 3,
        number,
    )
    assert child.wait() == 130
    step = files.read_tensors(checkpoint.state_path(run))[1]["step"]
    assert 21 <= step < STEPS
    assert f"stopped after step {step} and saved in run; continue with --resume." in child.text
    assert "Traceback" not in child.text
    assert experiment.load(run).step == step
    child = forks.start(train(config, "--train.checkpoint-every", f"{STEPS}", "--resume"), tmp_path)
    assert child.wait() == 0, child.text
    assert f"{STEPS}/{STEPS}" in child.text
    assert content(checkpoint.model_path(run)) == content(checkpoint.model_path(uninterrupted))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(forks, folder, *arguments, count=2):
    """What torchrun does: processes that know their number and where to meet."""
    port = str(free_port())
    return [
        forks.start(
            arguments,
            folder,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(count),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
        )
        for rank in range(count)
    ]


PERSISTENT = {"kind": "persistent_contrastive_divergence", "chain": {"kind": "langevin", "steps": 2}, "count": 40}


@pytest.mark.parametrize(
    "head",
    [
        pytest.param({}, id="denoising"),
        pytest.param({"head": {"kind": "energy", "objective": PERSISTENT}}, marks=pytest.mark.slow, id="chains"),
    ],
)
def test_two_processes_train_one_run_that_loads_and_survives_a_kill(head, forks, tiny_data, tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "killed").mkdir()
    config = tiny.config_file(tmp_path, tiny_data, train=LONG, **head)
    arguments = train(config, "--train.steps", "60")
    for child in launch(forks, tmp_path / "whole", *arguments):
        assert child.wait() == 0, child.text
    run = tmp_path / "killed" / "run"
    stop_in_time(lambda: launch(forks, tmp_path / "killed", *arguments), run, lambda: saved(run), signal.SIGKILL)
    for child in launch(forks, tmp_path / "killed", *arguments, "--resume"):
        assert child.wait() == 0, child.text
    assert_same_run(run, tmp_path / "whole" / "run")
    assert experiment.load(run).step == 60


def test_two_processes_take_the_steps_of_one_and_only_the_first_talks(forks, tiny_data, tmp_path):
    # Least squares draws nothing, so that the halves of a batch add up to the batch.
    config = tiny.config_file(tmp_path, tiny_data, head={"kind": "regression"}, train={"steps": 3})
    whole, alone = (tmp_path / name for name in ("whole", "alone"))
    whole.mkdir(), alone.mkdir()
    first, second = launch(forks, whole, *train(config))
    assert (first.wait(), second.wait()) == (0, 0), first.text + second.text
    assert "trained tiny" in first.text and "tiny" not in second.text and "train:" not in second.text
    child = forks.start(train(config), alone)
    assert child.wait() == 0
    split, joint = (files.read_tensors(checkpoint.state_path(folder / "run"))[0] for folder in (whole, alone))
    assert split.keys() == joint.keys()
    for name in split:
        torch.testing.assert_close(split[name], joint[name], rtol=1e-3, atol=1e-5, msg=name)
    child = forks.start(train(config, "--resume"), whole)
    assert child.wait() == 2 and "number of processes" in child.text


@pytest.mark.parametrize("asked", [0, 1])
def test_asking_one_of_two_processes_to_stop_saves_and_stops_both(asked, forks, config, tmp_path):
    run, longer = tmp_path / "run", ["--train.checkpoint-every", "5000", "--train.steps", "5000"]
    children = launch(forks, tmp_path, *train(config, *longer))
    assert until(lambda: len(read(run / "metrics.jsonl")) >= 3, children[0])
    children[asked].kill(signal.SIGINT)
    assert [child.wait() for child in children] == [130, 130], children[0].text + children[1].text
    step = files.read_tensors(checkpoint.state_path(run))[1]["step"]
    for child in children:
        assert f"stopped after step {step} and saved in run; continue with --resume." in child.text


def test_a_batch_that_does_not_divide_is_refused_by_every_process(forks, config, tmp_path):
    for child in launch(forks, tmp_path, *train(config, "--train.batch", "33")):
        assert child.wait() == 2
        assert "train.batch must be a multiple of the 2 processes; got 33." in child.text


@pytest.mark.slow
def test_torchrun_itself_trains_and_resumes(config, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "embodied_gen", *map(str, train(config, "--resume"))]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    while not saved(tmp_path / "run"):
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for number in workers_of(tmp_path):
        os.kill(number, signal.SIGKILL)
    subprocess.run(command, cwd=tmp_path, check=True)
    assert experiment.load(tmp_path / "run").step == STEPS


def workers_of(folder):
    """Processes of ours that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "cwd") == str(folder) and b"embodied_gen" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_the_metrics_are_json_lines(uninterrupted):
    for text in (uninterrupted / "metrics.jsonl").read_text().splitlines():
        assert {"step"} < set(json.loads(text))
