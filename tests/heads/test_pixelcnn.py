"""Label maps cell by cell: probabilities of all maps, draws that have them, and guides."""

import itertools

import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.blocks.pixelcnn import PixelCNNBlock
from embodied_gen.events import LabelMap
from embodied_gen.events.labels import UNLABELLED
from embodied_gen.heads import Guide, PixelCNNHead, check_head
from embodied_gen.nets import MaskedConvNet, RowRecurrentNet
from tests.heads.analytic import unit_event
from tests.heads.batches import CONTEXT, maps
from tests.heads.builders import pixelcnn
from tests.heads.networks import FEATURES, over_cells

pytestmark = pytest.mark.usefixtures("double")
grid = pytest.mark.parametrize("raster", [MaskedConvNet, RowRecurrentNet])
C = torch.ones(1, CONTEXT, dtype=torch.float64)


def stirred(raster, height, width, classes):
    """A head away from layers that start at zero, as after training."""
    head = pixelcnn(raster, LabelMap(height, width, classes))
    g = draws.generator(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.5 * draws.normal(parameter.shape, generator=g, like=parameter))
    return head


def every_map(event):
    height, width, classes = event.shape
    labels = torch.tensor(list(itertools.product(range(classes), repeat=height * width)))
    return event.encode(labels.view(-1, height, width))


def law(head):
    x = every_map(head.event)
    return x, head.log_prob(x, C.expand(len(x), -1)).exp().detach()


@grid
@pytest.mark.parametrize("sizes", [(2, 2, 3), (2, 3, 2), (3, 2, 2), (1, 4, 3), (4, 1, 3)])
def test_probabilities_of_all_maps_sum_to_one(raster, sizes):
    _, mass = law(stirred(raster, *sizes))
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    assert mass.max() > 3 / len(mass)


@grid
def test_draws_are_maps_as_often_as_enumeration_says(raster):
    head = stirred(raster, 2, 2, 2)
    x, mass = law(head)
    drawn = head.sample(C, 4000, generator=draws.generator(3))[0]
    counts = (drawn.unsqueeze(1) == x).flatten(2).all(2).sum(0)
    assert counts.sum() == 4000
    assert stats.chisquare(counts.numpy(), 4000 * mass.numpy()).pvalue > 0.01


@grid
def test_guided_draws_tend_to_the_exact_conditional(raster):
    head = stirred(raster, 2, 2, 2)
    head.candidates = 60

    def ones(y):
        return y[..., 1].sum((2, 3))

    guide = Guide(cost=ones, margins=lambda y: y[..., 0, 0, 1:] - 0.5, scale=0.8)  # the first cell must be of class 1
    x, mass = law(head)
    y = head.event.unscale(x).unsqueeze(0)
    tilted = mass * torch.exp(-0.8 * ones(y)[0]) * (y[0, :, 0, 0, 1] > 0.5)
    drawn = head.sample(C, 600, generator=draws.generator(3), guide=guide)[0]
    counts = (drawn.unsqueeze(1) == x).flatten(2).all(2).sum(0)
    kept = tilted > 0
    assert counts[~kept].sum() == 0
    assert stats.chisquare(counts[kept].numpy(), 600 * (tilted / tilted.sum())[kept].numpy()).pvalue > 0.01


@grid
def test_drawing_row_by_row_is_drawing_from_the_whole_network(raster, monkeypatch):
    # The same uniform numbers against the conditionals of the network on the map so far: the plain way.
    head, event = stirred(raster, 5, 6, 3), LabelMap(5, 6, 3)
    c = torch.randn(4, CONTEXT, generator=draws.generator(5))
    along, read = head.raster.along, []
    monkeypatch.setattr(head.raster, "along", lambda x, above: read.append(x.shape[1]) or along(x, above))
    drawn = head.sample(c, generator=draws.generator(4))[:, 0]
    assert max(read) == 1 + head.raster.span == 3
    g, x = draws.generator(4), torch.zeros(4, *event.shape)
    for row, column in itertools.product(range(5), range(6)):
        logits = head.raster(x, head._conditions(c))[:, row, column].detach()
        x[:, row, column] = event.coded(draws.categorical(logits, generator=g))
    assert torch.equal(drawn, x)


