"""Episodes are split, selected and found as wholes, and bad data are named to the channel."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.demos.episodes import Episodes

lengths_of_episodes = st.lists(st.integers(1, 7), min_size=1, max_size=12)


def numbered(lengths):
    """Episodes whose numbers are all different."""
    steps = torch.arange(float(sum(lengths)))[:, None]
    return Episodes(
        torch.cat([steps, -steps], 1), steps + 0.5, torch.tensor([0, *lengths]).cumsum(0), "dataset numbered"
    )


def pieces(episodes):
    """Every episode as a tuple of its first channel."""
    starts = episodes.starts.tolist()
    return [tuple(episodes.observations[a:b, 0].tolist()) for a, b in pairwise(starts)]


@given(lengths_of_episodes)
def test_place_is_the_inverse_of_counting(lengths):
    episodes, step = numbered(lengths), 0
    for episode, length in enumerate(lengths):
        for within in range(length):
            assert episodes.place(step) == (episode, within)
            step += 1
    assert (len(episodes), episodes.lengths.tolist()) == (len(lengths), lengths)


@given(lengths_of_episodes, st.randoms(use_true_random=False))
def test_selected_episodes_are_whole_and_in_the_order_asked_for(lengths, chance):
    episodes = numbered(lengths)
    wanted = [chance.randrange(len(lengths)) for _ in range(chance.randint(1, 6))]
    selected = episodes.select(torch.tensor(wanted))
    assert pieces(selected) == [pieces(episodes)[e] for e in wanted]
    assert selected.actions.equal(selected.observations[:, :1] + 0.5)
    assert selected.source == episodes.source


@given(st.lists(st.integers(1, 7), min_size=2, max_size=30), st.floats(0.01, 0.49), st.integers(0, 2**40))
def test_a_split_puts_every_episode_on_one_side_and_depends_on_the_seed_alone(lengths, share, seed):
    episodes = numbered(lengths)
    kept, held_out = episodes.split(share, seed=seed)
    assert sorted(pieces(kept) + pieces(held_out)) == sorted(pieces(episodes))
    assert len(held_out) == max(1, round(share * len(lengths)))
    for part in (kept, held_out):  # in the order in which they were recorded
        assert pieces(part) == sorted(pieces(part))
    again = episodes.split(share, seed=seed)
    assert [pieces(part) for part in again] == [pieces(kept), pieces(held_out)]


def test_another_seed_gives_another_split():
    episodes = numbered([3] * 40)
    assert len({tuple(pieces(episodes.split(0.25, seed=seed)[1])) for seed in range(10)}) == 10


def test_nothing_is_held_out_where_the_share_is_zero():
    episodes = numbered([3])
    assert episodes.split(0, seed=0) == (episodes, None)


@pytest.mark.parametrize(("count", "share"), [(1, 0.05), (2, 0.9), (3, 0.99)])
def test_too_few_episodes_to_hold_any_out_are_refused(count, share):
    with pytest.raises(ValueError, match=rf"numbered has {count} episodes, too few to hold out .*held_out to 0"):
        numbered([3] * count).split(share, seed=0)


def test_the_digest_tells_any_change():
    episodes = numbered([3, 4])
    own = episodes.digest()
    assert numbered([3, 4]).digest() == own
    changed = [
        numbered([4, 3]),
        numbered([3, 5]),
        Episodes(episodes.observations + 1, episodes.actions, episodes.starts, ""),
        Episodes(episodes.observations, episodes.actions * 2, episodes.starts, ""),
    ]
    assert len({own, *(other.digest() for other in changed)}) == 5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["observations", "actions"])
def test_a_number_that_is_not_finite_is_named_to_the_channel(field, value):
    fields = {"observations": torch.zeros(9, 3), "actions": torch.zeros(9, 2)}
    fields[field][5, 1] = value
    fields[field][8, 0] = value
    with pytest.raises(ValueError) as caught:
        Episodes(**fields, starts=torch.tensor([0, 4, 9]), source="dataset embodied/bad-v0")
    assert str(caught.value) == (
        f"dataset embodied/bad-v0: {field} must be finite; got {value} in episode 1, step 1, channel 1. "
        "Repair or drop that episode."
    )


def test_no_episodes_are_refused():
    with pytest.raises(ValueError, match=r"dataset none holds no episodes. Collect some"):
        Episodes(torch.zeros(0, 2), torch.zeros(0, 2), torch.tensor([0]), "dataset none")
    with pytest.raises(ValueError, match="holds no episodes"):
        numbered([3]).select(torch.tensor([], dtype=torch.long))


@pytest.mark.parametrize(
    ("observed", "starts", "got"),
    [
        (8, [0, 4, 9], "8 observations, 9 actions and starts from 0 to 9"),
        (9, [0, 4, 10], "9 observations, 9 actions and starts from 0 to 10"),
        (9, [1, 4, 9], "9 observations, 9 actions and starts from 1 to 9"),
    ],
)
def test_observations_and_actions_of_other_numbers_are_refused(observed, starts, got):
    with pytest.raises(ValueError, match=f"dataset bad must have as many observations as actions, .*; got {got}"):
        Episodes(torch.zeros(observed, 3), torch.zeros(9, 2), torch.tensor(starts), "dataset bad")


def test_a_horizon_that_no_episode_reaches_is_refused():
    episodes = numbered([3, 8, 5])
    episodes.check_horizon(8)
    with pytest.raises(ValueError, match="the longest of 3 episodes has 8 steps, fewer than the horizon of 9"):
        episodes.check_horizon(9)
