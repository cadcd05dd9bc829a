"""One loop for every head: what it computes is fixed by the seed, and nothing broken is ever saved."""

import errno
import os
import random
import shutil
import sys
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import tiny
import torch
from torch import distributed

from embodied_gen import experiment
from embodied_gen.demos.windows import Windows
from embodied_gen.training import Course, checkpoint, files, fit
from embodied_gen.training.fit import learning_rate
from embodied_gen.training.metrics_log import read
from embodied_gen.training.processes import Processes
from embodied_gen.training.settings import TrainSettings

ALONE = Processes(0, 1, torch.device("cpu"))
COURSE = Course("the course", 0)
SHORT = {"steps": 12, "checkpoint_every": 5, "log_every": 4, "validate_every": 6}
MARK = 12345.0


def train(
    run,
    *,
    config=None,
    predictor=None,
    course=COURSE,
    resume=False,
    episodes=None,
    report=None,
    held_out=None,
    processes=ALONE,
):
    config = config or tiny.experiment_of(train=SHORT)
    predictor = predictor or experiment.build(config, tiny.windows_of(config, episodes))
    sink = report or (lambda step, values: None)
    return fit(
        predictor,
        tiny.windows_of(config, episodes),
        held_out,
        config.train,
        run=run,
        course=course,
        resume=resume,
        processes=processes,
        report=sink,
    )


def weights(run):
    return {name: value.numpy().tobytes() for name, value in files.read_tensors(checkpoint.model_path(run))[0].items()}


def state(run):
    tensors, note = files.read_tensors(checkpoint.state_path(run))
    return {name: value.numpy().tobytes() for name, value in tensors.items()}, note


