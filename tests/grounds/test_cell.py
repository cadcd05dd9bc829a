"""A cell is a function of its settings, says what it cost, and says why it failed."""

import json

import numpy as np
import pytest
import tiny
import torch

from embodied_gen.blocks import DenoisingBlock, MLPBlock, PolicyControl
from embodied_gen.blocks.head import MixtureBlock, RegressionBlock, TwoStepBlock
from embodied_gen.blocks.net import SceneNetBlock
from embodied_gen.demos.windows import Windows
from embodied_gen.events import Trajectory
from embodied_gen.grounds.cell import Cell, _whole, measure, network_calls
from embodied_gen.grounds.plane import BitsGround, PlaneGround
from embodied_gen.nets import ResidualMLP
from embodied_gen.training import TrainSettings
from embodied_gen.training.processes import Processes
from tests.heads.kinds import OF_OTHER_EVENTS, kinds

CLOCKS = {"training_seconds", "ms_a_call"}
TRAIN = TrainSettings(steps=20, batch=32, precision="fp32", warmup=2)
GROUND = PlaneGround(
    shape="eight_gaussians", points=300, contexts=2, samples=50, net=MLPBlock(width=16, depth=1), train=TRAIN
)


def measured(head, ground=GROUND, seed=0):
    steps = []
    found = measure(
        Cell("some", head, "plane", ground, seed),
        ground.episodes(lambda _: None),
        processes=Processes(0, 1, torch.device("cpu")),
        workers=1,
        report=lambda step, _: steps.append(step),
    )
    return found, steps


@pytest.mark.parametrize("head", [RegressionBlock(), DenoisingBlock(steps=3)], ids=lambda h: h.kind)
def test_a_cell_is_plain_json_and_a_function_of_its_settings(head):
    found, steps = measured(head)
    assert steps == list(range(1, 21))
    assert json.loads(json.dumps(found)) == found
    assert {"ground": "plane", "family": "some", "seed": 0, "kind": head.kind, "trials": 100}.items() <= found.items()
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
    event = Trajectory(3, [-1.0], [1.0])

    def make_net(channels_out):
        return ResidualMLP(horizon=3, channels_in=1, channels_out=channels_out, context=2, width=8, depth=2)

    head = block.build(event, make_net)
    for _ in range(2):  # the hooks are gone after the first time
        assert network_calls(head, torch.zeros(1, 2)) == calls


def test_a_family_that_refuses_a_ground_says_so():
    found, steps = measured(RegressionBlock(), GROUND.model_copy(update={"net": SceneNetBlock()}))
    assert found["failure"].startswith("net.kind scene predicts motions of several agents") and steps == []
    assert found["family"] == "some" and "successes" not in found


def test_a_training_that_breaks_off_says_so():
    found, _ = measured(
        RegressionBlock(), GROUND.model_copy(update={"train": TRAIN.model_copy(update={"rate": 1e30, "steps": 40})})
    )
    assert "is not finite" in found["failure"]


WANTS = {
    **dict.fromkeys(("maf", "iaf"), "Set net.kind to masked"),
    "bnaf": "Set net.kind to monotone",
    "residual_flow": "Set net.kind to lipschitz",
    **OF_OTHER_EVENTS,
}


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_head_has_a_cell_or_says_what_it_wants(kind):
    ground = GROUND.model_copy(update={"train": TRAIN.model_copy(update={"steps": 2})})
    found, _ = measured(kinds()[kind](), ground)
    assert WANTS.get(kind, "") in found.get("failure", "")
    assert found.get("trials") == (None if kind in WANTS else 100)
    assert ("failure" in found) == (kind in WANTS)


BITS = BitsGround(
    shape="checkerboard",
    points=300,
    contexts=2,
    samples=50,
    bits=3,
    net=MLPBlock(width=16, depth=1),
    train=TRAIN.model_copy(update={"steps": 2}),
)


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_head_has_a_cell_of_units_or_says_what_it_wants(kind):
    found, _ = measured(kinds()[kind](), BITS)
    if WANTS.get(kind, "need a Binary event") != "need a Binary event":
        assert WANTS[kind] in found["failure"]
    else:
        assert found["trials"] == 100 and "calibration_error" not in found
        assert ("nll" in found) == (kind == "boltzmann")  # which sums over all units


def test_chunks_that_no_held_out_episode_holds_are_refused():
    found, _ = measured(RegressionBlock(), GROUND.model_copy(update={"control": PolicyControl(horizon=9)}))
    assert "fewer than the horizon of 9" in found["failure"]


def test_padded_examples_are_not_asked_about():
    """Chunks at the end of an episode are padded; only whole ones have a density to compare."""
    windows = Windows(tiny.episodes_of((5, 9)), history=1, horizon=4)
    batch = _whole(windows)
    assert bool(batch.valid.all()) and len(batch.value) == (5 - 3) + (9 - 3)
