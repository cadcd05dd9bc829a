"""The product over positions: exact densities, draws that have them, orders, and what is heard in training."""

import math

import pytest
import tiny
import torch
from scipy import stats

from embodied_gen import draws, experiment
from embodied_gen.blocks.autoregressive import AutoregressiveBlock
from embodied_gen.events import Path, Trajectory
from embodied_gen.heads import AutoregressiveHead, Guide, check_head
from embodied_gen.heads.decoding import shifted
from embodied_gen.heads.emissions import Bins, Mixtures, Words
from embodied_gen.heads.orders import Given, Learned, Shuffled
from tests.heads.analytic import Constant, unit_event
from tests.heads.batches import CONTEXT, batch
from tests.heads.builders import autoregressive
from tests.heads.cases import CASES
from tests.heads.networks import causal, recurrent

pytestmark = pytest.mark.usefixtures("double")


def stirred(head, size=1.0):
    """Away from layers that start at zero, as after training."""
    g = draws.generator(1)
    with torch.no_grad():
        for parameter in head.parameters():
            noise = draws.normal(parameter.shape, generator=g, like=parameter)
            parameter.add_(size * noise / max(parameter.shape[-1:].numel(), 1) ** 0.5)
    return head


def midpoints(count, dimensions, reach=1.0):
    """Centres of equal cells of [-reach, reach]^d, shape `(count^d, d)`."""
    line = reach * ((torch.arange(count) + 0.5) * (2 / count) - 1)
    return torch.cartesian_prod(*[line] * dimensions).view(-1, dimensions)


PAIRS = {
    "two channels": Trajectory(1, [-1.0, -1.0], [1.0, 1.0]).shape,
    "two steps": Trajectory(2, [-1.0], [1.0]).shape,
}


