"""Every family follows a strong guide to one of two modes that it has learned, with the settings of the leaderboard.

Events turn off to one side or to the other, equally often, and vary by a tenth in every entry:

    x = s m + n / 10,    s = -1 or +1,  n ~ N(0, 1)

A guide asks for one of the sides, at scale 1,000. Half of the free draws lie on the other side, and what is asked for
is among the data, so that a head which follows its guide lowers the cost about as far as its own noise allows: the law
is thirty-fold for all of them, and there is no exception. Heads of other events have their own two modes: see
`test_two_modes_of_other_events`.
"""

from pathlib import Path

import pytest
import torch

from embodied_gen import config, draws
from embodied_gen.blocks.energy import EnergyBlock
from embodied_gen.blocks.net import LipschitzBlock, MaskedBlock, MLPBlock, MonotoneBlock
from embodied_gen.events import Trajectory
from embodied_gen.grounds.leaderboard import Family, Leaderboard
from tests.heads.kinds import OF_OTHER_EVENTS, kinds
from tests.heads.two_modes import costs, trained

SIDE = torch.tensor([[0.3, 0.6], [0.5, 0.6], [0.5, 0.6], [0.3, 0.6]])
NETS = {
    "maf": MaskedBlock(width=64, depth=1),
    "iaf": MaskedBlock(width=64, depth=1),
    "bnaf": MonotoneBlock(),
    "residual_flow": LipschitzBlock(width=64),
}
LEADERBOARD = config.read(Path(__file__).parents[2] / "configs" / "families.yaml", Leaderboard, "leaderboard")
FAMILIES = {
    name: family for name, family in LEADERBOARD.families.items() if family.head.kind not in OF_OTHER_EVENTS
} | {
    objective: Family(head=EnergyBlock.model_validate({"objective": {"kind": objective}}))
    for objective in ("info_nce_uniform", "implicit_score")  # which are no rows of the leaderboard
}
# Each takes more than five seconds; codes and words learn more slowly than others how little events vary.
DEAR = ("autoregressive_words", "bnaf", "info_nce_uniform", "maximum_likelihood", "residual_flow")
STEPS = {"vqvae": 300, "gan_relativistic": 200, "autoregressive_words": 600}


def head_of(family):
    event = Trajectory(4, [-1.0, -1.0], [1.0, 1.0])
    net = NETS.get(family.head.kind, MLPBlock(width=64, depth=2))

    def make_net(channels_out, channels_in=2):
        return net.build((4, channels_in), channels_out, 1)

    return family.head.build(event, make_net)


def events(side, generator):
    noise = draws.normal((len(side), 4, 2), generator=generator, like=torch.zeros(()))
    return side.view(-1, 1, 1) * SIDE + 0.1 * noise


def learned(name, steps):
    torch.manual_seed(0)
    family = FAMILIES[name]
    settings = {"rate": family.rate or 2e-3, "momentum": 0.9 if family.momentum is None else family.momentum}
    return trained(head_of(family), events, context=1, steps=steps, **settings)


def follows(name):
    free, guided = costs(learned(name, STEPS.get(name, 100)), torch.stack([SIDE, -SIDE]), context=1)
    assert (guided <= free / 30).all(), (free, guided)


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - DEAR))
def test_a_strong_guide_lowers_the_cost_thirtyfold(name):
    follows(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEAR)
def test_a_strong_guide_lowers_the_cost_thirtyfold_of_families_that_learn_slowly(name):
    follows(name)


@pytest.mark.parametrize("name", ["autoregressive_bins", "autoregressive_words"])
def test_what_was_drawn_is_heard_although_most_bins_and_words_never_occur(name):
    head = learned(name, 80)
    y = head.event.unscale(head.sample(torch.zeros(1, 1), 500, generator=draws.generator(2)))[0]
    sides = (y * SIDE).sum(-1) > 0
    assert (sides == sides[:, :1]).all(1).float().mean() > 0.6  # an eighth where every step forgets the one before


def test_every_kind_of_head_is_asked_or_refuses_trajectories():
    assert {family.head.kind for family in FAMILIES.values()} | OF_OTHER_EVENTS.keys() == kinds().keys()
    for kind, words in OF_OTHER_EVENTS.items():
        with pytest.raises(ValueError, match=words):
            head_of(Family(head=kinds()[kind]()))
