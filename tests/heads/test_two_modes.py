"""Every family follows a strong guide to one of two modes that it has learned, with the settings of the leaderboard.

Events turn off to one side or to the other, equally often, and vary by a tenth in every entry:

    x = s m + n / 10,    s = -1 or +1,  n ~ N(0, 1)

A guide asks for one of the sides, at scale 1,000. Half of the free draws lie on the other side, and what is asked for
is among the data, so that a head which follows its guide lowers the cost about as far as its own noise allows: the law
is thirty-fold for all of them, and there is no exception.
"""

from pathlib import Path

import pytest
import torch

from embodied_gen import config, draws
from embodied_gen.blocks.energy import EnergyBlock
from embodied_gen.blocks.net import LipschitzBlock, MaskedBlock, MLPBlock, MonotoneBlock
from embodied_gen.events import Trajectory
from embodied_gen.grounds.leaderboard import Family, Leaderboard
from embodied_gen.heads import Guide, HasChains
from tests.heads.kinds import OF_OTHER_EVENTS, kinds

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
# Within two seconds; the others together take some minutes. Codes and words learn more slowly how little events vary.
QUICK = ("regression", "mixture", "flow_matching_clean", "shortcut", "vae", "denoising_score")
STEPS = {"vqvae": 300, "autoregressive_words": 600}


def head_of(family):
    event = Trajectory(4, [-1.0, -1.0], [1.0, 1.0])
    net = NETS.get(family.head.kind, MLPBlock(width=64, depth=2))

    def make_net(channels_out, channels_in=2):
        return net.build((4, channels_in), channels_out, 1)

    return family.head.build(event, make_net)


def events(rows, generator):
    like = torch.zeros(())
    side = draws.signs((rows, 1, 1), generator=generator, like=like)
    return side * SIDE + 0.1 * draws.normal((rows, 4, 2), generator=generator, like=like)


def trained(family, steps):
    head = head_of(family)
    momentum = 0.9 if family.momentum is None else family.momentum
    optimizer = torch.optim.AdamW(head.parameters(), lr=family.rate or 2e-3, betas=(momentum, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        stream = draws.generator(1, step)
        optimizer.zero_grad()
        head.loss(events(128, stream), torch.zeros(128, 1), generator=stream).mean().backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if isinstance(head, HasChains):
            head.advance(torch.zeros(128, 1), generator=stream)
    return head.eval()


def follows(name, steps):
    torch.manual_seed(0)
    head = trained(FAMILIES[name], steps)
    asked = torch.stack([SIDE, -SIDE]).unsqueeze(1)  # one side of the first context, the other of the second

    def cost(y):
        return (y - asked).square().flatten(2).sum(2)

    def drawn(guide):
        return head.event.unscale(head.sample(torch.zeros(2, 1), 50, generator=draws.generator(2), guide=guide))

    free, guided = drawn(None), drawn(Guide(cost=cost, scale=1000.0))
    assert guided.isfinite().all() and guided.abs().max() <= max(1.0, free.abs().max().item())
    assert (cost(guided).mean(1) <= cost(free).mean(1) / 30).all(), (cost(free).mean(1), cost(guided).mean(1))


@pytest.mark.parametrize("name", QUICK)
def test_a_strong_guide_lowers_the_cost_thirtyfold(name):
    follows(name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - QUICK))
def test_a_strong_guide_lowers_the_cost_thirtyfold_of_every_other_family(name):
    follows(name, STEPS.get(name, 100))


@pytest.mark.parametrize("name", ["autoregressive_bins", "autoregressive_words"])
def test_what_was_drawn_is_heard_although_most_bins_and_words_never_occur(name):
    torch.manual_seed(0)
    head = trained(FAMILIES[name], 80)
    y = head.event.unscale(head.sample(torch.zeros(1, 1), 500, generator=draws.generator(2)))[0]
    sides = (y * SIDE).sum(-1) > 0
    assert (sides == sides[:, :1]).all(1).float().mean() > 0.6  # an eighth where every step forgets the one before


def test_every_kind_of_head_is_asked_or_refuses_trajectories():
    assert {family.head.kind for family in FAMILIES.values()} | OF_OTHER_EVENTS.keys() == kinds().keys()
    for kind, words in OF_OTHER_EVENTS.items():
        with pytest.raises(ValueError, match=words):
            head_of(Family(head=kinds()[kind]()))