def snapshot(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SCHEDULED = {
    "kind": "autoregressive",
    "decoder": {"kind": "recurrent", "width": 8},
    "emission": {"kind": "mixtures", "components": 2},
    "features": 4,
    "teaching": {"kind": "scheduled_sampling", "share": 0.5, "ramp": 0.6},
}


class Stop(Exception):
    pass


HEADS = {
    "denoising": {"kind": "denoising", "steps": 3, "dropout": 0.2},
    "regression": {"kind": "regression"},
    "two_step": {"kind": "two_step"},
    "mixture": {"kind": "mixture", "components": 2},
    "adversarial": {"kind": "adversarial", "latent": 3},
    "mean_flow": {"kind": "mean_flow"},
    "scheduled": SCHEDULED,
    "persistent": {
        "kind": "energy",
        "objective": {
            "kind": "persistent_contrastive_divergence",
            "chain": {"kind": "langevin", "steps": 2, "starts": 2},
            "count": 40,
        },
    },
}
NETS = {
    "mlp": {"kind": "mlp", "width": 16, "depth": 1},
    "unet": {"kind": "unet", "width": 8, "multipliers": [1, 2], "kernel": 3, "groups": 4},
    "transformer": {"kind": "transformer", "width": 16, "depth": 1, "heads": 2},
}


@pytest.mark.parametrize(
    ("head", "net"), [*((head, "mlp") for head in HEADS), ("denoising", "unet"), ("denoising", "transformer")]
)
def test_stopped_anywhere_and_resumed_it_ends_with_the_same_state_for_every_head_and_net(head, net, tmp_path):
    config = tiny.experiment_of(head=HEADS[head], net=NETS[net], train=SHORT)
    train(tmp_path / "whole", config=config)

    def stop_at(last):
        def report(step, values):
            if step == last:
                raise Stop

        return report

    for last in (3, 7, 11):  # before the first checkpoint, and between later ones
        with pytest.raises(Stop):
            train(tmp_path / "broken", config=config, resume=True, report=stop_at(last))
    train(tmp_path / "broken", config=config, resume=True)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert state(tmp_path / "broken") == state(tmp_path / "whole")


def test_a_schedule_is_told_how_much_of_training_is_over(tmp_path):
    config = tiny.experiment_of(head=SCHEDULED, train=SHORT)
    predictor, told = experiment.build(config, tiny.windows_of(config)), []
    train(
        tmp_path, config=config, predictor=predictor, report=lambda *_: told.append(predictor.head.teaching.done.item())
    )
    assert told == pytest.approx([step / 12 for step in range(12)])


def test_chains_go_on_with_the_run_and_are_not_deployed(tmp_path):
    config = tiny.experiment_of(head=HEADS["persistent"], train=SHORT)
    trained = train(tmp_path, config=config)
    chains = {name for name in state(tmp_path)[0] if ".chains." in name}
    assert {name.rpartition(".")[2] for name in chains} == {"rows", "position", "leaf"}
    assert all(name.startswith("module.") for name in chains)
    assert not any(".chains." in name for name in weights(tmp_path))
    deployed = experiment.build(config, tiny.windows_of(config))
    files.fill(deployed, files.read_tensors(checkpoint.model_path(tmp_path))[0], tmp_path)
    assert deployed.state_dict().keys() == trained.state_dict().keys()


def test_without_momentum_the_first_moment_is_the_last_gradient(tmp_path):
    last = {}

    def remember(predictor):
        for name, parameter in predictor.named_parameters():
            parameter.register_post_accumulate_grad_hook(lambda p, name=name: last.update({name: p.grad}))

    config = tiny.experiment_of(train=SHORT | {"momentum": 0.0, "clip_norm": 1e6})
    predictor = experiment.build(config, tiny.windows_of(config))
    remember(predictor)
    train(tmp_path, config=config, predictor=predictor)
    tensors = files.read_tensors(checkpoint.state_path(tmp_path))[0]
    for name, gradient in last.items():
        torch.testing.assert_close(tensors[f"optimizer.{name}.exp_avg"], gradient)
    assert last


def test_one_seed_gives_one_result_and_another_seed_another(tmp_path):
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        config = tiny.experiment_of(train=SHORT, seed=seed)
        train(tmp_path / name, config=config, course=Course("the course", seed))
    assert weights(tmp_path / "first") == weights(tmp_path / "second")
    assert weights(tmp_path / "first") != weights(tmp_path / "other")


def test_the_order_and_the_noise_depend_on_the_seed_and_not_only_the_first_weights(tmp_path):
    for name, seed in (("first", 0), ("other", 1)):
        train(tmp_path / name, course=Course("the course", seed))
    assert weights(tmp_path / "first") != weights(tmp_path / "other")


def test_it_returns_the_averaged_weights_that_it_saved(tmp_path):
    averaged = train(tmp_path)
    saved, note = files.read_tensors(checkpoint.model_path(tmp_path))
    assert note == {"step": 12}
    assert averaged.state_dict().keys() == saved.keys()
    assert all(averaged.state_dict()[name].equal(saved[name]) for name in saved)


def test_it_learns(tmp_path):
    config = tiny.experiment_of(head=HEADS["regression"], train={**SHORT, "steps": 150, "warmup": 5})
    losses = []
    train(tmp_path, config=config, report=lambda step, values: losses.append(values.get("loss")))
    losses = [loss for loss in losses if loss is not None]
    assert losses[-1] < losses[0] / 2


def test_it_reports_every_step_and_logs_the_wanted_ones(tmp_path):
    config, reported = tiny.experiment_of(train=SHORT), []
    held_out = tiny.windows_of(config, tiny.episodes_of((9,), seed=1))
    train(tmp_path, held_out=held_out, report=lambda step, values: reported.append((step, sorted(values))))
    assert [step for step, _ in reported] == list(range(1, 13))
    logged = {line["step"]: sorted(line.keys() - {"step"}) for line in read(tmp_path / "metrics.jsonl")}
    assert logged == {step: keys for step, keys in reported if keys}
    training = ["gradient_norm", "loss", "rate", "step_seconds"]
    assert logged == {4: training, 6: ["held_out_loss"], 8: training, 12: sorted([*training, "held_out_loss"])}


def test_the_held_out_loss_is_that_of_the_averaged_weights_over_all_windows(tmp_path):
    config = tiny.experiment_of(head=HEADS["regression"], train=SHORT)
    held_out = tiny.windows_of(config, tiny.episodes_of((9, 11), seed=1))
    averaged = train(tmp_path, config=config, held_out=held_out)
    batch = held_out.batch(torch.arange(len(held_out)))
    with torch.no_grad():
        loss = averaged.loss(batch.observations, batch.value, generator=torch.Generator(), valid=batch.valid).mean()
    assert read(tmp_path / "metrics.jsonl")[-1]["held_out_loss"] == pytest.approx(float(loss), rel=1e-5)


def test_the_global_random_states_are_neither_read_nor_written(tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    train(tmp_path / "first")
    assert torch.get_rng_state().equal(before[0])
    assert (np.random.get_state()[1].tobytes(), random.getstate()) == before[1:]  # noqa: NPY002
    torch.manual_seed(77)
    train(tmp_path / "second")
    assert weights(tmp_path / "first") == weights(tmp_path / "second")


def test_a_run_is_not_trained_over_without_resume(tmp_path):
    train(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=rf"{tmp_path} holds a training run already. Pass --resume"):
        train(tmp_path)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("resume", [False, True])
def test_weights_without_their_state_are_never_trained_over(tmp_path, resume):
    train(tmp_path)
    checkpoint.state_path(tmp_path).unlink()
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"holds weights without the training state .* Name another folder"):
        train(tmp_path, resume=resume)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("course", [Course("another course", 0), Course("the course", 1)])
def test_a_run_goes_on_in_its_own_course_only(tmp_path, course):
    train(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(ValueError, match="was trained with another configuration, data set, seed or number of proc"):
        train(tmp_path, course=course, resume=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(("where", "name"), [(torch, "torch"), (checkpoint, "embodied-gen")])
def test_a_state_of_another_version_goes_on_and_says_that_it_is_not_exact(where, name, tmp_path, monkeypatch):
    train(tmp_path)
    monkeypatch.setattr(where, "__version__", "99.0.0")
    sentence = rf"was written with {name} [^,]* and goes on with {name} 99.0.0: the weights will be close"
    with pytest.warns(UserWarning, match=sentence):
        train(tmp_path, resume=True)


def test_a_state_of_another_precision_goes_on_and_says_that_it_is_not_exact(tmp_path, monkeypatch):
    config = tiny.experiment_of(train=SHORT | {"precision": "auto"})
    for precision in ("bf16", "fp32"):
        monkeypatch.setattr(sys.modules["embodied_gen.training.fit"], "resolve", lambda *_, now=precision: now)
        sentence = "was written with precision bf16 and goes on with precision fp32: the weights will be close"
        with pytest.warns(UserWarning, match=sentence) if precision == "fp32" else nullcontext():
            train(tmp_path, config=config, resume=True)


def test_weights_in_the_place_of_the_state_are_refused(tmp_path):
    train(tmp_path)
    shutil.copy(checkpoint.model_path(tmp_path), checkpoint.state_path(tmp_path))
    with pytest.raises(
        ValueError, match=r"last.safetensors is no training state .*\. It was left as it is; restore it"
    ):
        train(tmp_path, resume=True)


def test_a_finished_run_resumed_stays_as_it_is(tmp_path):
    train(tmp_path)
    before = weights(tmp_path), state(tmp_path)
    train(tmp_path, resume=True)
    assert (weights(tmp_path), state(tmp_path)) == before


def broken(predictor, harm, after):
    """A predictor whose loss comes to harm from its call number `after` on, at windows that hold the mark."""
    forward, calls = predictor.forward, []

    def fail(observations, value, valid, generator):
        calls.append(1)
        losses = forward(observations, value, valid, generator)
        return losses if len(calls) <= after else harm(losses, observations[:, -1, 0] == MARK)

    predictor.forward = fail
    return predictor


def to_nan(losses, where):
    return torch.where(where, torch.nan, losses)


def to_a_steep_place(losses, where):
    """The same values, with an infinite gradient."""
    return losses + (losses - losses.detach()).abs().sqrt().nan_to_num()


def marked_episodes():
    episodes = tiny.episodes_of((9, 12, 10))
    episodes.observations[9 + 4, 0] = MARK  # episode 1, step 4
    return episodes


def test_a_loss_that_is_not_finite_stops_at_once_with_its_window_and_keeps_the_last_checkpoint(tmp_path):
    config, episodes = tiny.experiment_of(train={**SHORT, "steps": 60, "batch": 31}), marked_episodes()
    predictor = broken(experiment.build(config, tiny.windows_of(config, episodes)), to_nan, after=7)
    with pytest.raises(FloatingPointError) as caught:
        train(tmp_path, config=config, predictor=predictor, episodes=episodes)
    # A batch holds every window once, so that the first harmful step is step 7, counted from 0.
    assert "the loss of step 7 is not finite at window 13 (episode 1, step 4 of dataset random)" in str(caught.value)
    assert "The last checkpoint is kept; lower train.rate or train.clip_norm" in str(caught.value)
    tensors, note = files.read_tensors(checkpoint.state_path(tmp_path))
    assert note["step"] == 5
    assert all(value.isfinite().all() for value in tensors.values())
    assert max(line["step"] for line in read(tmp_path / "metrics.jsonl")) <= 7


@pytest.mark.parametrize("harm", [to_nan, to_a_steep_place])
def test_no_checkpoint_is_made_of_a_step_that_broke_the_weights(harm, tmp_path):
    config, episodes = tiny.experiment_of(train={**SHORT, "steps": 60, "batch": 31}), marked_episodes()
    predictor = broken(experiment.build(config, tiny.windows_of(config, episodes)), harm, after=9)
    with pytest.raises(FloatingPointError, match="of step 9 is not finite"):  # a checkpoint is due after it
        train(tmp_path, config=config, predictor=predictor, episodes=episodes)
    tensors, note = files.read_tensors(checkpoint.state_path(tmp_path))
    assert note["step"] == 5
    assert all(value.isfinite().all() for value in tensors.values())


def test_a_gradient_that_is_not_finite_is_named_as_such(tmp_path):
    config = tiny.experiment_of(train=SHORT)
    predictor = broken(experiment.build(config, tiny.windows_of(config)), to_a_steep_place, after=2)
    with pytest.raises(FloatingPointError, match=r"the gradient of step 2 is not finite. The last checkpoint is kept"):
        train(tmp_path, config=config, predictor=predictor)


def test_an_absurd_rate_is_stopped(tmp_path):
    config = tiny.experiment_of(train={**SHORT, "rate": 1e30})
    with pytest.raises(FloatingPointError, match="is not finite"):
        train(tmp_path, config=config)


def test_a_full_disk_while_training_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def fill_up(descriptor):
        synced.append(1)
        if len(synced) > 5:  # the log and two checkpoints of two files
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(OSError, match=r"no space left to write .*last.safetensors; the last good file is kept"):
        train(tmp_path)
    assert files.read_tensors(checkpoint.state_path(tmp_path))[1]["step"] == 10
    assert not [path for path in tmp_path.rglob("*.part")]
    monkeypatch.setattr(os, "fsync", fsync)
    train(tmp_path, resume=True)
    train(tmp_path.with_name("whole"))
    assert weights(tmp_path) == weights(tmp_path.with_name("whole"))


def raise_at_once(function, **_):
    raise RuntimeError("torch.compile is not supported here\nand more")


def raise_when_called(function, **_):
    def fail(*args):
        raise RuntimeError("no working compiler was found\nand more")

    return fail


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [(raise_at_once, "torch.compile is not supported here"), (raise_when_called, "no working compiler was found")],
)
def test_without_a_working_compiler_it_warns_once_and_trains_the_same(compiler, reason, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", compiler)
    train(tmp_path / "plain")
    with pytest.warns(UserWarning, match=rf"train.compile failed \({reason}\); going on without.") as caught:
        train(tmp_path / "compiled", config=tiny.experiment_of(train={**SHORT, "compile": True}))
    assert len([w for w in caught if "train.compile" in str(w.message)]) == 1
    assert weights(tmp_path / "plain") == weights(tmp_path / "compiled")


def test_a_working_compiler_is_used(tmp_path, monkeypatch):
    calls = []

    def compiler(function, **_):
        def fast(*args):
            calls.append(1)
            return function(*args)

        return fast

    monkeypatch.setattr(torch, "compile", compiler)
    train(tmp_path / "compiled", config=tiny.experiment_of(train={**SHORT, "compile": True}))
    train(tmp_path / "plain")
    assert len(calls) == 12
    assert weights(tmp_path / "plain") == weights(tmp_path / "compiled")


def test_narrow_products_train_too(tmp_path):
    train(tmp_path, config=tiny.experiment_of(train={**SHORT, "precision": "bf16"}))
    tensors, _ = files.read_tensors(checkpoint.state_path(tmp_path))
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    assert all(value.isfinite().all() for value in tensors.values())


def test_the_rate_warms_up_linearly_and_ends_at_zero_after_half_a_cosine():
    settings = TrainSettings(steps=100, warmup=10, rate=2.0)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == 2.0 and rates[55] == pytest.approx(1.0) and rates[100] == pytest.approx(0.0)
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))
    assert learning_rate(0, TrainSettings(steps=5, warmup=0, rate=2.0)) == 2.0
    assert learning_rate(3, TrainSettings(steps=5, warmup=50, rate=2.0)) == pytest.approx(0.16)


def test_a_batch_larger_than_the_data_takes_several_passes(tmp_path):
    config = tiny.experiment_of(train={**SHORT, "batch": 100})
    train(tmp_path, config=config)
    assert len(Windows(tiny.episodes_of(), history=1, horizon=1)) == 31 < 100


@pytest.fixture
def group():
    """A group of one process, whose mean is its own."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield Processes(0, 2, torch.device("cpu"))
    distributed.destroy_process_group()


SCORES = [
    {"kind": "energy", "objective": {"kind": kind}} for kind in ("denoising_score", "sliced_score", "implicit_score")
]


@pytest.mark.parametrize("head", [HEADS["denoising"], HEADS["adversarial"], *SCORES], ids=str)
def test_sharing_gradients_with_nobody_changes_nothing_also_where_a_loss_leaves_parameters_out(
    head, group, tmp_path, monkeypatch
):
    config = tiny.experiment_of(head=head, event={"kind": "trajectory"}, train={"steps": 3})
    train(tmp_path / "shared", config=config, processes=group)
    monkeypatch.setattr(sys.modules["embodied_gen.training.fit"], "_distributed", lambda model, *_: model)
    train(tmp_path / "own", config=config, processes=group)
    assert state(tmp_path / "shared") == state(tmp_path / "own")
