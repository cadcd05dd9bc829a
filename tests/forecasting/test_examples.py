"""Examples of pedestrians: frames, neighbours, and that nothing of the future is seen."""

import dataclasses
import math

import pytest
import torch
from crowds import crowd, observed, recording
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.encoder import SceneEncoder, StateEncoder
from embodied_gen.events import Path, Scene
from embodied_gen.events.scene import STATE
from embodied_gen.forecasting.check import check_no_leak
from embodied_gen.forecasting.examples import AgentExamples, CrowdExamples, nearest
from embodied_gen.forecasting.frames import directions, frames_of, moving_frames_of, states_of
from embodied_gen.forecasting.windows import OBSERVED, SCHOELLER, SOCIAL_GAN, windows_of

KINDS = (AgentExamples, CrowdExamples)


@pytest.fixture(scope="module")
def windows():
    return windows_of([recording([(0, 26), (0, 24), (1, 26), (3, 25)])], SOCIAL_GAN)


def all_of(examples):
    return examples.batch(torch.arange(len(examples)))


@given(st.floats(-math.pi, math.pi), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_frames_go_along_with_turns_and_shifts_of_the_world(angle, seed):
    tracks = observed(seed=seed).tracks
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]).double()
    points = 5 * draws.normal((3, 4, 6, 2), generator=draws.generator(seed), like=tracks)
    one, other = frames_of(tracks), frames_of(tracks @ turn + 7)
    torch.testing.assert_close(other.inwards(points @ turn + 7), one.inwards(points))
    torch.testing.assert_close(one.outwards(one.inwards(points)), points)
    torch.testing.assert_close(one.inwards(tracks)[..., -1, :], torch.zeros(3, 4, 2).double())


def test_the_last_step_goes_ahead_and_short_steps_do_not_turn():
    tracks = observed().tracks
    local = frames_of(tracks).inwards(tracks)
    assert (local[..., -2, 0] < 0).all() and local[..., -2, 1].abs().max() < 1e-9
    halted = torch.cat([tracks[..., 1:, :], tracks[..., -1:, :] + torch.tensor([0.0, 0.01])], -2)
    torch.testing.assert_close(frames_of(halted).direction, frames_of(tracks).direction)
    still = torch.zeros(2, 8, 2)
    assert frames_of(still).direction.equal(torch.tensor([[1.0, 0.0]] * 2))


def test_states_say_where_people_head_and_how_fast():
    seen = observed()
    states = states_of(seen.tracks, seen.present)
    assert states.shape == (3, 4, OBSERVED, STATE)
    assert states[..., :2].equal(seen.tracks) and states[..., 6].bool().equal(seen.present[..., None].expand(3, 4, 8))
    torch.testing.assert_close(states[..., 2].cos(), directions(seen.tracks)[..., 0])
    torch.testing.assert_close(states[..., 1:, 3] * 0.4, seen.tracks.diff(dim=2).norm(dim=-1))