@grid
def test_training_learns_maps_whose_cells_hang_together(raster):
    """Stripes, upright or lying, of either phase: no cell alone tells anything."""
    torch.set_default_dtype(torch.float32)
    event = LabelMap(4, 4, 2)
    head = pixelcnn(raster, event)
    lying = (torch.arange(4) % 2).view(4, 1).expand(4, 4)
    stripes = event.encode(torch.stack([lying, 1 - lying, lying.T, 1 - lying.T]))
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    c = torch.zeros(4, CONTEXT)
    for _ in range(120):
        optimizer.zero_grad()
        head.loss(stripes, c, generator=draws.generator(0)).mean().backward()
        optimizer.step()
    probability = head.log_prob(stripes, c).exp()
    assert ((probability > 0.15) & (probability < 0.35)).all() and probability.sum() > 0.9
    drawn = head.sample(c[:1], 200, generator=draws.generator(1))[0]
    assert (drawn.unsqueeze(1) == stripes).flatten(2).all(2).any(1).float().mean() > 0.8


@grid
def test_the_loss_is_the_negative_log_probability_of_a_cell(raster):
    head = stirred(raster, 3, 4, 3)
    x, c = (part.double() for part in maps())
    torch.testing.assert_close(head.loss(x, c, generator=draws.generator(0)), -head.log_prob(x, c) / 12)


@grid
def test_cells_without_a_label_have_no_factor_whatever_their_class_may_be(raster):
    head = stirred(raster, 2, 3, 3)
    label = torch.tensor([[[0, UNLABELLED, 2], [1, 1, UNLABELLED]]])
    x = head.event.encode(label)
    factors = head.raster(x, head._conditions(C)).log_softmax(-1)[0]
    known = label[0] != UNLABELLED
    own = factors[known].gather(1, label[0][known].unsqueeze(1)).sum()
    torch.testing.assert_close(head.log_prob(x, C)[0], own)
    torch.testing.assert_close(head.loss(x, C, generator=draws.generator(0))[0], -own / 4)
    assert head.loss(head.event.encode(torch.full_like(label, UNLABELLED)), C, generator=draws.generator(0)) == 0


@grid
def test_impossible_classes_have_no_probability_and_leave_the_others_theirs(raster):
    head = stirred(raster, 2, 2, 3)
    with torch.no_grad():
        head.raster.row.output.bias[1] = -torch.inf
    x, mass = law(head)
    excluded = (x[..., 1] > 0).flatten(1).any(1)
    assert (mass[excluded] == 0).all() and mass[~excluded].sum().item() == pytest.approx(1, abs=1e-12)
    loss = head.loss(x[~excluded], C.expand(16, -1), generator=draws.generator(0)).sum()
    slopes = torch.autograd.grad(loss, list(head.parameters()))
    assert all(slope.isfinite().all() for slope in slopes)


@grid
def test_it_keeps_the_contract_in_double_precision(raster):
    check_head(pixelcnn(raster, LabelMap(3, 4, 3)), *(part.double() for part in maps()))


@pytest.mark.parametrize("raster", ["masked_conv", "row_recurrent"])
def test_its_block_builds_it(raster):
    event = LabelMap(3, 4, 3)
    block = PixelCNNBlock.model_validate({"raster": {"kind": raster, "width": 4}, "features": 5, "candidates": 3})
    head = block.build(event, lambda channels: over_cells(event, channels))
    assert head.raster.context == 5 and head.candidates == 3
    x, c = (part.double() for part in maps())
    assert head.loss(x, c, generator=draws.generator(0)).shape == (5,)


def test_it_draws_label_maps_and_nothing_else():
    with pytest.raises(ValueError, match=r"head.kind pixelcnn predicts label maps; got Trajectory"):
        PixelCNNBlock().build(unit_event(2), lambda channels: None)


def test_parts_that_do_not_fit_are_refused():
    event = LabelMap(2, 2, 3)
    net = over_cells(event, FEATURES)
    with pytest.raises(ValueError, match="channels_in and channels_out 3, one for each class; got 2 and 3"):
        PixelCNNHead(event, net, MaskedConvNet(channels_in=2, channels_out=3, context=FEATURES))
    raster = MaskedConvNet(channels_in=3, channels_out=3, context=4)
    with pytest.raises(ValueError, match="candidates must be at least 1; got 0"):
        PixelCNNHead(event, net, raster, candidates=0)
    with pytest.raises(ValueError, match=r"must return shape \(1, 2, 2, 4\).*got \(1, 2, 2, 6\)"):
        PixelCNNHead(event, net, raster).sample(C, generator=draws.generator(0))
