"""Networks that read maps in raster order: nothing before its turn, no blind spot, and rows on their own."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.nets import MaskedConvNet, OverCells, ResidualMLP, RowRecurrentNet

KINDS = {"masked_conv": MaskedConvNet, "row_recurrent": RowRecurrentNet}
grid = pytest.mark.parametrize("kind", KINDS)
K, F = 2, 3


def raster(kind, **options):
    """A network whose last layer has moved from zero, as after training."""
    net = KINDS[kind](channels_in=K, channels_out=K, context=F, width=4, **options).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draws.generator(1), dtype=torch.float64))
    return net


def inputs(height, width, rows=1):
    g, like = draws.generator(2), torch.zeros((), dtype=torch.float64)
    return tuple(draws.normal((rows, height, width, size), generator=g, like=like) for size in (K, F))


def seen(net, height, width):
    """Which cells an output depends on, in x and in c: bool, `(H W outputs, H W inputs)` each."""
    slopes = torch.autograd.functional.jacobian(net, inputs(height, width))
    cells = height * width
    return [slope[0, :, :, :, 0].abs().amax((2, 5)).reshape(cells, cells) > 0 for slope in slopes]


@grid
def test_a_cell_sees_all_before_it_and_neither_itself_nor_a_later_one(kind):
    # As many layers as the field needs to hold the map.
    of_values, of_conditions = seen(raster(kind, depth=4), 4, 4)
    before = torch.ones(16, 16).tril(-1).bool()
    assert not (of_values & ~before).any()
    row, column = torch.arange(16) // 4, torch.arange(16) % 4
    # Without a blind spot: all to the left in its row, and in rows above all in a cone of one cell a row at least.
    up, aside = row[:, None] - row[None], (column[:, None] - column[None]).abs()
    cone = before & ((up == 0) | (aside <= up))
    assert (of_values | ~cone).all()
    assert of_conditions.diagonal().all()


def test_masked_convolutions_see_the_whole_of_the_rows_above_them():
    of_values, _ = seen(raster("masked_conv", depth=4), 4, 4)
    assert torch.equal(of_values, torch.ones(16, 16).tril(-1).bool())


@grid
def test_the_reach_is_the_number_of_rows_that_are_read(kind):
    net = raster(kind, depth=1)
    height = 7
    x, c = inputs(height, 3)
    slope = torch.autograd.functional.jacobian(lambda x: net.above(x, c)[0, -1].sum(0).sum(0), x)
    rows = slope[0].abs().amax((1, 2)) > 0
    reach = height - 1 if net.reach is None else net.reach
    assert reach == (height - 1 if kind == "row_recurrent" else 3)
    assert torch.equal(rows, torch.tensor([0 < height - 1 - r <= reach for r in range(height)]))


@grid
@pytest.mark.parametrize(("depth", "kernel"), [(1, 3), (2, 3), (2, 5)])
def test_the_span_is_the_number_of_cells_to_the_left_that_are_read_along_a_row(kind, depth, kernel):
    net, width = raster(kind, depth=depth, kernel=kernel), 9
    x, c = inputs(1, width)
    of_x, of_above = torch.autograd.functional.jacobian(lambda *row: net.along(*row)[0, -1], (x[0], net.above(x, c)[0]))
    assert net.span == depth * (kernel // 2) + kernel // 2
    cells = of_x[:, 0].abs().amax((0, 2)) > 0
    assert torch.equal(cells, torch.tensor([0 < width - 1 - cell <= net.span for cell in range(width)]))
    assert not of_above[:, 0, : -net.span].any()


@grid
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_row_computed_on_its_own_is_that_of_the_whole_map(kind, kernel):
    net, (x, c) = raster(kind, depth=2, kernel=kernel), inputs(8, 9, rows=3)
    whole = net(x, c)
    for row in range(8):
        first = 0 if net.reach is None else max(0, row - net.reach)
        above = net.above(x[:, first : row + 1], c[:, first : row + 1])[:, -1]
        for column in range(9):
            left = slice(max(0, column - net.span), column + 1)
            here = net.along(x[:, row, left], above[:, left])[:, -1]
            torch.testing.assert_close(here, whole[:, row, column])


@grid
def test_it_starts_at_the_zero_map(kind):
    net = KINDS[kind](channels_in=K, channels_out=K, context=F, width=4).double()
    assert (net(*inputs(3, 3)) == 0).all()


@grid
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 4}, "kernel must be odd and at least 3; got 4"),
        ({"kernel": 1}, "kernel must be odd and at least 3; got 1"),
        ({"depth": 0}, "depth must be >= 1"),
        ({"context": 0}, "context must be >= 1"),
    ],
)
def test_impossible_sizes_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**({"channels_in": 2, "channels_out": 2, "context": 1} | options))


@grid
def test_maps_of_another_shape_are_refused(kind):
    net, (x, c) = raster(kind), inputs(3, 3)
    with pytest.raises(ValueError, match=r"x must have shape \(M, H, W, 2\); got \(1, 3, 3, 3\)"):
        net(c, c)
    with pytest.raises(ValueError, match=r"c must have shape \(1, 3, 3, 3\); got \(1, 3, 3, 2\)"):
        net(x, x)


def test_a_network_over_chunks_is_one_over_maps():
    net = ResidualMLP(horizon=6, channels_in=K, channels_out=4, context=F, width=8, depth=1)
    torch.nn.init.normal_(net.output.weight)
    x, t, c = torch.randn(5, 2, 3, K), torch.zeros(5), torch.randn(5, F)
    out = OverCells(net, height=2, width=3)(x, t, c)
    assert torch.equal(out.flatten(1), net(x.view(5, 6, K), t, c).flatten(1))
    with pytest.raises(ValueError, match=r"must have horizon 2 \* 2; got 6"):
        OverCells(net, height=2, width=2)
