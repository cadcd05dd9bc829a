"""Of many proposals one is kept as often as the prior tilted by the cost has it."""

import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads import Guide, RowGuide, propose
from tests.heads.analytic import unit_event

pytestmark = pytest.mark.usefixtures("double")


ATOMS = torch.tensor([-0.9, -0.3, 0.3, 0.9], dtype=torch.float64)


PRIOR = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)


COST = torch.tensor([2.0, 0.0, 1.0, 0.3], dtype=torch.float64)


def kept(k, rows=4000, scale=1.5):
    """How often each of four atoms is kept of k draws, with a cost that is a table."""
    cost = lambda y: COST[torch.searchsorted(ATOMS + 0.3, y[..., 0, 0].contiguous())]  # noqa: E731
    guide = RowGuide(Guide(cost=cost, scale=scale), unit_event(1), 1)
    index = torch.multinomial(PRIOR.expand(rows, -1), k, replacement=True, generator=draws.generator(1))
    result = propose(ATOMS[index].view(rows, k, 1, 1), guide, generator=draws.generator(2))
    return torch.bincount(torch.searchsorted(ATOMS + 0.3, result.flatten()), minlength=4)


def pvalue(counts, distribution):
    return stats.chisquare(counts.numpy(), (distribution * counts.sum()).numpy()).pvalue


def conditional(scale=1.5):
    weight = PRIOR * (-scale * COST).exp()
    return weight / weight.sum()


def test_one_proposal_is_a_draw_of_the_prior():
    assert pvalue(kept(1), PRIOR) > 0.01
    assert pvalue(kept(1), conditional()) < 1e-6


def test_many_proposals_tend_to_the_exact_conditional():
    assert pvalue(kept(500), conditional()) > 0.01
    assert pvalue(kept(500), PRIOR) < 1e-6
    far = [(kept(k) / 4000 - conditional()).abs().sum() for k in (1, 4, 50)]
    assert far[0] > 2 * far[1] > 4 * far[2]


def test_proposals_without_a_cost_are_draws_of_the_prior():
    assert pvalue(kept(50, scale=0.0), PRIOR) > 0.01
