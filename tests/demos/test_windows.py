"""Every window of every episode equals the definition written out in plain Python."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.windows import Windows


def numbered(lengths):
    """Episodes in which every number says where it stands: 1000 episode + step, and its negative for actions."""
    steps = [1000.0 * episode + step for episode, length in enumerate(lengths) for step in range(length)]
    values = torch.tensor(steps)[:, None]
    starts = torch.tensor([0, *lengths]).cumsum(0)
    return Episodes(torch.cat([values, values + 0.5], 1), -values, starts, "dataset numbered")


def by_definition(lengths, history, horizon):
    """The windows of all steps: observations, actions and which actions are data."""
    seen, done, valid = [], [], []
    for episode, length in enumerate(lengths):
        for t in range(length):
            seen.append([1000.0 * episode + max(t - back, 0) for back in reversed(range(history))])
            done.append([-(1000.0 * episode + min(t + ahead, length - 1)) for ahead in range(horizon)])
            valid.append([t + ahead < length for ahead in range(horizon)])
    return torch.tensor(seen), torch.tensor(done), torch.tensor(valid)


shapes = st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 12))


@given(shapes)
def test_every_window_of_every_episode_equals_the_definition(shape):
    lengths, history, horizon = shape
    windows = Windows(numbered(lengths), history=history, horizon=horizon)
    seen, done, valid = by_definition(lengths, history, horizon)
    batch = windows.batch(torch.arange(len(windows)))
    assert len(windows) == sum(lengths)
    assert batch.observations.shape == (len(windows), history, 2) and batch.value.shape == (len(windows), horizon, 1)
    assert batch.observations[..., 0].equal(seen) and batch.observations[..., 1].equal(seen + 0.5)
    assert batch.value[..., 0].equal(done)
    assert batch.valid.dtype == torch.bool and batch.valid.equal(valid)
    assert windows.values().equal(batch.value)


@given(shapes)
def test_no_window_crosses_an_episode_and_each_holds_its_own_step(shape):
    lengths, history, horizon = shape
    windows = Windows(numbered(lengths), history=history, horizon=horizon)
    batch = windows.batch(torch.arange(len(windows)))
    owners = torch.cat([torch.full((length,), float(episode)) for episode, length in enumerate(lengths)])
    assert (batch.observations[..., 0] // 1000).eq(owners[:, None]).all()
    assert (-batch.value[..., 0] // 1000).eq(owners[:, None]).all()
    assert batch.observations[:, -1, 0].equal(-batch.value[:, 0, 0])
    assert batch.valid[:, 0].all()


@given(shapes, st.lists(st.integers(0, 8), min_size=1, max_size=20))
def test_a_batch_holds_the_windows_that_were_asked_for_in_that_order(shape, asked):
    lengths, history, horizon = shape
    windows = Windows(numbered(lengths), history=history, horizon=horizon)
    index = torch.tensor(asked) % len(windows)
    whole, part = windows.batch(torch.arange(len(windows))), windows.batch(index)
    for mine, all_of_them in zip(part, whole, strict=True):
        assert mine.equal(all_of_them[index])


def test_before_the_first_step_the_first_observation_is_repeated():
    windows = Windows(numbered([5, 5]), history=4, horizon=1)
    assert windows.batch(torch.tensor([5, 6])).observations[..., 0].tolist() == [[1000] * 4, [1000, 1000, 1000, 1001]]


@pytest.mark.parametrize(("history", "horizon"), [(0, 1), (1, 0), (-1, 3)])
def test_sizes_must_be_positive(history, horizon):
    with pytest.raises(ValueError, match=f"history and horizon must be at least 1; got {history} and {horizon}"):
        Windows(numbered([5]), history=history, horizon=horizon)


def test_they_live_on_one_device():
    assert Windows(numbered([5]), history=1, horizon=2).device == torch.device("cpu")
