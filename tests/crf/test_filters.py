"""Filters against matrices of all pairs, and their gradients."""

import pytest
import torch
from torch.autograd import gradcheck

from embodied_gen.crf import Exact, Nystroem, Permutohedral, Rows, Symmetric
from embodied_gen.crf.attention import Attention
from embodied_gen.crf.kernels import Points
from embodied_gen.crf.nystroem import LowRank, _shares
from embodied_gen.crf.separable import Separable

pytestmark = pytest.mark.usefixtures("double")
WIDTHS = torch.tensor([2.0, 0.5, 0.7], dtype=torch.float64)


def guides(images=2, channels=2, height=4, width=5):
    return torch.rand(images, channels, height, width)


def pairs(features):
    return (-(features.unsqueeze(2) - features.unsqueeze(1)).square().sum(-1) / 2).exp()


def normalised(k, normalisation):
    mass = k.sum(2)
    if isinstance(normalisation, Rows):
        return k / mass.unsqueeze(2)
    return k / (mass.unsqueeze(2) * mass.unsqueeze(1)).sqrt()


def test_attention_is_the_sum_over_all_pairs():
    points = Points.of(guides(), WIDTHS)
    values = torch.randn(2, 20, 3)
    torch.testing.assert_close(Attention(points.features)(values), pairs(points.features) @ values)


def test_attention_keeps_its_digits_where_masses_are_far_apart():
    # A heap of equal points, and single ones far away, in single precision.
    features = torch.cat([torch.zeros(1, 900, 2), 40.0 * torch.randn(1, 20, 2)], 1)
    single = Attention(features.float())
    values = torch.rand(1, 920, 4)
    expected = pairs(features) @ values
    assert ((single(values.float()) - expected).abs() / expected).max() < 1e-4


def test_positions_are_filtered_exactly():
    points = Points.of(guides(), WIDTHS[:1])
    values = torch.randn(2, 20, 3)
    torch.testing.assert_close(Separable((4, 5), WIDTHS[0])(values), pairs(points.features) @ values)


def test_as_many_landmarks_as_pixels_leave_no_error_and_few_are_positive_semi_definite():
    features = Points.of(guides(1), WIDTHS).features
    eye = torch.eye(20).unsqueeze(0)
    exact = pairs(features)
    torch.testing.assert_close(LowRank(features, 99)(eye), exact, rtol=0, atol=1e-3)
    errors = []
    for landmarks in (1, 4, 12):
        low = LowRank(features, landmarks)(eye)
        torch.testing.assert_close(low.diagonal(dim1=1, dim2=2), torch.ones(1, 20), rtol=0, atol=1e-4)
        assert torch.linalg.eigvalsh(low).min() > -1e-9
        errors.append((low - exact).abs().mean().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_a_landmark_that_nothing_is_nearest_to_keeps_the_sample_nearest_to_it():
    sample, centres = (torch.tensor([at]).unsqueeze(2) for at in ([0, 1, 1.1, 10], [10, 1.15, 0, 1, 1.1]))
    moved = _shares(sample, centres) @ sample
    torch.testing.assert_close(moved.flatten(), torch.tensor([10, 1.1, 0, 1, 1.1]))


def test_landmarks_that_are_alike_leave_single_precision_whole():
    guide = torch.zeros(1, 2, 12, 16).float()
    guide[..., 8:] = 1.0
    features = Points.of(guide, torch.tensor([9.0, 0.1, 0.1]).float()).features
    eye = torch.eye(192).float().unsqueeze(0)
    torch.testing.assert_close(LowRank(features, 100)(eye), pairs(features), rtol=0, atol=2e-3)


@pytest.mark.parametrize("normalisation", [Symmetric(), Rows()], ids=lambda n: type(n).__name__)
def test_sums_have_weights_of_kernels_and_classes_and_no_masses(normalisation):
    guide = guides()
    kernels = [Points.of(guide, WIDTHS[:1]), Points.of(guide, WIDTHS)]
    q, weights, agreement = torch.rand(2, 20, 3), torch.randn(2, 3), torch.randn(3, 3)
    dense = [normalised(pairs(each.features), normalisation) for each in kernels]
    expected = sum((k @ q) * w for k, w in zip(dense, weights, strict=True)) @ agreement
    found = Exact().normalised(kernels, normalisation)(q, weights, lambda sums: sums @ agreement)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("normalisation", [Symmetric(), Rows()], ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("method", [Exact(), Nystroem(5), Permutohedral()], ids=lambda m: type(m).__name__)
def test_gradients_to_all_that_a_sum_depends_on(method, normalisation):
    guide, q = guides(2, 2, 3, 4).requires_grad_(), torch.rand(2, 12, 3, requires_grad=True)
    weights, widths = torch.rand(2, 3, requires_grad=True), WIDTHS.clone().requires_grad_()
    agreement = torch.randn(3, 3, requires_grad=True)

    def summed(guide, q, weights, widths, agreement):
        kernels = [Points.of(guide, widths[:1]), Points.of(guide, widths)]
        # The first column of a grid lies between simplices, and which it is in, rounding decides: not so beside it.
        kernels = [Points(points.features + 0.1, points.grid, points.position) for points in kernels]
        return method.normalised(kernels, normalisation)(q, weights, lambda sums: sums @ agreement)

    assert gradcheck(summed, (guide, q, weights, widths, agreement), eps=1e-7, atol=1e-5)


def test_a_method_without_landmarks_is_refused():
    with pytest.raises(ValueError, match="landmarks must be at least 1; got 0"):
        Nystroem(0)
