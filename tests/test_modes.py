"""Modes that samples reach: what is dropped, and what has collapsed, is counted as such."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.statistics import Modes, clusters, count_modes, reached, relative_entropy, relative_reach, spread

K = 5
CENTRES = 10 * np.stack([np.cos(2 * np.pi * np.arange(K) / K), np.sin(2 * np.pi * np.arange(K) / K)], 1)


def normals(rng, count, kept=range(K), deviation=1.0):
    """As many values of each kept mode, and their labels."""
    labels = np.repeat(list(kept), count)
    return CENTRES[labels] + deviation * rng.normal(size=(len(labels), 2)), labels


def told(samples, seed=0, count=400) -> Modes:
    reference, labels = normals(np.random.default_rng(seed), count)
    return count_modes(samples, reference, labels, rng=np.random.default_rng(1))


def test_samples_of_the_same_density_reach_every_mode_in_its_share():
    result = told(normals(np.random.default_rng(5), 200)[0])
    assert result.reached == 1
    assert result.counts.sum() == pytest.approx(1000 * (1 - result.outside))
    assert result.expected.tolist() == [200] * K
    assert result.outside == pytest.approx(0.01, abs=0.01)
    assert result.entropy.low <= 1 <= result.entropy.high
    assert result.spread == pytest.approx(1, abs=0.05)


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(0, K - 1), min_size=1, max_size=K))
def test_modes_that_are_never_reached_are_dropped(kept):
    result = told(normals(np.random.default_rng(5), 100, sorted(kept))[0])
    assert result.reached == len(kept) / K
    assert set(np.flatnonzero(result.counts)) == kept
    assert result.entropy.value == pytest.approx(np.log(len(kept)) / np.log(K), abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 1))
def test_samples_that_collapse_within_their_modes_have_less_spread(share):
    result = told(normals(np.random.default_rng(5), 300, deviation=share)[0])
    assert result.reached == 1
    assert result.spread == pytest.approx(share, rel=0.1, abs=1e-9)


def test_spread_is_of_modes_that_both_have_twice():
    twice, once = (
        np.array([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]]),
        np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0], [7.0, 7.0]]),
    )
    assert spread(twice, [0, 0, 1], once, [0, 0, 1, 1]) == 2.0
    assert spread(twice, [0, 1, 2], once, [0, 0, 1, 1]) == 0.0


def test_a_mode_counts_as_dropped_below_a_tenth_of_its_share():
    rng = np.random.default_rng(5)
    few, more = (np.concatenate([normals(rng, 199, range(1, K))[0], normals(rng, n, [0])[0]]) for n in (5, 60))
    assert told(few).reached == 1 - 1 / K
    assert told(more).reached == 1


def test_samples_that_belong_to_no_mode_are_told_and_not_counted():
    result = told(np.zeros((50, 2)))
    assert result.outside == 1 and result.reached == 0 and result.spread == 0
    assert (result.counts == 0).all() and result.entropy == (0, 0, 1)


def test_neither_the_order_nor_the_unit_matters():
    samples = normals(np.random.default_rng(5), 50, [0, 2])[0]
    reference, labels = normals(np.random.default_rng(0), 100)
    first = count_modes(samples, reference, labels, rng=np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(len(samples))
    second = count_modes(7 * samples[order], 7 * reference[::-1], labels[::-1], rng=np.random.default_rng(1))
    assert first.counts.tolist() == second.counts.tolist() and first.outside == second.outside
    assert first.spread == pytest.approx(second.spread)


def test_clusters_are_the_modes_where_they_lie_apart():
    reference, labels = normals(np.random.default_rng(0), 50)
    found = clusters(reference, K, rng=np.random.default_rng(3))
    pairs = set(zip(labels.tolist(), found.tolist(), strict=True))
    assert len(pairs) == len(set(found.tolist())) == K
    assert np.array_equal(found, clusters(reference, K, rng=np.random.default_rng(3)))


@pytest.mark.parametrize(
    ("samples", "reference", "labels", "message"),
    [
        ((3,), (4, 2), [0, 0, 1, 1], r"must have shapes \(n, D\) and \(m, D\); got \(3,\) and \(4, 2\)"),
        ((3, 3), (4, 2), [0, 0, 1, 1], "Lay events flat"),
        ((3, 2), (4, 2), [0, 0, 1], "labels must be 4 whole numbers"),
        ((3, 2), (4, 2), [0, 0, 1, -1], "labels must be 4 whole numbers"),
        ((3, 2), (4, 2), [0.0, 0.0, 1.0, 1.0], "labels must be 4 whole numbers"),
        ((3, 2), (4, 2), [0, 0, 0, 1], r"two modes or more, each of two values or more; got counts \[3, 1\]"),
        ((3, 2), (4, 2), [0, 0, 0, 0], r"two modes or more"),
    ],
)
def test_what_cannot_be_counted_is_refused(samples, reference, labels, message):
    with pytest.raises(ValueError, match=message):
        count_modes(np.zeros(samples), np.zeros(reference), labels, rng=np.random.default_rng(0))


def test_modes_that_are_not_expected_are_neither_reached_nor_dropped():
    assert reached([9, 2, 1, 0], [20.0, 20.0, 20.0, 0.0]) == pytest.approx(2 / 3)
    assert reached([1, 0], [2.0, 2.0]) == 0.5  # a tenth of less than ten is one


@pytest.mark.parametrize("k", [1, 7])
def test_a_number_of_clusters_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match=rf"at most the 6 values of the reference; got {k}"):
        clusters(np.zeros((6, 2)), k, rng=np.random.default_rng(0))


@pytest.mark.parametrize("total", [2, 5, 20, 400])
@pytest.mark.parametrize("share", [[0.25] * 4, [0.5, 0.3, 0.15, 0.05], [1 / 24] * 24], ids=len)
def test_faithful_samples_of_any_number_have_the_entropy_and_the_reach_of_the_reference_in_the_mean(share, total):
    counts = np.random.default_rng(0).multinomial(total, share, size=2000)
    for measure in (relative_entropy, relative_reach):
        values = np.array([measure(row, share) for row in counts])
        assert abs(values.mean() - 1) < 4 * values.std() / np.sqrt(2000) + 1e-6, measure


def test_collapsed_samples_have_no_entropy_and_reach_one_mode_and_modes_that_are_not_expected_do_not_count():
    assert relative_entropy([40, 0, 0, 7], [1, 1, 1, 0]) == 0
    assert relative_reach([40, 0, 0, 7], [1, 1, 1, 0]) == pytest.approx(1 / 3, abs=1e-6)
    assert relative_entropy([300, 300, 300, 7], [1, 1, 1, 0]) == pytest.approx(1, abs=2e-3)
    assert relative_entropy([30, 30], [1, 1]) == relative_entropy([30, 30], [30.0, 30.0])


@pytest.mark.parametrize("counts", [[0, 0], [1, 0]])
def test_of_fewer_than_two_samples_nothing_is_known_of_modes(counts):
    assert relative_entropy(counts, [1, 1]) is None and relative_reach(counts, [1, 1]) is None
    assert relative_entropy([9, 3], [1, 0]) is None and relative_reach([9, 3], [1, 0]) == 1