@pytest.mark.parametrize("shape", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("order", [Given, Shuffled, Learned])
@pytest.mark.parametrize("decoder", [recurrent, causal])
def test_binned_densities_integrate_to_one(shape, order, decoder):
    event = Trajectory(shape[0], [-1.0] * shape[1], [1.0] * shape[1])
    head = stirred(autoregressive(event, Bins(5, reach=1.2), decoder, order))
    x, c = midpoints(15, 2, 1.2).view(-1, *shape), batch(1)[1].double().expand(225, -1)
    density = head.log_prob(x, c).exp()
    assert density.std() > 0.05
    assert density.sum().item() * (2.4 / 15) ** 2 == pytest.approx(1, abs=1e-12)
    assert head.log_prob(1.21 * torch.ones(1, *shape), c[:1]).item() == -math.inf


@pytest.mark.parametrize("shape", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("emission", [lambda v: Mixtures(v, components=3, smallest=0.2), lambda v: Words(v, count=4)])
def test_densities_of_mixtures_and_words_integrate_to_one(shape, emission):
    event = Trajectory(shape[0], [-1.0] * shape[1], [1.0] * shape[1])
    head = stirred(autoregressive(event, emission(shape[1])), 0.5)
    x, c = midpoints(150, 2, 12.0).view(-1, *shape), batch(1)[1].double().expand(22_500, -1)
    assert head.log_prob(x, c).exp().sum().item() * (24 / 150) ** 2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("order", [Given, Learned])
def test_draws_of_mixtures_have_the_density_that_the_head_states(order):
    event = Trajectory(2, [-1.0], [1.0])
    head = stirred(autoregressive(event, Mixtures(1, components=2, smallest=0.2), recurrent, order))
    if order is Learned:
        head.order.scores.data = torch.tensor([0.0, 1.0])  # the second step first
    c = batch(1)[1].double()
    x = head.sample(c, 3000, generator=draws.generator(3))[0]
    grid = midpoints(120, 2, 9.0).view(-1, 2, 1)
    log_prob = head.log_prob(grid, c.expand(len(grid), -1)).detach()
    mass = log_prob.exp() * (18 / 120) ** 2
    assert mass.sum().item() == pytest.approx(1, abs=1e-3)
    # Means of anything under the law of the grid and over draws agree: of log p, and of both numbers.
    drawn = head.log_prob(x, c.expand(3000, -1)).detach()
    pairs = [(log_prob, drawn), (grid[:, 0, 0], x[:, 0, 0]), (grid[:, 1, 0], x[:, 1, 0])]
    for there, here in pairs:
        assert abs((mass * there).sum() - here.mean()) < 4 * here.std() / math.sqrt(3000)


def cells(x):
    """The number of the cell of Bins(3) that a pair lies in."""
    bin_ = ((x.flatten(1) + 1) * 1.5).floor().long().clamp(0, 2)
    return bin_[:, 0] * 3 + bin_[:, 1]


@pytest.mark.parametrize("order", [Given, Learned])
@pytest.mark.parametrize("decoder", [recurrent, causal])
def test_draws_visit_cells_as_often_as_enumeration_says(order, decoder):
    head = stirred(autoregressive(Trajectory(2, [-1.0], [1.0]), Bins(3), decoder, order), 2.0)
    c = batch(1)[1].double()
    mass = head.log_prob(midpoints(3, 2).view(-1, 2, 1), c.expand(9, -1)).exp().detach() * (2 / 3) ** 2
    counts = torch.bincount(cells(head.sample(c, 5000, generator=draws.generator(4))[0]), minlength=9)
    assert stats.chisquare(counts.numpy(), 5000 * (mass / mass.sum()).numpy()).pvalue > 0.01


def test_guided_draws_tend_to_the_exact_conditional():
    head = stirred(autoregressive(Trajectory(2, [-1.0], [1.0]), Bins(3)), 2.0)
    head.candidates = 100
    c, x = batch(1)[1].double(), midpoints(3, 2).view(-1, 2, 1)

    def cost(y):  # constant inside of a cell
        return ((y[..., 0] + 1) * 1.5).floor().square().sum(2)

    guide = Guide(cost=cost, margins=lambda y: 0.3 - y[..., 1, :], scale=0.7)
    mass = head.log_prob(x, c.expand(9, -1)).detach() - 0.7 * cost(x.unsqueeze(0))[0]
    mass = torch.where(x[:, 1, 0] < 0.4, mass, torch.full_like(mass, -math.inf)).softmax(0)
    guided = head.sample(c, 800, generator=draws.generator(4), guide=guide)[0]
    assert (guided[:, 1, 0] <= 0.3).all()
    # The last column is cut by the wall at 0.3, inside of the middle cell: weigh it by what is left.
    left = torch.where(x[:, 1, 0].abs() < 0.1, (0.3 + 1 / 3) / (2 / 3), torch.ones(9)) * mass
    counts = torch.bincount(cells(guided), minlength=9)
    kept = left > 0
    assert stats.chisquare(counts[kept].numpy(), 800 * (left / left.sum())[kept].numpy()).pvalue > 0.01


def test_a_position_does_not_see_what_comes_later_in_the_order():
    head = stirred(autoregressive(Trajectory(4, [-1.0], [1.0]), Mixtures(1, components=2), causal, Learned))
    head.order.scores.data = torch.tensor([0.0, 3.0, 1.0, 2.0])  # order 1, 3, 2, 0
    x, c = batch(1)[0].double()[:, :, :1], batch(1)[1].double()

    def told(x):
        order = head.order.settled(x)
        values = x[:, order]
        heard = shifted(torch.cat([head.emission.embed(values), head._conditions(c)[:, order]], -1))
        return head.decoder(heard, head._conditions(c)[:, order])

    slope = torch.autograd.functional.jacobian(told, x)[0, :, :, 0, :, 0].abs().amax(1)  # (position, entry)
    assert ((slope[:, [1, 3, 2, 0]] > 0) == torch.ones(4, 4).tril(-1).bool()).all()


def test_words_gather_where_the_values_are():
    torch.manual_seed(0)
    emission = Words(2, count=6)
    places = torch.tensor([[-0.6, 0.2], [0.5, 0.5], [0.3, -0.7]])
    noise = draws.normal((600, 2), generator=draws.generator(1), like=places)
    values = places.repeat(200, 1) + 0.02 * noise
    logits = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.Adam([*emission.parameters(), logits], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-emission.log_prob(logits.expand(600, -1), values).mean()).backward()
        optimizer.step()
    assert (torch.cdist(places, emission.words).amin(1) < 0.02).all()
    drawn = emission.draw(logits.detach().expand(600, -1), generator=draws.generator(2))
    assert (torch.cdist(drawn, places).amin(1) < 0.2).double().mean() > 0.95
    told = emission.embed(values[:3])
    assert told.sum(1).equal(torch.ones(3)) and len(told.argmax(1).unique()) == 3


# --- Training -------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_negative_log_density_of_an_entry():
    x, c = (part.double() for part in batch())
    for emission in (Bins(16), Mixtures(2, components=3), Words(2, count=5)):
        head = stirred(autoregressive(Trajectory(4, [-1.0, 0.0], [1.0, 5.0]), emission))
        loss = head.loss(x, c, generator=draws.generator(0))
        torch.testing.assert_close(loss, -head.log_prob(x, c) / 8)


def test_what_lies_outside_of_the_bins_counts_as_the_nearest_inside_in_training():
    head = stirred(autoregressive(unit_event(2), Bins(4)))
    c = batch(1)[1].double()
    loss = [head.loss(torch.tensor([[[x, 0.1]]]), c, generator=draws.generator(0)) for x in (1.0, 1.4)]
    torch.testing.assert_close(*loss)
    assert head.log_prob(torch.tensor([[[1.4, 0.1]]]), c).item() == -math.inf


@pytest.mark.parametrize("order", [Given, Shuffled])
def test_training_learns_how_two_numbers_hang_together(order):
    """x_2 = +- x_1 + noise: no mean and no product of marginals describes it."""
    torch.set_default_dtype(torch.float32)
    head = autoregressive(unit_event(2), Bins(20), causal, order)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)

    def data(rows, g):
        like = torch.zeros(())
        first = 1.6 * draws.uniform((rows,), generator=g, like=like) - 0.8
        sign = 1 - 2 * (draws.uniform((rows,), generator=g, like=like) < 0.5).float()
        second = sign * first + 0.05 * draws.normal((rows,), generator=g, like=like)
        return torch.stack([first, second], 1).view(rows, 1, 2), torch.zeros(rows, CONTEXT)

    for step in range(150):
        x, c = data(128, draws.generator(5, step))
        optimizer.zero_grad()
        head.loss(x, c, generator=draws.generator(6, step)).mean().backward()
        optimizer.step()
    x = head.sample(torch.zeros(1, CONTEXT), 2000, generator=draws.generator(7))[0, :, 0]
    assert (x[:, 0].abs() - x[:, 1].abs()).abs().mean() < 0.12
    assert abs((x[:, 0] * x[:, 1] > 0).float().mean().item() - 0.5) < 0.08
    # Entropy of the truth: log 1.6 + log 2 + log(0.05 sqrt(2 pi e)), less where the two branches meet.
    held, c = data(2000, draws.generator(8))
    assert -head.log_prob(held, c).mean().item() < math.log(1.6) + math.log(2) + math.log(0.05 * 4.1327) + 0.35


# --- Contract and refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["autoregressive_bins_causal", "autoregressive_mixtures"])
def test_it_keeps_the_contract_in_double_precision(name):
    head = next(case for case in CASES if case.name == name).head()
    check_head(head, *(part.double() for part in batch()))


@pytest.mark.parametrize("emission", ["bins", "mixtures"])
@pytest.mark.parametrize("decoder", ["recurrent", "causal"])
@pytest.mark.parametrize("order", ["given", "shuffled", "learned"])
def test_its_block_builds_it(emission, decoder, order):
    block = AutoregressiveBlock.model_validate(
        {
            "emission": {"kind": emission},
            "decoder": {"kind": decoder, "width": 16},
            "order": {"kind": "positions", "sequence": order},
            "features": 3,
        }
    )
    event = Path(4, [-1.0, 0.0], [1.0, 5.0], [-0.2, -0.1], [0.2, 0.3])
    widths = []

    def make_net(channels_out):
        widths.append(channels_out)
        return Constant(4, channels_out)

    head = block.build(event, make_net)
    assert widths == [AutoregressiveHead.width(event, head.emission, 3)]
    x, c = (part.double() for part in batch())
    assert head.double().loss(x, c, generator=draws.generator(0)).shape == (5,)


@pytest.mark.parametrize("net", ["mlp", "unet", "transformer"])
def test_an_experiment_swaps_to_it_by_one_block_with_any_network(net):
    torch.set_default_dtype(torch.float32)
    nets = {"mlp": {"width": 16, "depth": 1}, "unet": {"width": 8, "groups": 4}, "transformer": {"width": 16}}
    block = {"kind": "autoregressive", "decoder": {"kind": "causal", "width": 16, "depth": 1}, "features": 4}
    config = tiny.experiment_of(net={"kind": net} | nets[net], head=block)
    windows = tiny.windows_of(config, tiny.episodes_of((9, 9)))
    predictor = experiment.build(config, windows)
    part = windows.batch(torch.arange(3))
    loss = predictor.loss(part.observations, part.value, generator=draws.generator(0), valid=part.valid)
    loss.mean().backward()
    assert loss.isfinite().all()
    assert predictor.sample(part.observations, 2, generator=draws.generator(0)).shape == (3, 2, *part.value.shape[1:])


def build(**changes):
    event, emission = unit_event(2), Bins(4)
    parts = {"decoder": recurrent(2, 4 + 6, 4), "emission": emission} | changes
    return AutoregressiveHead(event, Constant(1, 12), parts.pop("decoder"), parts.pop("emission"), **parts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": 0}, "candidates must be at least 1; got 0"),
        ({"order": Given(3)}, "the order must be one of 2 positions; got 3"),
        ({"decoder": recurrent(1, 10, 4)}, "length at least 2, channels_in 10 .*channels_out 4; got 1, 10 and 4"),
        ({"decoder": recurrent(2, 9, 4)}, "channels_in 10 .*got 2, 9 and 4"),
        ({"emission": Mixtures(3)}, "2 channels must be a multiple of the emission's; got 3"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bins(1), "count must be at least 2; got 1"),
        (lambda: Bins(4, reach=0.0), "reach must be positive and finite; got 0.0"),
        (lambda: Mixtures(0), "must be at least 1; got 0 and 8"),
        (lambda: Mixtures(1, smallest=0.0), "smallest must be positive; got 0.0"),
        (lambda: Words(0), "channels must be at least 1 and count at least 2; got 0 and 128"),
        (lambda: Words(2, count=1), "count at least 2; got 2 and 1"),
        (lambda: Words(2, smallest=-1.0), "smallest must be positive; got -1.0"),
    ],
)
def test_impossible_parts_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_of_a_wrong_width_is_named():
    head = build()
    head.net = Constant(1, 7)
    with pytest.raises(ValueError, match=r"must return shape \(3, 1, 12\); got \(3, 1, 7\).*AutoregressiveHead.width"):
        head.log_prob(torch.zeros(3, 1, 2), torch.zeros(3, CONTEXT))


def test_shifting_puts_zeros_first_and_drops_the_last():
    x = torch.arange(6.0).view(1, 3, 2)
    assert shifted(x).tolist() == [[[0, 0], [0, 1], [2, 3]]]
