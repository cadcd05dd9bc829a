"""The lattice against a plain one with a dictionary of vertices, and what holds of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.crf.kernels import Points
from embodied_gen.crf.lattice_filter import LatticeFilter, LatticeSum, Order
from embodied_gen.crf.permutohedral import Lattice, _moved

pytestmark = pytest.mark.usefixtures("double")


def features(seed, points=40, d=3, images=1, spread=2.0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(0, spread, (images, points, d)))


def plain(f):
    """Splat, blur and slice as a matrix, one point, vertex and direction at a time."""
    n, d = f.shape
    places, weights = [], []
    for point in f:
        scaled = [point[i] * np.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2)) for i in range(d)]
        high = [sum(scaled[j:]) - (j * scaled[j - 1] if j else 0) for j in range(d + 1)]
        near = [round(h / (d + 1)) * (d + 1) for h in high]
        order = sorted(range(d + 1), key=lambda i: near[i] - high[i])
        rank = [order.index(i) + sum(near) // (d + 1) for i in range(d + 1)]
        turn = [(d + 1) * ((r < 0) - (r > d)) for r in rank]
        near, rank = [a + t for a, t in zip(near, turn, strict=True)], [r + t for r, t in zip(rank, turn, strict=True)]
        part = [(h - a) / (d + 1) for h, a in zip(high, near, strict=True)]
        bary = np.zeros(d + 2)
        for value, r in zip(part, rank, strict=True):
            bary[d - r] += value
            bary[d + 1 - r] -= value
        bary[0] += 1 + bary[d + 1]
        places.append(
            [tuple(a + (k if r <= d - k else k - d - 1) for a, r in zip(near, rank, strict=True)) for k in range(d + 1)]
        )
        weights.append(bary[: d + 1])
    number = {key: i for i, key in enumerate(sorted({key for row in places for key in row}))}
    splat = np.zeros((len(number), n))
    for i, (row, bary) in enumerate(zip(places, weights, strict=True)):
        for key, weight in zip(row, bary, strict=True):
            splat[number[key], i] += weight
    blur = np.eye(len(number))
    for j in range(d + 1):
        one = np.eye(len(number))
        for key, i in number.items():
            for sign in (1, -1):
                other = tuple(a + sign * (-d if c == j else 1) for c, a in enumerate(key))
                if other in number:
                    one[i, number[other]] += 0.5
        blur = one @ blur
    return splat, blur


def matrix(f):
    """The filter of the package as a matrix."""
    images, points, _ = f.shape
    kernel = LatticeFilter.of(Points(f, (1, points), torch.tensor(1.0)))
    eye = torch.eye(points, dtype=f.dtype).expand(images, -1, -1)
    return kernel(eye)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 5, 6]), st.sampled_from([0.3, 2.0]))
def test_filtering_is_splat_blur_slice_of_the_plain_lattice(seed, d, spread):
    f = features(seed, 25, d, spread=spread)
    splat, blur = plain(f[0].numpy())
    expected = splat.T @ blur @ splat
    np.testing.assert_allclose(matrix(f)[0].numpy(), expected, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_weights_are_barycentric(seed, d):
    lattice = Lattice.of(features(seed, 50, d))
    assert (lattice.weight > -1e-12).all()
    torch.testing.assert_close(lattice.weight.sum(1), torch.ones(50))
    assert all(len(set(row)) == d + 1 for row in lattice.vertex.tolist())


def test_the_filter_follows_a_gaussian_up_to_a_factor():
    points = Points.of(torch.zeros(1, 0, 20, 20), torch.tensor([3.0]))
    f, eye = points.features, torch.eye(400).unsqueeze(0)
    kernel, exact = LatticeFilter.of(points)(eye)[0], (-torch.cdist(f, f).square() / 2).exp()[0]
    means = [k / k.sum(1, keepdim=True) for k in (kernel, exact)]
    assert (means[0] - means[1]).abs().sum(1).mean() < 0.2


@pytest.mark.parametrize("d", [1, 3, 5])
@pytest.mark.parametrize("times", [1, 255, 10**4, 10**6])
def test_whole_periods_of_features_cost_no_more_than_the_rounding_of_their_sum(d, times):
    f, number = features(4, 30, d, images=2), torch.arange(1, d + 1)
    constant = times * (1.5 * number * (number + 1)).sqrt() * torch.tensor([[[1.0]], [[-2.0]]])
    torch.testing.assert_close(matrix(f + constant), matrix(f), rtol=0, atol=1e-6)
    rounded = (f + constant).float()
    torch.testing.assert_close(matrix(rounded).double(), matrix(rounded.double() - constant), rtol=0, atol=1e-4)


def test_features_near_zero_keep_every_bit():
    f = features(4, 30, 5, spread=100.0).float()
    assert torch.equal(_moved(f), f)


def test_images_of_a_batch_do_not_touch():
    f = features(3, 30, 4, images=3)
    together = matrix(f)
    for each, alone in zip(together, f, strict=True):
        torch.testing.assert_close(each, matrix(alone.unsqueeze(0))[0])


def test_lattices_of_positions_are_shared_by_images_and_kept():
    guide = torch.zeros(2, 0, 4, 5)
    points = Points.of(guide, torch.tensor([1.3]))
    values = torch.rand(2, 20, 3)
    alone = torch.cat([LatticeFilter.of(Points.of(guide[:1], torch.tensor([1.3])))(v.unsqueeze(0)) for v in values])
    torch.testing.assert_close(LatticeFilter.of(points)(values), alone)
    slow = Points(points.features.clone().requires_grad_(), points.grid, points.position)
    torch.testing.assert_close(LatticeFilter.of(slow)(values), alone)
    first, again = (LatticeFilter.of(Points.of(guide[:1], torch.tensor([1.3]))).lattice for _ in range(2))
    assert first is again


def test_the_order_of_positions_is_sorted_once_for_batches_of_any_size(monkeypatch):
    lattice = Lattice.of(Points.of(torch.zeros(1, 0, 3, 7), torch.tensor([1.7])).features)
    order = Order.of(lattice)
    for images in (1, 2, 5):
        repeated, sorted_anew = order.repeated(images, 21), Order.of(lattice.repeated(images))
        for name in ("corner", "point", "first"):
            assert torch.equal(getattr(repeated, name), getattr(sorted_anew, name))
    of, sorts = Order.of, []
    monkeypatch.setattr(Order, "of", lambda lattice: sorts.append(lattice.vertices) or of(lattice))
    for images in (1, 2, 5):
        LatticeFilter.of(Points.of(torch.zeros(images, 0, 3, 7), torch.tensor([1.7])))
    assert sorts == [lattice.vertices]


@pytest.mark.parametrize("d", [2, 5])
def test_gradients_of_a_sum_of_filters(d):
    f = features(5, 12, d, images=2, spread=1.0).requires_grad_()
    other = features(6, 12, 2, images=2).requires_grad_()
    values, weights = torch.rand(2, 12, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    before, after = torch.rand(2, 12, 1, requires_grad=True), torch.rand(2, 12, 1, requires_grad=True)
    agreement = torch.randn(3, 3, requires_grad=True)

    def filtered(f, other, values, weights, agreement, before, after):
        first = LatticeFilter.of(Points(f, (3, 4), torch.tensor(1.0))).scaled(before, after)
        total = LatticeSum([first, LatticeFilter.of(Points(other, (3, 4), torch.tensor(1.0)))])
        return total(values, weights, lambda sums: sums @ agreement)

    assert torch.autograd.gradcheck(
        filtered, (f, other, values, weights, agreement, before, after), eps=1e-7, atol=1e-5
    )


def test_features_that_have_no_place_are_refused():
    far = features(0, 5, 8) * 1e4
    with pytest.raises(
        ValueError, match=r"a lattice of 8 features and 1 images .* too many places; widen the bandwidths"
    ):
        Lattice.of(far)
    for wrong in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="features must be finite; got some that are not"):
            Lattice.of(torch.full((1, 4, 2), wrong))
    apart = torch.tensor([0.0, 1e7, 2e7]).float().view(1, 3, 1)
    with pytest.raises(
        ValueError, match=r"less than 4\.2e\+06 steps .* torch\.float32 does not tell .*; got 1\.\de\+07\."
    ):
        Lattice.of(apart)
    assert Lattice.of(apart.double()).vertices == 6