@given(st.integers(0, 1000), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_neighbours_are_the_nearest_who_are_there(seed, count):
    seen = observed(seed=seed)
    near = nearest(seen.last, seen.present, count)
    assert near.agents.shape == near.there.shape == (3, 4, count)
    for scene in range(3):
        for agent in range(4):
            others = [a for a in range(4) if a != agent and seen.present[scene, a]]
            others.sort(key=lambda a: float((seen.last[scene, a] - seen.last[scene, agent]).norm()))
            found = near.agents[scene, agent][near.there[scene, agent]].tolist()
            assert found == others[:count]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_future_is_observed(kind, windows):
    check_no_leak(
        lambda tracks: all_of(kind(dataclasses.replace(windows, tracks=tracks), neighbours=2)).observations,
        windows.tracks,
    )


def among(tracks, frame):
    """Distances of all pairs of tracks at a frame, nobody next to itself, `(N, N)`."""
    return torch.cdist(tracks[:, frame], tracks[:, frame]).fill_diagonal_(torch.inf)


LEAKS = {  # feature functions that see the frame named by their key, and no other that is to be predicted
    "central differences, as in public code": (8, lambda tracks: (tracks[:, 2:] - tracks[:, :-2])[:, :OBSERVED]),
    "one's own future": (12, lambda tracks: tracks[:, 12] - tracks[:, 7]),
    "one's own end, turned into a class": (19, lambda tracks: (tracks[:, 19, 1] > tracks[:, 7, 1]).long()),
    "where others will be, from where one will be": (9, lambda tracks: among(tracks, 9)),
    "the observed track of who will be nearest": (14, lambda tracks: tracks[among(tracks, 14).argmin(1), :OBSERVED]),
    "who will be within 2 m": (19, lambda tracks: among(tracks, 19) < 2.0),
    "the order in which all will stand": (11, lambda tracks: tracks[tracks[:, 11, 1].argsort(), :OBSERVED]),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_feature_that_leaks_is_refused(leak, windows):
    frame, features = LEAKS[leak]
    most = int(windows.agents.argmax())
    together = windows.tracks[windows.starts[most] : windows.starts[most + 1]]
    for tracks in (together, windows.tracks):
        with pytest.raises(AssertionError, match=f"check_no_leak: a feature moves with frame {frame}, which is to be"):
            check_no_leak(features, tracks)


def test_a_feature_of_who_is_nearest_now_is_no_leak(windows):
    check_no_leak(lambda tracks: tracks[among(tracks, OBSERVED - 1).argmin(1), :OBSERVED], windows.tracks)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_pedestrians_does_not_change_examples(kind, windows):
    count = int(windows.agents[0])
    order = torch.arange(len(windows.tracks))
    order[:count] = order[:count].flip(0)
    turned = dataclasses.replace(windows, tracks=windows.tracks[order], valid=windows.valid[order])
    one, other = (all_of(kind(w, neighbours=2)) for w in (windows, turned))
    for a, b in zip(one, other, strict=True):
        assert a[order].equal(b)


def test_an_example_does_not_depend_on_where_and_how_the_world_lies(windows):
    turned = windows.tracks.flip(-1) * torch.tensor([1.0, -1.0]) + 5
    one, other = (
        all_of(AgentExamples(dataclasses.replace(windows, tracks=t), neighbours=3)) for t in (windows.tracks, turned)
    )
    torch.testing.assert_close(one.observations, other.observations, atol=1e-4, rtol=0)
    torch.testing.assert_close(one.value, other.value, atol=1e-4, rtol=0)


def test_values_lead_back_to_where_people_went(windows):
    own = windows.tracks.float()
    frames = moving_frames_of(own[:, :OBSERVED])
    batch = all_of(AgentExamples(windows, neighbours=1))
    torch.testing.assert_close(frames.outwards(batch.value), own[:, OBSERVED:], atol=1e-4, rtol=0)
    joint = all_of(CrowdExamples(windows, neighbours=3))
    torch.testing.assert_close(frames_of(own[:, :OBSERVED]).outwards(joint.value[:, 0]), own[:, OBSERVED:])
    assert not joint.value[~joint.valid.any(-1)].any()


def test_who_leaves_early_repeats_the_last_step_and_is_marked():
    windows = windows_of([crowd(2, 14)], SCHOELLER)
    batch = all_of(AgentExamples(windows, neighbours=0))
    assert batch.valid.equal(windows.valid[:, OBSERVED:]) and not batch.valid.all()
    row = int((~batch.valid).any(-1).nonzero()[0])
    end = int(batch.valid[row].sum())
    steps = batch.value[row].diff(dim=0)
    torch.testing.assert_close(steps[end - 1 :], steps[end - 2].expand_as(steps[end - 1 :]), atol=1e-4, rtol=0)


def test_encoders_and_events_of_the_house_take_the_examples(windows):
    agent, joint = AgentExamples(windows, neighbours=2), CrowdExamples(windows, neighbours=2)
    seen = agent.observations()
    batch = all_of(agent)
    assert StateEncoder(8, seen.mean(0), seen.std(0))(batch.observations).shape == (len(agent), 8 * 9)
    for examples, kind in ((agent, Path), (joint, Scene)):
        event, value = kind.from_data(examples.values()), all_of(examples).value
        torch.testing.assert_close(event.decode(event.encode(value)), value, atol=1e-4, rtol=0)
    context = SceneEncoder(8, 3, 3 * STATE)(all_of(joint).observations)
    assert context.shape[:2] == (len(joint), 3) and context.isfinite().all()


def test_examples_say_where_they_are_from(windows):
    examples = AgentExamples(windows, neighbours=0)
    assert examples.source == "made up" and len(examples) == len(windows.tracks)
    assert examples.place(0) == (0, int(windows.places[0, 1]))
    with pytest.raises(ValueError, match="neighbours must be at least 0; got -1"):
        AgentExamples(windows, neighbours=-1)
