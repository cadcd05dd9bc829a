"""Places that are chosen from boxes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners import BoxGrasp

SEEDS = st.integers(0, 10_000)
SIZE = (160, 120)


def boxes_of(seed, things=3, n=8):
    stream = torch.Generator().manual_seed(seed)
    corner = torch.rand(things, n, 2, generator=stream) * 80
    sides = 5 + torch.rand(things, n, 2, generator=stream) * 40
    weights = torch.rand(things, n, generator=stream)
    return torch.cat([corner, corner + sides], -1), weights


@given(SEEDS)
def test_one_box_gives_its_middle_with_full_support(seed):
    boxes, _ = boxes_of(seed, n=1)
    place = BoxGrasp(SIZE).choose(boxes)
    middle = (boxes[:, 0, :2] + boxes[:, 0, 2:]) / 2 / torch.tensor(SIZE)
    torch.testing.assert_close(place.at, middle)
    assert place.support.tolist() == [1.0] * 3


@given(SEEDS, st.floats(0.1, 1))
def test_the_place_is_the_safest_of_the_middles_and_their_mean(seed, core):
    boxes, weights = boxes_of(seed)
    place = BoxGrasp(SIZE, core=core).choose(boxes, weights)
    for row, weight, at, support in zip(boxes, weights, place.at, place.support, strict=True):
        weight = weight / weight.sum()
        middles = (row[:, :2] + row[:, 2:]) / 2
        candidates = [weight @ middles, *middles]

        def relative(point, row=row, middles=middles):
            return (2 * (point - middles).abs() / (row[:, 2:] - row[:, :2])).amax(1) / core

        safety = [float(weight @ (1 - relative(point)).clamp(min=0)) for point in candidates]
        chosen = at * torch.tensor(SIZE)
        assert float(weight @ (1 - relative(chosen)).clamp(min=0)) == pytest.approx(max(safety), abs=1e-4)
        assert -1e-6 <= support <= 1 + 1e-6


@given(SEEDS)
def test_order_scale_of_weights_and_padding_mean_nothing(seed):
    boxes, weights = boxes_of(seed)
    grasp = BoxGrasp(SIZE)
    place = grasp.choose(boxes, weights)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(grasp.choose(boxes[:, order], weights[:, order]), place)
    torch.testing.assert_close(grasp.choose(boxes, 7 * weights), place)
    padded = torch.cat([boxes, torch.zeros(3, 2, 4)], 1)
    torch.testing.assert_close(grasp.choose(padded, torch.cat([weights, torch.zeros(3, 2)], 1)), place)


def test_boxes_of_two_things_give_a_place_on_the_likelier_and_its_share():
    left, right = [10.0, 10.0, 30.0, 30.0], [60.0, 10.0, 80.0, 30.0]
    place = BoxGrasp(SIZE).choose(torch.tensor([[left, right, right, right]]))
    torch.testing.assert_close(place.at, torch.tensor([[70 / 160, 20 / 120]]))
    assert place.support.item() == pytest.approx(0.75)


def test_boxes_around_one_thing_give_about_their_mean():
    stream = torch.Generator().manual_seed(0)
    boxes = torch.tensor([50.0, 40.0, 90.0, 70.0]) + 3 * torch.randn(1, 64, 4, generator=stream)
    place = BoxGrasp(SIZE).choose(boxes)
    assert (place.at * torch.tensor(SIZE) - torch.tensor([70.0, 55.0])).abs().max() < 1.5
    assert place.support.item() == pytest.approx(1.0)


def test_boxes_that_make_no_sense_are_refused():
    grasp, box = BoxGrasp(SIZE), torch.tensor([[[10.0, 10.0, 30.0, 30.0]]])
    for wrong in (torch.tensor([[[10.0, 10.0, 10.0, 30.0]]]), torch.tensor([[[10.0, 30.0, 20.0, 10.0]]])):
        with pytest.raises(
            ValueError, match=r"a box must have x0 < x1 and y0 < y1; got \[10.0, .*Give it the weight 0"
        ):
            grasp.choose(wrong)
    for shape in (box[0], box[..., :3], torch.zeros(1, 4)):
        with pytest.raises(ValueError, match=r"boxes must have shape \(B, N, 4\) and weights \(B, N\); got"):
            grasp.choose(shape)
    for weights in ([[0.0]], [[-1.0]], [[float("nan")]]):
        with pytest.raises(ValueError, match="weights must be finite, none negative and one positive for each thing"):
            grasp.choose(box, torch.tensor(weights))
    for size, core in (((0, 5), 0.5), (SIZE, 0.0), (SIZE, 1.5)):
        with pytest.raises(ValueError, match=r"size must be a width|core must be a share of a box in"):
            BoxGrasp(size, core=core)


@given(SEEDS)
def test_of_several_things_the_likeliest_pick_comes_first(seed):
    boxes, weights = boxes_of(seed)
    weights[1] = 0  # no draw holds this one
    grasp = BoxGrasp(SIZE)
    ranked, each = grasp.ranked(boxes, weights), grasp.choose(boxes[[0, 2]], weights[[0, 2]])
    chance = each.support * weights[[0, 2]].mean(1)
    order = chance.argsort(descending=True)
    torch.testing.assert_close(ranked.support, chance[order])
    torch.testing.assert_close(ranked.at, each.at[order])


def test_a_thing_that_few_draws_hold_is_less_likely_than_one_that_all_do():
    box = torch.tensor([[10.0, 10.0, 30.0, 30.0], [60.0, 10.0, 80.0, 30.0]])
    place = BoxGrasp(SIZE).ranked(box[:, None].expand(2, 4, 4), torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0]]))
    assert place.support.tolist() == [0.75, 0.25] and place.at[0, 0] == pytest.approx(70 / 160)
    assert BoxGrasp(SIZE).ranked(torch.zeros(1, 4, 4), torch.zeros(1, 4)).at.shape == (0, 2)
    with pytest.raises(ValueError, match=r"weights must lie in \[0, 1\]; got 2"):
        BoxGrasp(SIZE).ranked(box[None], torch.full((1, 2), 2.0))
