"""Segments and transitions equal their definitions written out in plain Python, and never cross episodes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.demos.segments import Segments, question
from embodied_gen.demos.transitions import Transitions
from tests.demos.test_windows import numbered

lengths_of = st.lists(st.integers(1, 14), min_size=1, max_size=5)


@given(lengths_of, st.integers(2, 4), st.integers(1, 3))
def test_every_segment_of_every_episode_equals_the_definition(lengths, horizon, strides):
    expected = [
        [1000.0 * episode + t + stride * k for k in range(horizon)] + [stride / strides]
        for episode, length in enumerate(lengths)
        for stride in range(1, strides + 1)
        for t in range(length - stride * (horizon - 1))
    ]
    arguments = {"state": (0, 1), "reaches": (1,), "horizon": horizon, "strides": strides}
    if not expected:
        with pytest.raises(ValueError, match="the shortest span needs"):
            Segments(numbered(lengths), **arguments)
        return
    segments = Segments(numbered(lengths), **arguments)
    batch = segments.batch(torch.arange(len(segments)))
    expected = torch.tensor(expected)
    assert len(segments) == len(expected)
    assert batch.value[..., 0].equal(expected[:, :-1]) and batch.valid.all()
    start, goal, duration = batch.observations[:, 0, :2], batch.observations[:, 0, 2], batch.observations[:, 0, 3]
    assert start.equal(batch.value[:, 0]) and goal.equal(batch.value[:, -1, 1])
    torch.testing.assert_close(duration, expected[:, -1])
    for number in (0, len(segments) - 1):
        episode, step = segments.place(number)
        assert 1000 * episode + step == batch.value[number, 0, 0]


@given(lengths_of)
def test_every_transition_of_every_episode_equals_the_definition(lengths):
    pairs = [(1000.0 * e + t, 1000.0 * e + t + 1) for e, length in enumerate(lengths) for t in range(length - 1)]
    if not pairs:
        with pytest.raises(ValueError, match="the shortest span needs 2"):
            Transitions(numbered(lengths), state=(0,))
        return
    transitions = Transitions(numbered(lengths), state=(0,))
    batch = transitions.batch(torch.arange(len(transitions)))
    assert batch.observations[..., 0].tolist() == [list(pair) for pair in pairs]
    assert batch.value.flatten().tolist() == [-first for first, _ in pairs] and batch.valid.all()
    assert [transitions.place(i) for i in range(len(pairs))] == [divmod(int(first), 1000) for first, _ in pairs]


def test_bounds_and_statistics_come_from_segments_that_cover_all_steps():
    segments = Segments(numbered([400]), state=(0, 1), reaches=(0,), horizon=5, strides=3)
    values = segments.values()
    assert values.amin() == 0 and values.amax() >= 395  # all but what an episode has left over
    assert len(segments.observations()) == len(values) < len(segments) / 3


def test_a_question_is_a_start_a_goal_and_a_duration():
    asked = question(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), torch.tensor([0.5]))
    assert asked.tolist() == [[[1.0, 2.0, 3.0, 0.5]]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 1}, "horizon must be at least 2 and strides at least 1; got 1 and 2"),
        ({"strides": 0}, "horizon must be at least 2 and strides at least 1; got 3 and 0"),
        ({"state": (0, 2)}, r"state must name channels of the 2 of an observation; got \[0, 2\]"),
        ({"state": ()}, r"state must name channels of the 2 of an observation; got \[\]"),
        ({"reaches": (2,)}, r"reaches must name channels of the 2 of the state; got \[2\]"),
        ({"horizon": 9}, "the longest of 1 episodes has 8 steps; the shortest span needs 9. Shorten control.horizon"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    arguments = {"state": (0, 1), "reaches": (0,), "horizon": 3, "strides": 2} | changes
    with pytest.raises(ValueError, match=message):
        Segments(numbered([8]), **arguments)
    if "state" in changes:
        with pytest.raises(ValueError, match=message):
            Transitions(numbered([8]), state=changes["state"])
