"""Forecasters that learn nothing."""

import math

import pytest
import torch
from crowds import observed

from embodied_gen import draws
from embodied_gen.forecasting.baselines import ConstantVelocity, Line, Standing, TurnedVelocity
from embodied_gen.forecasting.check import check_forecaster
from embodied_gen.forecasting.forecaster import Observed

ALL = (ConstantVelocity(), Line(), TurnedVelocity(), Standing())


def drawn(forecaster, seen, n=5, seed=0):
    return forecaster.forecast(seen, n, generator=draws.generator(seed))


@pytest.mark.parametrize("forecaster", ALL, ids=lambda f: type(f).__name__)
def test_the_laws_of_forecasters_hold(forecaster):
    check_forecaster(forecaster, observed())


@pytest.mark.parametrize("forecaster", (*ALL[:2], TurnedVelocity(0)), ids=lambda f: type(f).__name__)
def test_who_walks_straight_at_constant_speed_is_foreseen(forecaster):
    step = torch.tensor([[[0.3, -0.2], [0.0, 0.0]]]).double()
    times = torch.arange(-7.0, 13.0).double()
    walk = torch.tensor([[[1.0, 5.0], [2.0, 2.0]]])[:, :, None] + times[:, None] * step[:, :, None]
    found = drawn(forecaster, Observed(walk[:, :, :8], torch.ones(1, 2, dtype=torch.bool)))
    torch.testing.assert_close(found, walk[:, None, :, 8:].expand_as(found))


def test_who_stands_is_foreseen_to_stay():
    seen = observed()
    found = drawn(Standing(), seen)
    torch.testing.assert_close(found, seen.last[:, None, :, None].expand_as(found))


def test_the_line_is_that_of_least_squares():
    seen, t = observed(), torch.arange(8.0).double()
    design = torch.stack([torch.ones(8).double(), t], 1)
    answer = torch.linalg.lstsq(design, seen.tracks[2, 1]).solution
    later = torch.arange(8.0, 20.0).double()
    torch.testing.assert_close(drawn(Line(), seen)[2, 0, 1], answer[0] + later[:, None] * answer[1])


def test_turned_velocities_keep_their_length_and_spread_by_the_angle():
    seen = observed()
    steps = drawn(TurnedVelocity(25), seen, n=4000)[:, :, :, 0] - seen.last.unsqueeze(1)
    length = seen.step.norm(dim=-1).unsqueeze(1)
    torch.testing.assert_close(steps.norm(dim=-1), length.expand(steps.shape[:-1]))
    cos = (steps * seen.step.unsqueeze(1)).sum(-1) / length.square()
    assert float(cos.mean()) == pytest.approx(math.exp(-(math.radians(25) ** 2) / 2), abs=0.002)  # of a normal angle


def test_an_impossible_deviation_is_refused():
    for degrees in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="degrees must be at least 0 and finite"):
            TurnedVelocity(degrees)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((2, 3, 7, 2), r"tracks must have shape \(B, A, 8, 2\).*got \(2, 3, 7, 2\)"),
        ((2, 0, 8, 2), "with a scene and a pedestrian at least"),
        ((3, 8, 2), "tracks must have shape"),
    ],
)
def test_what_is_not_observed_whole_is_refused(shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        Observed(torch.zeros(shape), torch.ones(shape[:2], dtype=torch.bool))


def test_masks_walls_and_numbers_that_are_none_are_refused():
    tracks, present = torch.zeros(2, 3, 8, 2), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"present must have shape \(2, 3\); got \(3, 2\)"):
        Observed(tracks, present.T)
    with pytest.raises(ValueError, match=r"walls must have shape \(2, K, 2, 2\)"):
        Observed(tracks, present, torch.zeros(1, 4, 2, 2))
    tracks[1, 2, 5] = torch.nan
    with pytest.raises(ValueError, match=r"pedestrian 2 of scene 1 is not at step 5\. Mark who is not there"):
        Observed(tracks, present)


class _Peeks:
    """Broken on purpose: sees who is not there, or the order."""

    def __init__(self, what):
        self.what = what

    def forecast(self, seen, n, *, generator):
        plain = ConstantVelocity().forecast(seen, n, generator=generator).clone()
        if self.what == "absent":
            return plain + seen.tracks.mean((1, 2))[:, None, None, None]
        if self.what == "order":
            plain[:, :, 0] += 1
        if self.what == "batch":
            plain += seen.tracks.mean()
        if self.what == "global":
            plain += torch.randn(())
        return plain


@pytest.mark.parametrize(
    ("what", "law"),
    [("absent", "not there"), ("order", "order"), ("batch", "beside it"), ("global", "same generator")],
)
def test_the_check_finds_what_is_broken(what, law):
    with pytest.raises(AssertionError, match=law):
        check_forecaster(_Peeks(what), observed())
