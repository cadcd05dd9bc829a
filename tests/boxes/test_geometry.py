"""Overlaps of boxes against shapely, and their laws."""

import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.boxes import area, centred, corners, giou, iou

seeds = st.integers(0, 10_000)


def random_boxes(count, seed, smallest=0.02):
    """Corners, double precision, shape `(count, 4)`."""
    stream = torch.Generator().manual_seed(seed)
    size = smallest + 0.6 * torch.rand(count, 2, generator=stream, dtype=torch.float64)
    middle = torch.rand(count, 2, generator=stream, dtype=torch.float64)
    return corners(torch.cat([middle, size], 1))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_overlaps_are_those_of_polygons(seed):
    a, b = random_boxes(6, seed), random_boxes(5, seed + 1)
    first, second = (shapely.box(*boxes.T.numpy()) for boxes in (a, b))
    shared = torch.from_numpy(shapely.area(shapely.intersection(first[:, None], second)))
    union = torch.from_numpy(shapely.area(shapely.union(first[:, None], second)))
    hull = shapely.envelope(shapely.union(first[:, None], second))
    hull = torch.from_numpy(shapely.area(hull))
    torch.testing.assert_close(iou(a[:, None], b), shared / union)
    torch.testing.assert_close(giou(a[:, None], b), shared / union - (hull - union) / hull)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_overlaps_lie_in_their_range_are_symmetric_and_do_not_change_with_the_frame(seed, scale, shift):
    a, b = random_boxes(50, seed), random_boxes(50, seed + 1)
    for overlap, least in ((iou, 0), (giou, -1)):
        value = overlap(a, b)
        assert ((value >= least) & (value <= 1 + 1e-12)).all()
        torch.testing.assert_close(overlap(b, a), value)
        torch.testing.assert_close(overlap(scale * a + shift, scale * b + shift), value, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(overlap(a, a), torch.ones(50, dtype=torch.float64))
    assert (giou(a, b) <= iou(a, b) + 1e-12).all()


def test_boxes_far_apart_have_a_generalised_overlap_that_tends_to_minus_one_and_has_a_slope():
    a = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    apart = torch.tensor([2.0, 10.0, 100.0], dtype=torch.float64, requires_grad=True)
    b = torch.stack([apart, apart, apart + 1, apart + 1], -1)
    value = giou(a, b)
    (slope,) = torch.autograd.grad(value.sum(), apart)
    assert (iou(a, b) == 0).all() and (value.diff() < 0).all() and (slope < 0).all()
    assert value[-1].item() == pytest.approx(-1, abs=1e-3)


def test_slopes_are_those_of_finite_differences(double):
    a, b = random_boxes(4, 1), random_boxes(4, 2)
    for overlap in (iou, giou):
        assert torch.autograd.gradcheck(overlap, (a.requires_grad_(), b.requires_grad_()))


@given(seeds)
def test_middles_and_corners_are_inverse(seed):
    ends = random_boxes(10, seed)
    torch.testing.assert_close(corners(centred(ends)), ends)
    torch.testing.assert_close(area(ends), centred(ends)[:, 2:].prod(1))


def test_boxes_without_area_overlap_with_nothing_and_stay_finite():
    nothing = torch.zeros(4, requires_grad=True)
    for overlap in (iou, giou):
        value = overlap(nothing, nothing)
        (slope,) = torch.autograd.grad(value, nothing)
        assert value.isfinite() and slope.isfinite().all()
    assert iou(nothing, torch.tensor([0.0, 0.0, 1.0, 1.0])) == 0
    negative = corners(torch.tensor([0.5, 0.5, -0.2, 0.1]))
    assert area(negative) == 0
