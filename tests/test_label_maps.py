"""Scores of label maps against counting cell by cell."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from embodied_gen.statistics import boundary_f1, calibration_error, confusions, label_scores, scores_of

seeds = st.integers(0, 10_000)


def example(seed, classes=3, shape=(2, 7, 9)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape)
    labels = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, classes, shape))
    return labels, truth, rng.random(shape) < 0.8, rng


def cells(counts):
    return [tuple(place) for place in np.argwhere(counts)]


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_shares_are_those_of_counting(seed):
    labels, truth, valid, _ = example(seed)
    found = label_scores(labels, truth, 4, valid=valid)
    pairs = [(truth[place], labels[place]) for place in cells(valid)]
    assert found.accuracy == pytest.approx(np.mean([a == b for a, b in pairs]))
    for k in range(4):
        both = sum(a == b == k for a, b in pairs)
        either = sum(a == k or b == k for a, b in pairs)
        true = sum(a == k for a, _ in pairs)
        assert found.iou[k] == pytest.approx(both / either if either else math.nan, nan_ok=True)
        assert found.recall[k] == pytest.approx(both / true if true else math.nan, nan_ok=True)
    assert math.isnan(found.iou[3])
    assert found.mean_iou == pytest.approx(np.mean(found.iou[:3]))
    assert found.class_accuracy == pytest.approx(np.mean(found.recall[:3]))


def edges(labels, k):
    """Cells of class k with a neighbour of another class."""
    height, width = labels.shape
    places = []
    for y, x in cells(labels == k):
        around = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        if any(0 <= a < height and 0 <= b < width and labels[a, b] != k for a, b in around):
            places.append((y, x))
    return np.array(places).reshape(-1, 2)


def by_hand(labels, truth, classes, radius):
    values = []
    for k in range(classes):
        ours, theirs = edges(labels, k), edges(truth, k)
        if not len(theirs):
            continue
        if not len(ours):
            values.append(0.0)
            continue
        apart = cdist(ours, theirs)
        precision, recall = (apart.min(1) <= radius).mean(), (apart.min(0) <= radius).mean()
        values.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return np.mean(values) if values else math.nan


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.1, 0.2]))
def test_boundary_scores_are_those_of_distances(seed, tolerance):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 6, (2, 2, 2))
    labels, truth = np.zeros((2, 2, 8, 9), int)
    for maps, corners in ((labels, corner[0]), (truth, corner[1])):
        for each, (y, x) in zip(maps, corners, strict=True):
            each[y : y + 3, x : x + 3] = 1
            each[y + 1, x] = 2
    expected = [by_hand(a, b, 4, tolerance * math.hypot(8, 9)) for a, b in zip(labels, truth, strict=True)]
    np.testing.assert_allclose(boundary_f1(labels, truth, 4, tolerance=tolerance), expected)
    assert label_scores(labels, truth, 4, tolerance=tolerance).boundary == pytest.approx(np.mean(expected))


def test_a_boundary_is_near_up_to_three_quarters_of_a_percent_of_the_diagonal():
    column = np.arange(4000) * np.ones((1, 2, 1), int)  # the diagonal has 4000 cells and a little, of which 30 are near
    for away, expected in ((0, 1), (30, 1), (31, 0)):
        assert boundary_f1((column >= 2000 + away).astype(int), (column >= 2000).astype(int), 2) == [expected]


def test_cells_that_are_not_valid_change_nothing():
    labels, truth, valid, rng = example(1)
    other, wrong = (np.where(valid, each, rng.integers(0, 3, each.shape)) for each in (labels, truth))
    first, second = (label_scores(*maps, 3, valid=valid) for maps in ((labels, truth), (other, wrong)))
    np.testing.assert_array_equal(first.iou, second.iou)
    assert first.boundary == second.boundary


def test_perfect_labels_have_perfect_scores_and_a_single_region_has_no_boundary():
    _, truth, _, _ = example(2)
    found = label_scores(truth, truth, 3)
    assert found.mean_iou == found.class_accuracy == found.accuracy == found.boundary == 1
    assert np.isnan(boundary_f1(truth, np.zeros_like(truth), 3)).all()


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 12))
def test_the_calibration_error_is_that_of_counting(seed, bins):
    _, truth, valid, rng = example(seed)
    p = rng.dirichlet([0.5, 0.5, 0.5], truth.shape)
    groups = {}
    for place in cells(valid):
        sure = p[place].max()
        groups.setdefault(min(int(sure * bins), bins - 1), []).append((sure, p[place].argmax() == truth[place]))
    expected = sum(abs(np.sum([right - sure for sure, right in group])) for group in groups.values()) / valid.sum()
    assert calibration_error(p, truth, valid=valid, bins=bins) == pytest.approx(expected)


def test_labels_drawn_from_their_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], (4, 60, 60))
    truth = (p.cumsum(-1) < rng.random((4, 60, 60, 1))).sum(-1)
    assert calibration_error(p, truth) < 0.02
    assert calibration_error(p**4 / (p**4).sum(-1, keepdims=True), truth) > 0.1


def test_bad_maps_are_named():
    labels, truth, valid, _ = example(0)
    with pytest.raises(ValueError, match=r"labels must be integers from 0 to 1 where valid; got int64 from 0 to 2"):
        label_scores(labels, truth, 2)
    with pytest.raises(ValueError, match=r"one shape \(B, H, W\); got \(2, 7, 9\), \(2, 7, 8\)"):
        label_scores(labels, truth[..., :-1], 3)
    with pytest.raises(ValueError, match="at least one cell must be valid; got none"):
        label_scores(labels, truth, 3, valid=np.zeros_like(valid))
    with pytest.raises(ValueError, match="tolerance must be at least 0; got -1"):
        boundary_f1(labels, truth, 3, tolerance=-1)
    with pytest.raises(ValueError, match="bins must be at least 1; got 0"):
        calibration_error(np.ones((2, 7, 9, 3)) / 3, truth, bins=0)


def test_scores_come_from_what_each_map_adds():
    generator = np.random.default_rng(0)
    labels, truth = generator.integers(3, size=(2, 5, 6, 7))
    valid = generator.random((5, 6, 7)) < 0.8
    number = confusions(labels, truth, 3, valid=valid)
    assert number.shape == (5, 3, 3) and np.array_equal(number.sum((1, 2)), valid.sum((1, 2)))
    for k, one in enumerate(number):
        for true, called in np.ndindex(3, 3):
            assert one[true, called] == ((truth[k] == true) & (labels[k] == called) & valid[k]).sum()
    chosen = [3, 3, 0]
    found = scores_of(number[chosen], boundary_f1(labels, truth, 3, valid=valid)[chosen])
    expected = label_scores(labels[chosen], truth[chosen], 3, valid=valid[chosen])
    assert found.mean_iou == pytest.approx(expected.mean_iou) and found.boundary == pytest.approx(expected.boundary)
    assert (found.accuracy, found.class_accuracy) == pytest.approx((expected.accuracy, expected.class_accuracy))
