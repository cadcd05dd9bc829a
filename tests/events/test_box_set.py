"""Sets of boxes: codes, the matched error and its laws, what is merged and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.boxes import Hungarian, Matching, corners, giou, iou
from embodied_gen.events import BoxSet, extent_of

seeds = st.integers(0, 10_000)
CLASSES = 3


def event(count=8, classes=CLASSES, **options):
    return BoxSet(classes, count, **options).double()


def things(seed, *, images=4, most=4, classes=CLASSES):
    """Values with about two thirds of the rows there, shape `(images, most, 6)`."""
    stream = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(images, most, *shape, generator=stream, dtype=torch.float64)

    size = 0.05 + 0.3 * uniform(2)
    middle = size / 2 + (1 - size) * uniform(2)
    label = (uniform(1) * classes).floor()
    return torch.cat([middle, size, label, (uniform(1) < 0.7).double()], -1)


def estimate(of, seed, images=4):
    """Boxes and scores anywhere within the bounds."""
    stream = torch.Generator().manual_seed(seed)
    y = torch.rand(images, *of.shape, generator=stream, dtype=torch.float64)
    return of.scale(torch.cat([y[..., :2], 0.05 + 0.3 * y[..., 2:4], 0.02 + 0.96 * y[..., 4:]], -1))


def permuted(x, seed):
    order = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(seed)).argsort(1)
    return x.gather(1, order.unsqueeze(-1).expand_as(x))


def sorted_rows(value):
    """The things of each image, in one order."""
    return [sorted(row.tolist() for row in rows if row[5] > 0.5) for rows in value]


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([1, 3, 4, 80]))
def test_values_come_back_with_things_first(seed, classes):
    of, value = event(classes=classes), things(seed, classes=classes)
    x = of.encode(value)
    assert x.shape == (4, 8, 4 + classes) and x.abs().max() <= 2
    decoded = of.decode(x)
    for ours, theirs in zip(sorted_rows(decoded), sorted_rows(value), strict=True):
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))
    score = decoded[..., 5]
    assert torch.equal(score, score.sort(1, descending=True).values)
    torch.testing.assert_close(of.encode(decoded), x)
    torch.testing.assert_close(of.scale(of.unscale(x)), x)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([1.0, 3.0]))
def test_sizes_of_the_extent_are_at_the_end_of_model_units_and_larger_ones_beyond(seed, signal):
    of, value = event(signal=signal, extent=(0.2, 0.4)), things(seed)
    x = of.encode(value)
    there = (x[..., 4:] > 0).any(-1)
    torch.testing.assert_close(of.scale(of.unscale(x)), x)
    for ours, theirs in zip(sorted_rows(of.decode(x)), sorted_rows(value), strict=True):
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-5, atol=1e-6)
    y = of.unscale(x)
    for axis, side in ((2, 0.2), (3, 0.4)):
        assert torch.equal(x[..., axis] > signal, y[..., axis] > of.high[axis])
        torch.testing.assert_close(x[..., axis], signal * (2 * y[..., axis] / side - 1), rtol=1e-5, atol=1e-6)
    assert (x[..., :4][~there] == 0).all() and (x[..., :2].abs() <= signal).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_extent_changes_neither_errors_nor_what_is_merged_or_likely(seed):
    plain, sized = event(), event(extent=(0.3, 0.25))
    value, x_hat = things(seed), estimate(event(), seed)
    other = sized.scale(plain.unscale(x_hat))
    torch.testing.assert_close(sized.error(other, sized.encode(value)), plain.error(x_hat, plain.encode(value)))
    torch.testing.assert_close(sized.decode(sized.merged(other[:, None])), plain.decode(plain.merged(x_hat[:, None])))
    assert torch.equal(sized.likely(other), plain.likely(x_hat))


def test_estimates_are_confined_to_the_image_and_not_to_the_extent():
    of = event(extent=(0.2, 0.4))
    inside = of.scale(torch.cat([torch.tensor([0.5, 0.5, 1.0, 0.9]), torch.full((3,), 0.5)]).double().expand(1, 8, 7))
    assert torch.equal(of.confined(inside, 2.0), inside)
    wild = torch.randn(4, 8, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 30
    y = of.unscale(of.confined(wild, 2.0))
    assert (y >= -1e-6).all() and (y <= 1 + 1e-6).all()
    torch.testing.assert_close(event().confined(wild, 2.0), wild.clamp(-2, 2))


def test_the_extent_of_things_is_what_few_of_them_exceed_and_twice_the_median_at_least():
    value = things(3, images=2000)
    value[..., 2:4] = (5 * value[..., 2:4]) ** 2 / 4  # most are small
    width, height = extent_of(value)
    some = value[value[..., 5] > 0.5]
    assert (some[:, 2] > width).double().mean() == pytest.approx(0.01, abs=0.001)
    assert (some[:, 3] > height).double().mean() == pytest.approx(0.01, abs=0.001)
    assert extent_of(value, share=1.0) == (some[:, 2].max(), some[:, 3].max())
    value[..., 2:4] = torch.tensor([0.2, 0.7])
    assert extent_of(value) == pytest.approx((0.4, 1.0))
    assert extent_of(value * 0) == (1.0, 1.0) and extent_of(value[:, :0]) == (1.0, 1.0)
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"share must lie in \(0, 1\]; got {share}"):
            extent_of(value, share=share)


def by_loop(of, x_hat, x, matching):
    """The error of one image, one slot after the other, for a matching that is given."""
    y_hat, y = of.unscale(x_hat), of.unscale(x)
    total, matched = 0.0, 0
    for slot, own in enumerate(matching.tolist()):
        target = y[own, 4:] if own >= 0 else torch.zeros(of.classes)
        for p, q in zip(y_hat[slot, 4:], target, strict=True):
            total += 2 * (-0.25 * (1 - p) ** 2 * p.log() if q > 0 else -0.75 * p**2 * (1 - p).log())
        if own >= 0:
            matched += 1
            ours, theirs = corners(y_hat[slot, :4]), corners(y[own, :4])
            total += 5 * (ours - theirs).abs().sum() + 2 * (1 - giou(ours, theirs))
    return total / max(matched, of.least)


class Fixed(Matching):
    """A matching that is known beforehand."""

    def __init__(self, owner):
        self.owner = owner

    def match(self, cost, overlap, inside, there):
        return self.owner


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([1.0, 3.5, 8.0]))
def test_the_error_is_focal_loss_and_overlap_of_what_is_matched(seed, least):
    stream = torch.Generator().manual_seed(seed)
    value = things(seed)
    value[..., 5] = 1
    owner = torch.randint(-1, 4, (4, 8), generator=stream)
    of = event(matching=Fixed(owner), least=least)
    x, x_hat = of.encode(value), estimate(of, seed)
    expected = [by_loop(of, *rows) for rows in zip(x_hat, x, owner, strict=True)]
    torch.testing.assert_close(of.error(x_hat, x), torch.stack(expected))


class Seen(Matching):
    """Remembers what it is asked, and matches nothing."""

    def match(self, cost, overlap, inside, there):
        self.asked = cost, overlap, inside, there
        return torch.full(cost.shape[:2], -1)


def test_a_matching_is_asked_by_the_costs_of_class_place_and_overlap():
    # One thing of class 0, [0.4, 0.6]^2, and two slots: its box moved by 0.05 to the right, and one far away.
    of = event(count=2, classes=2, matching=Seen())
    x = of.encode(torch.tensor([[[0.5, 0.5, 0.2, 0.2, 0, 1]]], dtype=torch.float64))
    y_hat = torch.tensor([[[0.55, 0.5, 0.2, 0.2, 0.7, 0.1], [0.1, 0.1, 0.1, 0.1, 0.2, 0.3]]], dtype=torch.float64)
    of.error(of.scale(y_hat), x)
    cost, overlap, inside, there = (part[0] for part in of.matching.asked)
    of_class = [2 * (-0.25 * (1 - p) ** 2 * math.log(p) + 0.75 * p**2 * math.log(1 - p)) for p in (0.7, 0.2)]
    of_place = [5 * (0.05 + 0.05), 5 * (0.35 + 0.35 + 0.45 + 0.45)]
    of_overlap = [-2 * 0.03 / 0.05, -2 * -(0.55**2 - 0.01 - 0.04) / 0.55**2]  # the second has none, in a hull of 0.55
    expected = [sum(parts) for parts in zip(of_class, of_place, of_overlap, strict=True)]
    assert cost[:, 0].tolist() == pytest.approx(expected)
    assert overlap[:, 0].tolist() == pytest.approx([0.6, 0.0])
    assert inside[:, 0].tolist() == [True, False] and there[0]


MATCHINGS = pytest.mark.parametrize("matching", [None, Hungarian()], ids=["dynamic k", "one to one"])


@MATCHINGS
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_neither_order_matters(matching, seed):
    of = event(matching=matching)
    x, x_hat = of.encode(things(seed)), estimate(of, seed)
    error = of.error(x_hat, x)
    assert (error > 0).all()
    torch.testing.assert_close(of.error(permuted(x_hat, seed), permuted(x, seed + 1)), error)


@MATCHINGS
def test_sets_whose_things_lie_apart_have_no_error_at_equality(matching):
    of = event(matching=matching)
    value = torch.tensor([[[0.2, 0.2, 0.2, 0.2, 0, 1], [0.2, 0.8, 0.2, 0.2, 1, 1], [0.9, 0.1, 0.2, 0.2, 2, 1.0]]])
    x = of.encode(value.double())
    torch.testing.assert_close(of.error(permuted(x, 1), x), torch.zeros(1, dtype=torch.float64), atol=1e-9, rtol=0)
    assert (of.residual(x, x).abs() < 1e-9).all()


@MATCHINGS
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_the_slope_is_that_of_finite_differences(matching, seed):
    of = event(matching=matching)
    x, x_hat = of.encode(things(seed)), estimate(of, seed).requires_grad_()
    (slope,) = torch.autograd.grad(of.error(x_hat, x).sum(), x_hat)
    direction = torch.randn(x_hat.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        owner = of._owner(of.unscale(x_hat), *of._things(x, None))
        fixed = event(matching=Fixed(owner))  # where the matching does not change, as it does on a set of measure zero
        ahead, behind = (fixed.error(x_hat + h * direction, x).sum() for h in (1e-6, -1e-6))
    assert (slope * direction).sum().item() == pytest.approx((ahead - behind).item() / 2e-6, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("classes", "there"), [(1, 0), (1, 1), (3, 4), (4, 4), (80, 4), (3, 1000)])
def test_errors_and_slopes_are_finite_for_any_number_of_things_and_classes(classes, there):
    of = BoxSet(classes, max(there, 8))
    value = things(1, images=1, most=there, classes=classes).float()
    value[..., 5] = 1
    x = of.encode(value)
    wild = torch.randn(1, *of.shape, generator=torch.Generator().manual_seed(0)) * 3  # beyond all bounds, too
    for x_hat in (wild, x.clone(), torch.zeros_like(x)):
        x_hat.requires_grad_()
        error = of.error(x_hat, x)
        error.sum().backward()
        assert error.shape == (1,) and error.isfinite().all() and x_hat.grad.isfinite().all()
        assert of.residual(x_hat.detach(), x).isfinite().all()


def test_sets_that_never_hold_a_thing_have_an_error():
    of = event(objects=0)
    x = of.encode(things(1)[:, :0])
    error = of.error(estimate(of, 1), x)
    assert (error > 0).all() and (of.residual(x, x) == 0).all()
    with pytest.raises(ValueError, match="an image has 1 things; the box set has room for 0"):
        of.encode(box(0.5, 0.5, 0.2, 0.2))


def test_estimates_beyond_the_bounds_are_pulled_back():
    of = event(count=1)
    x = of.encode(things(1, images=1, most=1) * 0)  # nothing
    x_hat = torch.full((1, 1, 7), -5.0, dtype=torch.float64, requires_grad=True)
    of.error(x_hat, x).backward()
    assert (x_hat.grad[0, 0, 2:] < 0).all()


def test_slots_that_are_not_valid_hold_nothing():
    of, value = event(), things(1)
    value[..., 5] = 1
    x, x_hat = of.encode(value), estimate(of, 2)
    first = torch.arange(8).expand(4, 8) < 1
    fewer = of.encode(torch.where(torch.arange(4).view(-1, 1) < 1, value, 0.0))
    torch.testing.assert_close(of.error(x_hat, x, first), of.error(x_hat, fewer))
    torch.testing.assert_close(of.error(x_hat, x, torch.ones_like(first)), of.error(x_hat, x))


def test_the_bound_on_things_changes_nothing_but_the_work():
    value, x_hat = things(1), estimate(event(), 2)
    bounded = event(objects=4)
    torch.testing.assert_close(bounded.encode(value), event().encode(value))
    x = bounded.encode(value)
    torch.testing.assert_close(bounded.error(x_hat, x), event().error(x_hat, x))


@pytest.mark.parametrize("sides", [(1.0, 1.0), (0.2, 0.4)])
def test_empty_slots_are_filled_with_boxes_of_no_class_and_things_stay(sides):
    extent = torch.tensor([1.0, 1.0, *sides])
    of = BoxSet(CLASSES, 4000, extent=sides)
    x = of.encode(things(1).float())
    filled = of.filled(x, generator=draws.generator(0))
    there = (x[..., 4:] > 0).any(-1)
    assert torch.equal(filled[there], x[there]) and torch.equal(filled[..., 4:], x[..., 4:])
    y = of.unscale(filled)[~there]
    torch.testing.assert_close(y[:, :4].mean(0) / extent, torch.full((4,), 0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(y[:, :4].std(0) / extent, torch.full((4,), 1 / 6), atol=0.01, rtol=0)
    assert (y[:, 2:4] > 0).all()
    assert torch.equal(filled, of.filled(x, generator=draws.generator(0)))


def test_residuals_have_the_mean_square_of_what_is_matched():
    of = event(matching=Fixed(torch.tensor([[0, -1, 1, -1, -1, -1, -1, 0]] * 4)))
    value = things(1)
    value[..., 5] = 1
    x, x_hat = of.encode(value), estimate(of, 3)
    matched = x[:, [0, 1, 0]] - x_hat[:, [0, 2, 7]]
    residual = of.residual(x_hat, x)
    torch.testing.assert_close(residual[..., :4].square().mean(1), matched[..., :4].square().mean(1))
    torch.testing.assert_close(residual[:, [0, 2, 7], 4:], matched[..., 4:])
    torch.testing.assert_close(residual[:, 1, 4:], -2 - x_hat[:, 1, 4:])


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_merged_sets_keep_the_likeliest_box_of_each_place_and_class(seed):
    of = event(count=20)
    x = torch.stack([estimate(of, seed), estimate(of, seed + 1)], 1)
    rows = of.decode(of.merged(x))
    score = rows[..., 5]
    assert torch.equal(score, score.sort(1, descending=True).values)
    pool = of.unscale(x)
    torch.testing.assert_close(score[:, 0], pool[..., 4:].amax((1, 2, 3)))
    ends, label = corners(rows[..., :4]), rows[..., 4]
    both = (score[:, :, None] > 0) & (score[:, None] > 0) & (label[:, :, None] == label[:, None])
    apart = iou(ends[:, :, None], ends[:, None]) <= 0.5 + 1e-9
    assert (apart | ~both | torch.eye(20, dtype=torch.bool)).all()
    torch.testing.assert_close(of.merged(x.flip(1)), of.merged(x))
    again = of.merged(of.merged(x).unsqueeze(1))
    torch.testing.assert_close(again, of.merged(x))


def test_one_box_may_be_of_two_classes_and_few_boxes_leave_empty_slots():
    of = event(count=4, classes=2)
    y = torch.tensor([[[0.5, 0.5, 0.2, 0.2, 0.9, 0.8], [0.5, 0.5, 0.21, 0.2, 0.7, 0.0]]], dtype=torch.float64)
    rows = of.decode(of.merged(of.scale(y.repeat(1, 2, 1)).unsqueeze(1)))[0]
    torch.testing.assert_close(rows[:, 5], torch.tensor([0.9, 0.8, 0, 0], dtype=torch.float64))
    assert rows[:2, 4].tolist() == [0, 1]
    assert of.likely(of.scale(y)).tolist() == [[True, True]]


def test_another_number_of_slots_changes_nothing_else():
    matching = Hungarian()
    of = event(objects=4, signal=3.0, extent=(0.5, 0.3), least=7.0, matching=matching)
    of.count = 50
    assert of.shape == (50, 7) and of.objects == 4 and of.signal == 3 and of.matching is matching
    assert of.low.dtype == torch.float64 and of.high[2:4].tolist() == pytest.approx([0.5, 0.3]) and of.least == 7
    of.count = 2
    assert of.objects == 2
    of.count = 6
    assert of.objects == 4 and of.encode(things(1, most=4)).shape == (4, 6, 7)
    with pytest.raises(ValueError, match="at least one slot; got 0"):
        of.count = 0


def box(*numbers, label=0.0):
    return torch.tensor([[[*numbers, label, 1.0]]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (box(0.5, 0.5, 0.0, 0.2), r"positive width and height; got \[0.5, 0.5, 0.0, 0.2\]. Drop"),
        (box(0.5, 0.5, 0.2, -0.1), r"positive width and height; got \[0.5, 0.5, 0.2, -0.1\]"),
        (box(0.5, float("nan"), 0.2, 0.1), "must be finite"),
        (box(0.05, 0.5, 0.2, 0.2), r"must lie in the image.* got the corners \[-0.05, 0.4, 0.15, 0.6\]. Divide pixels"),
        (box(80.0, 60.0, 20.0, 20.0), "Divide pixels by the image's size"),
        (box(0.5, 0.5, 0.2, 0.2, label=3.0), "whole numbers from 0 to 2; got 3"),
        (box(0.5, 0.5, 0.2, 0.2, label=-1.0), "whole numbers from 0 on; got -1. Number"),
        (box(0.5, 0.5, 0.2, 0.2, label=0.5), "whole numbers from 0 on; got 0.5"),
        (box(0.5, 0.5, 0.2, 0.2).expand(1, 9, 6), "an image has 9 things; the box set has room for 8"),
    ],
)
def test_wrong_values_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        event().encode(value)
    with pytest.raises(ValueError, match=message):  # beside right values and beside rows that hold nothing
        event().encode(torch.cat([value, 0 * value, 0 * box(0.5, 0.5, 0.2, 0.2).expand(1, 9, 6)], 1))


def test_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"rows \(cx, cy, w, h, label, score\); got \(2, 3, 5\)"):
        event().encode(torch.zeros(2, 3, 5))


def test_empty_rows_may_hold_anything():
    value = box(float("nan"), -7.0, 0.0, 0.0, label=99.0)
    value[..., 5] = 0
    x = event().encode(value)
    torch.testing.assert_close(x, event().encode(value[:, :0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "at least one class and one slot; got 0 and 8"),
        ({"count": 0}, "at least one class and one slot; got 3 and 0"),
        ({"signal": 0.0}, "signal must be positive; got 0"),
        ({"least": 0.0}, "least must be positive; got 0"),
        ({"extent": (0.0, 0.5)}, r"a width and a height in \(0, 1\], shares of the image; got \[0.0, 0.5\]\. Take"),
        ({"extent": (0.5,)}, r"a width and a height in .* got \[0.5\]"),
        ({"objects": 9}, "between 0 and the 8 slots; got 9"),
    ],
)
def test_impossible_sets_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        event(**options)


def test_many_boxes_of_one_thing_leave_room_for_the_others(monkeypatch):
    # Two things, of which the likelier is found by nearly all boxes of all sets.
    monkeypatch.setattr("embodied_gen.boxes.suppression.BLOCK", 6)
    of = event(count=6, classes=1)
    one = torch.tensor([0.2, 0.2, 0.2, 0.2, 0.9], dtype=torch.float64).repeat(5, 1)
    other = torch.tensor([[0.8, 0.8, 0.2, 0.2, 0.5]], dtype=torch.float64)
    sets = of.scale(torch.cat([one, other])).repeat(1, 4, 1, 1)
    score = of.decode(of.merged(sets))[0, :, 5]
    torch.testing.assert_close(score, torch.tensor([0.9, 0.5, 0, 0, 0, 0], dtype=torch.float64))


def test_of_very_many_boxes_only_the_likeliest_are_compared(monkeypatch, generator):
    # All pairs of the thousands of boxes of a dense detector would fill the memory.
    monkeypatch.setattr("embodied_gen.boxes.suppression.BLOCK", 60)
    of = event(count=200, classes=1, objects=5)
    x = torch.full((2, 1, 200, 5), 0.001, dtype=torch.float64)
    x[..., :2] = torch.linspace(0, 1, 200)[:, None]  # boxes apart
    x[..., 4] = torch.rand(2, 1, 200, generator=generator) / 2 + 0.25
    score = of.decode(of.merged(of.scale(x)))[..., 5]
    best = x[:, 0, :, 4].sort(descending=True).values[:, :120]  # the blocks that hold a hundred
    torch.testing.assert_close(score, torch.cat([best, best.new_zeros(2, 80)], 1))


def kept_by_loop(pool, classes):
    """Scores of one image's boxes that plain greedy suppression keeps, the likeliest first; physical units."""
    pairs = sorted(((row[4 + k].item(), k, row[:4]) for row in pool for k in range(classes)), key=lambda pair: -pair[0])
    kept = []
    for score, k, box in pairs:
        if all(k != other or iou(corners(box), corners(theirs)) <= 0.5 for _, other, theirs in kept):
            kept.append((score, k, box))
    return [score for score, _, _ in kept]


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 3))
def test_sets_are_merged_by_greedy_suppression_of_all_their_boxes(seed, sets):
    of = event(count=6)
    x = torch.stack([estimate(of, seed + own, images=2) for own in range(sets)], 1)
    scores = of.decode(of.merged(x))[..., 5]
    for own, pool in zip(scores, of.unscale(x).flatten(1, 2), strict=True):
        assert own.tolist() == pytest.approx(kept_by_loop(pool, CLASSES)[:6])


