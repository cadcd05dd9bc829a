"""Blocks of heads over paths and chains build what they say."""

import pytest
import torch
from pydantic import TypeAdapter

from embodied_gen import draws
from embodied_gen.blocks import HeadBlock
from embodied_gen.events import GridPath, LabelMap, Trajectory
from embodied_gen.graphs import Grid
from embodied_gen.heads import ChainMarginHead, HasCostMap, HasEnergy, HasLogProb, LearchHead, MarginHead, MaxEntHead
from embodied_gen.heads.charges import ByMove
from embodied_gen.heads.lengths import Exactly, Fading, UntilGoal
from embodied_gen.heads.path_loss import Smoothed
from tests.heads.networks import over_cells
from tests.heads.paths import context


def built(block, event=None):
    event = event or GridPath(Grid(3, 3), 5)
    return TypeAdapter(HeadBlock).validate_python(block).build(event, lambda channels: over_cells(event, channels))


@pytest.mark.parametrize("length", ["at_most", "until_goal", "exactly", "fading"])
@pytest.mark.parametrize("network", ["linear", "cells", "convolutions"])
def test_max_ent(length, network):
    block = {"kind": "max_ent", "layers": 2, "map": {"kind": network}, "length": {"kind": length}, "floor": 2.2}
    head = built({**block, "charge": "move"})
    assert isinstance(head, MaxEntHead) and isinstance(head.charge, ByMove)
    assert isinstance(head.length, {"exactly": Exactly, "fading": Fading}.get(length, object))
    assert all(isinstance(head, capability) for capability in (HasLogProb, HasEnergy, HasCostMap))
    c = context(head.event, torch.ones(1, 2, 3, 3), torch.tensor([0]), torch.tensor([8]))
    assert head.cost_map(c).min() > 2.2
    x = head.sample(c, 2, generator=draws.generator(0))[:, 0]
    assert head.loss(x, c, generator=draws.generator(0)).isfinite().all()


@pytest.mark.parametrize(("kind", "expected"), [("margin", MarginHead), ("learch", LearchHead)])
def test_margin(kind, expected):
    head = built({"kind": kind, "layers": 2, "path_loss": {"kind": "smoothed", "radius": 2.0}, "temperature": 0.1})
    assert type(head) is expected and isinstance(head.path_loss, Smoothed) and isinstance(head.length, UntilGoal)
    assert isinstance(head, HasCostMap) and not isinstance(head, HasLogProb)
    c = context(head.event, torch.rand(1, 2, 3, 3), torch.tensor([0]), torch.tensor([8]))
    x = head.sample(c, 2, generator=draws.generator(0))[:, 0]
    assert (head.loss(x, c, generator=draws.generator(0)) >= 0).all()


def test_chain_margin():
    head = built({"kind": "chain_margin", "weight": 0.5}, LabelMap(1, 4, 3))
    assert type(head) is ChainMarginHead and head.weight == 0.5


@pytest.mark.parametrize("kind", ["max_ent", "margin", "learch", "chain_margin"])
def test_other_events_are_refused(kind):
    block = {"kind": kind} | ({} if kind == "chain_margin" else {"layers": 1})
    with pytest.raises(ValueError, match=rf"head.kind {kind} predicts .*; got Trajectory. Choose another head"):
        built(block, Trajectory(3, [0.0], [1.0]))
