"""Scores of instance maps against counting object by object."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.statistics import instance_scores

seeds = st.integers(0, 10_000)


def example(seed, images=3, most=4, shape=(6, 7)):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, rng.integers(1, most + 2), (images, *shape)) for _ in range(2))


def sets_of(labels):
    return [set(map(tuple, np.argwhere(labels == j))) for j in np.unique(labels) if j > 0]


def best(a, b):
    return np.mean([max(2 * len(one & other) / (len(one) + len(other)) for other in b) for one in a])


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_scores_are_those_of_the_definition(seed):
    labels, truth = example(seed)
    found = instance_scores(labels, truth)
    for image in range(len(labels)):
        called, true = sets_of(labels[image]), sets_of(truth[image])
        assert found.difference[image] == len(called) - len(true)
        wanted = min(best(called, true), best(true, called)) if called and true else float(not called and not true)
        assert found.sbd[image] == pytest.approx(wanted)
    assert found.mean_error == pytest.approx(np.mean([abs(d) for d in found.difference]))
    assert found.mean_sbd == pytest.approx(np.mean(found.sbd))


@settings(max_examples=20, deadline=None)
@given(seeds, st.permutations([3, 900, 17, 4]))
def test_numbers_of_objects_mean_nothing(seed, numbers):
    labels, truth = example(seed)
    found, again = (instance_scores(each, truth) for each in (labels, np.array([0, *numbers])[labels]))
    np.testing.assert_allclose(found.sbd, again.sbd)
    np.testing.assert_array_equal(found.difference, again.difference)
    np.testing.assert_allclose(instance_scores(truth, labels).sbd, found.sbd)
    assert instance_scores(labels, labels).sbd.tolist() == [1, 1, 1]


def test_images_without_objects():
    nothing, something = np.zeros((1, 4, 4), int), np.ones((1, 4, 4), int)
    for labels, truth, sbd, difference in (
        (nothing, nothing, 1, 0),
        (something, nothing, 0, 1),
        (nothing, something, 0, -1),
    ):
        found = instance_scores(labels, truth)
        assert (found.sbd.tolist(), found.difference.tolist()) == ([sbd], [difference])


def test_a_thousand_objects_are_scored():
    truth = np.arange(2002).reshape(1, 22, 91) // 2  # 1000 objects of two pixels and the ground
    labels = np.where(truth % 2 == 0, truth, 0)
    found = instance_scores(labels, truth)
    assert found.difference.tolist() == [-500] and found.sbd[0] == pytest.approx(0.5)
    assert instance_scores(truth, truth).sbd.tolist() == [1]


@pytest.mark.parametrize(
    ("labels", "truth", "sentence"),
    [
        (np.zeros((2, 4, 4), int), np.zeros((1, 4, 4), int), r"one shape \(B, H, W\); got \(2, 4, 4\) and \(1, 4, 4\)"),
        (np.zeros((4, 4), int), np.zeros((4, 4), int), r"labels must have shape \(B, H, W\) .* got \(4, 4\)"),
        (np.zeros((0, 4, 4), int), np.zeros((0, 4, 4), int), "at least one pixel"),
        (np.zeros((1, 4, 4)), np.zeros((1, 4, 4), int), "labels must be whole numbers from 0 on; got float64"),
        (np.zeros((1, 4, 4), int), np.full((1, 4, 4), -1), "truth must be whole numbers from 0 on; got int64 from -1"),
    ],
)
def test_what_does_not_fit_is_named(labels, truth, sentence):
    with pytest.raises(ValueError, match=sentence):
        instance_scores(labels, truth)
