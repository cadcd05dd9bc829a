"""Polygons vertex by vertex: probabilities of all codes, draws that have them, and what is not simple."""

import itertools
import math

import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.blocks.polygon import PolygonBlock
from embodied_gen.events import Polygon
from embodied_gen.heads import Guide, PolygonHead, check_head
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import Constant, unit_event
from tests.heads.batches import CONTEXT, outline, outlines
from tests.heads.builders import polygon
from tests.heads.networks import FEATURES, causal, recurrent

pytestmark = pytest.mark.usefixtures("double")
C = torch.ones(1, CONTEXT, dtype=torch.float64)
DECODERS = pytest.mark.parametrize("decoder", [causal, recurrent])


def stirred(decoder, vertices, levels):
    """A head for a small grid, away from layers that start at zero, as after training."""
    event = Polygon(vertices, [-1.0, -1.0], [1.0, 1.0], levels=levels)
    net = ResidualMLP(horizon=vertices, channels_in=3, channels_out=2 * FEATURES, context=CONTEXT, width=16, depth=1)
    head = PolygonHead(event, net, decoder(2 * vertices, levels + 1 + FEATURES, levels + 1))
    g = draws.generator(1)
    with torch.no_grad():
        for parameter in head.parameters():
            noise = draws.normal(parameter.shape, generator=g, like=parameter)
            parameter.add_(noise / max(parameter.shape[-1:].numel(), 1) ** 0.5)
    return head


def codes(event, vertices):
    """Every sequence of that many vertices, whether a code or not, model units."""
    rings = torch.tensor(list(itertools.product(range(event.levels), repeat=2 * vertices))).view(-1, vertices, 2)
    absent = torch.zeros(len(rings), event.shape[0] - vertices, 2, dtype=torch.long)
    present = (torch.arange(event.shape[0]) < vertices).expand(len(rings), -1)
    return event.of_levels(torch.cat([rings, absent], 1), present)


def law(head):
    x = torch.cat([codes(head.event, vertices) for vertices in range(3, head.event.shape[0] + 1)])
    return x, head.log_prob(x, C.expand(len(x), -1)).exp().detach()


def frequent(counts, expected):
    """Counts that are expected five times or more, and all others together."""
    often = expected >= 5
    return [torch.cat([part[often], part[~often].sum().view(1)]).numpy() for part in (counts, expected)]


@DECODERS
@pytest.mark.parametrize(("vertices", "levels"), [(3, 3), (3, 4), (4, 3)])
def test_probabilities_of_all_codes_sum_to_one(decoder, vertices, levels):
    x, mass = law(stirred(decoder, vertices, levels))
    assert mass.sum().item() == pytest.approx(1, abs=1e-10)
    first, later = x[:, :1, 0] * 10 + x[:, :1, 1], x[:, 1:, 0] * 10 + x[:, 1:, 1]
    # None of three vertices that are not on a line is smallest in the last column.
    possible = ((later > first) | (x[:, 1:, 2] < 0)).all(1) & (x[:, 0, 0] < x[..., 0].max())
    assert torch.equal(mass > 0, possible)


@DECODERS
def test_draws_are_simple_codes_as_often_as_enumeration_says(decoder):
    head = stirred(decoder, 3, 3)
    head.tries = 40
    x, mass = law(head)
    share = (mass * head.event.simple(x)).sum()
    told = head.simple_share(C, 4000, generator=draws.generator(2))
    assert told.shape == (1,) and 0.1 < share < 0.9
    assert abs(told.item() - share.item()) < 4 * math.sqrt(0.25 / 4000)
    mass = mass * head.event.simple(x) / share
    drawn = head.sample(C, 1500, generator=draws.generator(3))[0]
    counts = (drawn.unsqueeze(1) == x).flatten(2).all(2).sum(0)
    assert counts[mass == 0].sum() == 0
    assert stats.chisquare(*frequent(counts, 1500 * mass)).pvalue > 0.01


