import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from embodied_gen import draws

LIKE = torch.zeros((), dtype=torch.float64)
DRAWS = {
    "normal": lambda g, rows=6: draws.normal((rows, 2, 3), generator=g, like=LIKE),
    "uniform": lambda g, rows=6: draws.uniform((rows, 2, 3), generator=g, like=LIKE),
    "categorical": lambda g, rows=6: draws.categorical(torch.zeros(rows, 1000), generator=g),
}
EVERY = pytest.mark.parametrize("name", DRAWS)


# --- Streams ------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**40), max_size=5))
def test_a_stream_is_a_function_of_its_path(path):
    first, again = draws.generator(*path), draws.generator(*path)
    assert torch.equal(torch.rand(5, generator=first), torch.rand(5, generator=again))


def test_different_paths_are_different_streams():
    # Also paths of which one begins with the other or ends in zeros, and whose bits are equal in another order.
    entries = [0, 1, 2, 2**32, 2**32 + 1, 2**63]
    paths = [path for length in range(4) for path in itertools.product(entries, repeat=length)]
    states = {tuple(torch.rand(4, generator=draws.generator(*path)).tolist()) for path in paths}
    assert len(states) == len(paths)


def test_streams_of_neighbouring_paths_are_independent():
    first = torch.stack([torch.randn(1000, generator=draws.generator(7, i)) for i in range(20)])
    correlation = torch.corrcoef(first) - torch.eye(20)
    assert correlation.abs().max() < 5 / 1000**0.5
    assert stats.kstest(torch.stack([row[0] for row in first]).numpy(), stats.norm.cdf).pvalue > 0.01


def test_reseeding_goes_back_to_the_beginning_of_a_stream():
    stream = draws.generator(3, 4)
    first = torch.rand(5, generator=stream)
    torch.rand(100, generator=stream)
    assert draws.reseed(stream, 3, 4) is stream
    assert torch.equal(first, torch.rand(5, generator=stream))


def test_streams_split_off_are_functions_of_the_stream_alone_and_independent():
    one, again = (draws.split(draws.generator(3), 4) for _ in range(2))
    numbers = [[torch.rand(500, generator=g) for g in streams] for streams in (one, again)]
    assert all(a.equal(b) for a, b in zip(*numbers, strict=True))
    assert numbers[0][0].equal(torch.rand(500, generator=draws.split(draws.generator(3), 9)[0]))  # whatever follows
    correlation = torch.corrcoef(torch.stack(numbers[0]))
    assert (correlation - torch.eye(4)).abs().max() < 5 / 500**0.5


def test_a_negative_path_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        draws.generator(-1)


@EVERY
def test_the_global_state_is_neither_read_nor_written(name):
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(DRAWS[name](draws.generator(5)))
        order = draws.permutation(10, generator=draws.generator(6))
        results.append(order)
        assert torch.equal(before[0], torch.get_rng_state())
        assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert torch.equal(results[0], results[2]) and torch.equal(results[1], results[3])


# --- Distributions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("draw", "distribution"),
    [(draws.normal, stats.norm), (draws.uniform, stats.uniform), (draws.gumbel, stats.gumbel_r)],
)
def test_entries_are_independent_draws_of_their_distribution(draw, distribution, dtype):
    x = draw((500, 2, 4), generator=draws.generator(1), like=torch.zeros((), dtype=dtype))
    assert x.shape == (500, 2, 4) and x.dtype == dtype
    assert stats.kstest(x.double().flatten().numpy(), distribution.cdf).pvalue > 0.01
    correlation = torch.corrcoef(x.double().flatten(1).T) - torch.eye(8)
    assert correlation.abs().max() < 5 / 500**0.5