def placed(things, copies, sets, seed):
    """Sets of a perfect detector: boxes apart, each several times in every set, with scores; and where they lie."""
    stream = torch.Generator().manual_seed(seed)
    side = math.ceil(math.sqrt(things))
    place = torch.stack([torch.arange(things) % side, torch.arange(things) // side], -1)
    boxes = torch.cat([(place + 0.5) / side, torch.full((things, 2), 0.8 / side)], -1).repeat(copies, 1)
    score = 0.5 + 0.5 * torch.rand(1, sets, len(boxes), 1, generator=stream)
    return torch.cat([boxes.expand(1, sets, -1, -1), score], -1), boxes[:things]


@pytest.mark.parametrize(("things", "copies", "sets"), [(1000, 1, 4), (1000, 2, 1), (1000, 4, 1), (300, 1, 8)])
def test_a_thousand_things_that_are_seen_several_times_are_all_found(things, copies, sets):
    y, expected = placed(things, copies, sets, 0)
    of = BoxSet(1, things * copies, objects=things)
    rows = of.decode(of.merged(of.scale(y)))[0]
    found = rows[rows[:, 5] > 0]
    assert len(found) == things
    distance = torch.cdist(found[:, :2], expected[:, :2]).amin(0)
    assert (distance < 0.01).all()  # things are 1 / 32 apart
