"""A cell is a function of its settings, says what it cost, and says why it failed."""

import json

import numpy as np
import pytest
import tiny
import torch

from embodied_gen.blocks import DenoisingBlock, MLPBlock, PolicyControl
from embodied_gen.blocks.autoregressive import (
    AutoregressiveBlock,
    CausalBlock,
    MixturesBlock,
    RecurrentBlock,
)
from embodied_gen.blocks.flows import BNAFBlock
from embodied_gen.blocks.head import MixtureBlock, RegressionBlock, TwoStepBlock
from embodied_gen.blocks.net import MonotoneBlock, SceneNetBlock
from embodied_gen.demos.windows import Windows
from embodied_gen.events import Trajectory
from embodied_gen.grounds import cell as cell_module
from embodied_gen.grounds.calls import network_calls
from embodied_gen.grounds.cell import Cell, _whole, measure
from embodied_gen.grounds.cost import rehearse
from embodied_gen.grounds.plane import BitsGround, PlaneGround
from embodied_gen.grounds.shared import LastShared, Shared
from embodied_gen.nets import MonotoneMLP, ResidualMLP
from embodied_gen.training import TrainSettings
from embodied_gen.training.processes import Processes
from tests.heads.kinds import OF_OTHER_EVENTS, kinds

CPU = torch.device("cpu")
CLOCKS = {"training_seconds", "ms_a_call", "timed_calls"}
TRAIN = TrainSettings(steps=20, batch=32, precision="fp32", warmup=2)
GROUND = PlaneGround(
    shape="eight_gaussians", points=300, contexts=2, samples=50, net=MLPBlock(width=16, depth=1), train=TRAIN
)


def cell_of(head, ground=GROUND, seed=0):
    return Cell("some", head, "plane", ground, seed)


def rehearsed(head, ground=GROUND):
    return rehearse(ground, head, 0)


def shared_of(ground=GROUND):
    return Shared(ground, ground.episodes(lambda _: None), CPU)


def measured(head, ground=GROUND, seed=0):
    steps = []
    found = measure(
        cell_of(head, ground, seed),
        shared_of(ground),
        processes=Processes(0, 1, CPU),
        workers=1,
        report=lambda step, _: steps.append(step),
    )
    return found, steps


def network(width=8):
    def make_net(channels_out, channels_in=1):
        return ResidualMLP(horizon=3, channels_in=1, channels_out=channels_out, context=2, width=width, depth=2)

    return make_net


@pytest.mark.parametrize("head", [RegressionBlock(), DenoisingBlock(steps=3)], ids=lambda h: h.kind)
def test_a_cell_is_plain_json_and_a_function_of_its_settings(head):
    found, steps = measured(head)
    assert steps == list(range(1, 21))
    assert json.loads(json.dumps(found)) == found
    assert {"ground": "plane", "family": "some", "seed": 0, "kind": head.kind, "trials": 100}.items() <= found.items()
    assert found["data"] == shared_of().digest
    assert found["network_calls"] == (1 if head.kind == "regression" else 3)
    assert 0 < found["calibration_error"] < 1 and found["parameters"] > 0
    again, other = measured(head)[0], measured(head, seed=1)[0]
    assert {k: v for k, v in again.items() if k not in CLOCKS} == {k: v for k, v in found.items() if k not in CLOCKS}
    assert other["coverage"] != found["coverage"] or other["distance"] != found["distance"]
    assert other["fingerprint"] != found["fingerprint"] == again["fingerprint"]


def test_heads_with_densities_are_asked_for_them():
    assert np.isfinite(measured(MixtureBlock(components=2))[0]["nll"])


