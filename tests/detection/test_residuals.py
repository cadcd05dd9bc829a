"""Boxes that residuals give hold the truth as often as they say, whatever the draws leave out."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.detection import Residuals
from embodied_gen.detection.residuals import LEAST
from embodied_gen.statistics import central_intervals, coverage

LEVELS, DRAWS = (0.5, 0.8, 0.9), 39


def world(seed, things=1500, *, shared=2.0, missing=0.0):
    """Draws that spread by s around a place that misses the truth by `shared` times as much, with heavy tails."""
    stream = torch.Generator().manual_seed(seed)
    doubt = 0.002 + 0.02 * torch.rand(things, 1, generator=stream, dtype=torch.float64)  # of each thing
    truth = torch.cat([torch.rand(things, 2, generator=stream), 0.1 + 0.2 * torch.rand(things, 2, generator=stream)], 1)
    normal = torch.randn(2, things, 4, generator=stream, dtype=torch.float64)
    tails = normal[0] * (1 + (torch.rand(things, 4, generator=stream) < 0.1) * 3)
    lengths = torch.cat([truth[:, 2:], truth[:, 2:]], 1)
    place = truth + shared * doubt * lengths * tails
    apart = torch.randn(things, DRAWS, 4, generator=stream, dtype=torch.float64)
    boxes = place.unsqueeze(1) + (doubt * lengths).unsqueeze(1) * apart
    there = torch.rand(things, DRAWS, generator=stream) >= missing
    return boxes, there, truth.double()


def held(boxes, truth, there=None):
    known = None if there is None else there.unsqueeze(1).expand(-1, 4, -1).numpy()
    return coverage(boxes.transpose(1, 2).numpy(), truth.numpy(), LEVELS, there=known)


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_boxes_hold_the_truth_as_often_as_they_say(missing):
    law = Residuals.learned(*world(0, missing=missing))
    boxes, there, truth = world(1, missing=missing)
    assert (held(boxes, truth, there) < [0.35, 0.6, 0.7]).all()  # as they are drawn
    drawn = law.drawn(boxes, there, generator=draws.generator(0))
    assert held(drawn, truth) == pytest.approx(LEVELS, abs=0.025)


def test_boxes_are_as_far_apart_as_the_draws_of_each_thing():
    boxes, there, truth = world(2)
    law = Residuals.learned(boxes, there, truth)
    low, high = central_intervals(law.drawn(boxes, there, generator=draws.generator(0)).transpose(1, 2).numpy(), [0.8])
    width = torch.from_numpy(high - low)[0, :, 0] / truth[:, 2]
    doubt = boxes[..., 0].std(1) / truth[:, 2]
    sure, unsure = doubt < doubt.quantile(0.2), doubt > doubt.quantile(0.8)
    assert width[unsure].mean() > 3 * width[sure].mean()


def test_draws_that_say_nothing_of_errors_do_not_change_widths():
    boxes, there, truth = world(3)
    stream = torch.Generator().manual_seed(0)
    flat = boxes.mean(1, keepdim=True) + 0.001 * torch.rand(len(boxes), 1, 1, generator=stream) * torch.randn(
        boxes.shape, generator=stream, dtype=torch.float64
    )
    law = Residuals.learned(flat, there, truth)
    drawn = law.drawn(flat, there, generator=draws.generator(0))
    assert held(drawn, truth) == pytest.approx(LEVELS, abs=0.025)
    spread = flat[..., 0].std(1) / flat[..., 2].mean(1)
    width = drawn[..., 0].std(1) / flat[..., 2].mean(1)
    few, many = spread < spread.median(), spread >= spread.median()
    assert width[few].mean().item() == pytest.approx(width[many].mean().item(), rel=0.15)


def test_the_law_does_not_depend_on_place_and_size_of_boxes_in_the_image():
    boxes, there, truth = world(4)
    moved = [torch.cat([rows[..., :2] / 2 + 0.3, rows[..., 2:] / 2], -1) for rows in (boxes, truth)]
    law, other = Residuals.learned(boxes, there, truth), Residuals.learned(moved[0], there, moved[1])
    torch.testing.assert_close(law.standard, other.standard, rtol=1e-3, atol=1e-3)


def test_boxes_that_no_draw_has_and_other_precisions_are_borne():
    law = Residuals.learned(*world(5))
    boxes, there, _ = world(6, 20)
    there[0] = False
    drawn = law.drawn(boxes.float(), there, generator=draws.generator(0))
    assert drawn.dtype == torch.float32 and drawn.isfinite().all() and (drawn[..., 2:] > 0).all()
    assert torch.equal(drawn, law.drawn(boxes.float(), there, generator=draws.generator(0)))
    assert not torch.equal(drawn, law.drawn(boxes.float(), there, generator=draws.generator(1)))


FEW = world(7, LEAST)
BAD = [
    (lambda: Residuals.learned(FEW[0][..., :3], *FEW[1:]), r"boxes must have shape \(T, n, 4\).* got \(20, 39, 3\)"),
    (lambda: Residuals.learned(*FEW[:2], FEW[2][:3]), r"truth must have shape \(20, 4\).* got \(3, 4\)"),
    (
        lambda: Residuals.learned(*(part[1:] for part in FEW)),
        "at least 20 boxes that two draws have; got 19. Take more",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