def test_guided_draws_tend_to_the_exact_conditional():
    head = stirred(causal, 3, 3)
    head.candidates = 80

    def width(y):
        return y[..., 0].amax(2) - y[..., 0].amin(2)

    guide = Guide(cost=width, margins=lambda y: 0.1 - y[:, :, 0, 1:2], scale=1.5)  # the first vertex is not on top
    x, mass = law(head)
    y = head.event.unscale(x).unsqueeze(0)
    mass = mass * head.event.simple(x) * torch.exp(-1.5 * width(y)[0]) * (y[0, :, 0, 1] <= 0.1)
    drawn = head.sample(C, 600, generator=draws.generator(3), guide=guide)[0]
    counts = (drawn.unsqueeze(1) == x).flatten(2).all(2).sum(0)
    assert counts[mass == 0].sum() == 0
    assert stats.chisquare(*frequent(counts, 600 * mass / mass.sum())).pvalue > 0.01


def test_what_is_not_simple_is_returned_where_no_try_was():
    head = stirred(recurrent, 3, 3)
    head.tries = 1
    drawn = head.sample(C, 500, generator=draws.generator(3))[0]
    share = head.simple_share(C, 500, generator=draws.generator(3)).item()
    assert head.event.simple(drawn).double().mean().item() == pytest.approx(share) and share < 0.9


def test_training_learns_outlines_and_where_they_stop():
    torch.set_default_dtype(torch.float32)
    head = polygon(causal)
    x, _ = outlines(8)
    c = torch.zeros(8, CONTEXT)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        head.loss(x, c, generator=draws.generator(0)).mean().backward()
        optimizer.step()
    assert (head.log_prob(x, c).exp() > 0.04).all()  # of 1 / 8
    drawn = head.sample(c[:1], 200, generator=draws.generator(1))[0]
    assert (drawn.unsqueeze(1) == x).flatten(2).all(2).any(1).float().mean() > 0.7
    assert head.simple_share(c[:1], 200, generator=draws.generator(2)).item() > 0.8


@DECODERS
def test_the_loss_is_the_negative_log_probability_of_a_token(decoder):
    head = polygon(decoder)
    x, c = (part.double() for part in outlines())
    torch.testing.assert_close(head.loss(x, c, generator=draws.generator(0)), -head.log_prob(x, c) / 12)


@DECODERS
def test_it_keeps_the_contract_in_double_precision(decoder):
    check_head(polygon(decoder), *(part.double() for part in outlines()))


@pytest.mark.parametrize("kind", ["recurrent", "causal"])
def test_its_block_builds_it(kind):
    block = PolygonBlock.model_validate({"decoder": {"kind": kind, "width": 8}, "features": 3, "tries": 2})
    head = block.build(outline(), lambda channels: Constant(6, channels))
    assert head.tries == 2 and head.decoder.context == 3
    x, c = (part.double() for part in outlines())
    assert head.loss(x, c, generator=draws.generator(0)).shape == (5,)


def test_it_draws_polygons_and_nothing_else():
    with pytest.raises(ValueError, match=r"head.kind polygon predicts polygons; got Trajectory"):
        PolygonBlock().build(unit_event(2), lambda channels: None)


def test_parts_that_do_not_fit_are_refused():
    event = outline()
    decoder = recurrent(12, 17 + FEATURES, 17)
    with pytest.raises(ValueError, match="tries and candidates must be at least 1; got 0 and 32"):
        PolygonHead(event, Constant(6, 2 * FEATURES), decoder, tries=0)
    with pytest.raises(ValueError, match="length at least 12"):
        PolygonHead(event, Constant(6, 2 * FEATURES), recurrent(11, 17 + FEATURES, 17))
    with pytest.raises(ValueError, match=r"must return shape \(1, 6, 12\), twice .*; got \(1, 6, 5\)"):
        PolygonHead(event, Constant(6, 5), decoder).sample(C, generator=draws.generator(0))