@pytest.mark.parametrize(
    ("block", "calls"),
    [(RegressionBlock(), 1), (TwoStepBlock(), 2), (MixtureBlock(), 1), (DenoisingBlock(steps=7), 7)],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_calls_of_networks_are_counted_and_not_those_of_their_layers(block, calls):
    head = block.build(Trajectory(3, [-1.0], [1.0]), network())
    for _ in range(2):  # the hooks are gone after the first time
        assert network_calls(head, torch.zeros(1, 2)) == calls


@pytest.mark.parametrize("decoder", [RecurrentBlock(width=8), CausalBlock(width=8, depth=2, heads=2)])
@pytest.mark.parametrize(
    ("emission", "positions"), [({}, 3), ({"emission": MixturesBlock()}, 3)], ids=["bins", "steps"]
)
def test_each_step_of_a_decoder_counts_as_a_call(decoder, emission, positions):
    head = AutoregressiveBlock(decoder=decoder, features=4, **emission).build(Trajectory(3, [-1.0], [1.0]), network())
    step = head.decoder.step
    for _ in range(2):
        assert network_calls(head, torch.zeros(1, 2)) == 1 + positions
    assert head.decoder.step == step and "step" not in vars(head.decoder)


def test_each_step_of_a_monotone_network_counts_as_a_call():
    event = Trajectory(3, [-1.0], [1.0])

    def make_net(channels_out):
        return MonotoneMLP(horizon=3, channels_in=1, channels_out=channels_out, context=2, block=2)

    head = BNAFBlock(layers=1, iterations=5).build(event, make_net)
    assert network_calls(head, torch.zeros(1, 2)) == 3 * (1 + 5 + 1)  # the bracket, the root, and the last step


def test_a_family_that_refuses_a_ground_says_so_before_there_are_data():
    with pytest.raises(ValueError, match=r"net.kind scene predicts motions of several agents"):
        rehearsed(RegressionBlock(), GROUND.model_copy(update={"net": SceneNetBlock()}))


def test_a_rehearsal_tells_dear_families_from_cheap_ones():
    ground = GROUND.model_copy(update={"net": MonotoneBlock()})
    assert 0 < rehearsed(BNAFBlock(), ground) < 60
    cheap, dear = (kinds()[kind]() for kind in ("regression", "energy"))
    for head in (cheap, dear):
        rehearsed(head)  # what is done for the first time takes its time
    assert rehearsed(cheap) < rehearsed(dear)


def test_a_training_that_breaks_off_says_so_and_has_no_success():
    found, _ = measured(
        RegressionBlock(), GROUND.model_copy(update={"train": TRAIN.model_copy(update={"rate": 1e30, "steps": 40})})
    )
    assert "is not finite" in found["failure"] and found["diverged"]
    assert (found["successes"], found["trials"]) == (0, 100)


def judged_by(error, monkeypatch):
    def judge(*_, **__):
        raise error

    monkeypatch.setattr(PlaneGround, "judge", judge)
    return measured(RegressionBlock())[0]


@pytest.mark.parametrize("kind", [ValueError, ArithmeticError, FloatingPointError])
def test_a_family_that_cannot_be_judged_has_failed_and_says_why(kind, monkeypatch):
    found = judged_by(kind("actions contain\n NaN."), monkeypatch)
    assert found["failure"] == "actions contain NaN." and found["diverged"] == (kind is FloatingPointError)
    assert (found["successes"], found["trials"]) == (0, 100) and found["parameters"] > 0
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("kind", [TypeError, IndexError, AssertionError, RuntimeError, torch.OutOfMemoryError])
def test_mistakes_of_the_program_and_lacks_of_the_machine_are_no_failures_of_a_family(kind, monkeypatch):
    with pytest.raises(kind, match="unexpected"):
        judged_by(kind("unexpected"), monkeypatch)


def test_draws_that_are_not_finite_have_diverged(monkeypatch):
    head = type(RegressionBlock().build(Trajectory(3, [-1.0], [1.0]), network()))
    monkeypatch.setattr(head, "_sample", lambda self, c, rows, generator, guide: torch.full((rows, 1, 2), torch.nan))
    found, _ = measured(RegressionBlock())
    assert found["failure"].endswith("numbers that the trained head drew are not finite.") and found["diverged"]


def test_a_density_that_cannot_be_told_says_why_and_costs_no_success(monkeypatch):
    def surprise(*_, **__):
        raise ArithmeticError("not solved\n in 1000 steps.")

    judged = measured(MixtureBlock(components=2))[0]
    monkeypatch.setattr(cell_module, "surprise", surprise)
    found = measured(MixtureBlock(components=2))[0]
    assert found["nll_failure"] == "not solved in 1000 steps." and "nll" not in found and "failure" not in found
    assert found["successes"] == judged["successes"] and found["distance"] == judged["distance"]


def test_calls_are_timed_on_the_head_that_was_trained(monkeypatch):
    """A solver of adaptive steps takes one where a network that was never trained returns zero, and many later."""
    asked = []
    monkeypatch.setattr(cell_module, "timed", lambda predictor, *_: asked.append(predictor) or {"ms_a_call": 7.0})
    monkeypatch.setattr(PlaneGround, "judge", lambda _, predictor, **__: asked.append(predictor) or {})
    assert measured(RegressionBlock())[0]["ms_a_call"] == 7.0 and asked[0] is asked[1]
    monkeypatch.undo()
    found = measured(RegressionBlock())[0]
    assert found["ms_a_call"] > 0 and found["timed_calls"] == 50


def test_what_cells_of_a_ground_share_is_read_once_and_split_once_a_seed():
    read = []

    def episodes(place, ground):
        read.append(place)
        return ground.episodes(lambda _: None)

    last = LastShared(CPU, episodes)
    first = last.of("a", GROUND)
    assert last.of("a", GROUND.model_copy(update={"net": MLPBlock()})) is first
    assert first.split(0) is first.split(0) and first.split(0) is not first.split(1)
    assert last.of("b", BITS) is not first and read == ["a", "b"]
    event, other = first.event(), first.event()
    assert event is not other and torch.equal(event.low, other.low)


def test_no_point_lies_outside_of_what_a_binned_head_can_say():
    """Bounds come from the density: with those of few data held-out points lay outside and had no density."""
    for seed in range(4):
        found, _ = measured(AutoregressiveBlock(), GROUND.model_copy(update={"held_out": 0.5}), seed=seed)
        assert np.isfinite(found["nll"])


WANTS = {
    **dict.fromkeys(("maf", "iaf"), "Set net.kind to masked"),
    "bnaf": "Set net.kind to monotone",
    "residual_flow": "Set net.kind to lipschitz",
    **OF_OTHER_EVENTS,
}


WAYS = {
    **dict.fromkeys(("regression", "two_step", "mixture", "planar", "coupling", "continuous_flow"), "exact"),
    **dict.fromkeys(("autoregressive",), "exact"),
    **dict.fromkeys(("vae", "joint_vae", "hierarchical_vae", "vqvae", "latent_diffusion"), "bound"),
    "denoising": "flow",
}


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_head_has_a_cell_or_says_what_it_wants(kind):
    ground = GROUND.model_copy(update={"train": TRAIN.model_copy(update={"steps": 2})})
    if kind in WANTS:
        with pytest.raises(ValueError, match=WANTS[kind]):
            rehearsed(kinds()[kind](), ground)
        return
    assert rehearsed(kinds()[kind](), ground) > 0
    found, _ = measured(kinds()[kind](), ground)
    assert "failure" not in found and found["trials"] == 100
    assert found.get("nll_by", "") == WAYS.get(kind, "")


BITS = BitsGround(
    shape="checkerboard",
    points=300,
    contexts=2,
    samples=50,
    bits=3,
    net=MLPBlock(width=16, depth=1),
    train=TRAIN.model_copy(update={"steps": 2}),
)


OF_UNITS = ("hopfield", "boltzmann", "rbm", "belief")


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_head_has_a_cell_of_units_or_says_what_it_wants(kind):
    if kind in WANTS and kind not in OF_UNITS:
        with pytest.raises(ValueError, match=WANTS[kind]):
            rehearsed(kinds()[kind](), BITS)
        return
    assert rehearsed(kinds()[kind](), BITS) > 0
    found, _ = measured(kinds()[kind](), BITS)
    assert found["trials"] == 100 and "calibration_error" not in found
    assert found.get("nll_by") == ("exact" if kind in ("boltzmann", "rbm", "hopfield") else None)  # by all states


def test_chunks_that_no_held_out_episode_holds_are_refused():
    found, _ = measured(RegressionBlock(), GROUND.model_copy(update={"control": PolicyControl(horizon=9)}))
    assert "fewer than the horizon of 9" in found["failure"]


def test_padded_examples_are_not_asked_about():
    """Chunks at the end of an episode are padded; only whole ones have a density to compare."""
    windows = Windows(tiny.episodes_of((5, 9)), history=1, horizon=4)
    batch = _whole(windows)
    assert bool(batch.valid.all()) and len(batch.value) == (5 - 3) + (9 - 3)