@pytest.mark.parametrize("streams", [False, True])
def test_categories_are_drawn_as_often_as_their_weight(streams):
    weight = torch.tensor([0.5, 0.0, 1.5, 0.25, 0.0, 0.75])
    rows = 6000
    stream = [draws.generator(2, i) for i in range(60)] if streams else draws.generator(2)
    drawn = draws.categorical(weight.log().expand(rows, -1) + 3.0, generator=stream)
    assert drawn.shape == (rows,) and drawn.dtype == torch.int64
    counts = torch.bincount(drawn, minlength=6)
    positive = weight > 0
    assert (counts[~positive] == 0).all()
    expected = (weight[positive] / weight.sum() * rows).double()
    assert stats.chisquare(counts[positive].numpy(), expected.numpy()).pvalue > 0.01


def test_rows_of_categories_follow_their_own_weights():
    log_weights = torch.full((3, 4), -torch.inf)
    log_weights[0, 2] = log_weights[1, 0] = log_weights[2, 3] = -1e4
    assert draws.categorical(log_weights, generator=draws.generator(0)).tolist() == [2, 0, 3]
    assert draws.categorical(log_weights + 2e4, generator=draws.generator(0)).tolist() == [2, 0, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("u", [0.0, 0.5, 1.0])
def test_a_weight_of_zero_is_never_drawn_even_at_the_ends_of_the_unit_interval(u, dtype, monkeypatch):
    largest = 1 - torch.finfo(dtype).eps / 2  # the last number below one
    monkeypatch.setattr(
        draws, "uniform", lambda shape, *, generator, like: torch.full(shape, min(u, largest), dtype=like.dtype)
    )
    for weights in ([0, 1, 1, 0], [0, 0, 1, 0], [0, 0.1, 0.7, 0], [0, 1, 1e-9, 0], [0, *[1 / 7] * 7, 0]):
        weight = torch.tensor(weights, dtype=dtype)
        index = draws.categorical(weight.log().expand(3, -1), generator=draws.generator(0))
        assert (weight[index] > 0).all()


def test_a_row_without_weight_gives_the_first_index_and_does_not_disturb_the_others():
    log_weights = torch.zeros(400, 3)
    alone = draws.categorical(log_weights, generator=draws.generator(1))
    log_weights[::2] = -torch.inf
    mixed = draws.categorical(log_weights, generator=draws.generator(1))
    assert (mixed[::2] == 0).all()
    assert torch.equal(mixed[1::2], alone[1::2])


@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_a_permutation_holds_every_index_once(length):
    order = draws.permutation(length, generator=draws.generator(1))
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(length))


def test_all_permutations_are_equally_likely():
    stream = draws.generator(1)
    orders = [tuple(draws.permutation(3, generator=stream).tolist()) for _ in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


# --- One generator for each context -------------------------------------------------------------------------------


@EVERY
def test_the_rows_of_a_context_depend_on_its_own_generator_only(name):
    together = DRAWS[name]([draws.generator(i) for i in (1, 2, 3)])
    other = DRAWS[name]([draws.generator(i) for i in (7, 2, 8)])
    alone = DRAWS[name]([draws.generator(2)], 2)
    single = DRAWS[name](draws.generator(2), 2)
    assert torch.equal(together[2:4], other[2:4])
    assert torch.equal(together[2:4], alone)
    assert torch.equal(alone, single)
    assert not torch.equal(together[:2], other[:2])


@EVERY
def test_generators_that_do_not_divide_the_rows_are_named(name):
    with pytest.raises(ValueError, match=r"multiple of the number of generators \(4\); got 6"):
        DRAWS[name]([draws.generator(i) for i in range(4)])


@EVERY
def test_drawing_goes_on_where_a_generator_stopped(name):
    stream = draws.generator(1)
    first, second = DRAWS[name](stream), DRAWS[name](stream)
    assert not torch.equal(first, second)
    draws.reseed(stream, 1)
    assert torch.equal(DRAWS[name](stream), first)


def test_signs_are_plus_and_minus_one_equally_often():
    signs = draws.signs((20_000,), generator=draws.generator(1), like=torch.zeros((), dtype=torch.float64))
    assert signs.dtype == torch.float64 and (signs.abs() == 1).all()
    assert abs(signs.sum().item()) < 4 * 20_000**0.5
