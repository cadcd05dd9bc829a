"""Objects one a step: overlaps, matching, scores, canvas, draws."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embodied_gen import draws
from embodied_gen.events import InstanceMap
from embodied_gen.heads import Guide, RecurrentAttentionHead, RegressionHead
from embodied_gen.heads.recurrent_attention import _added, _of_matched, _of_scores
from embodied_gen.heads.soft_overlap import boxes_of, mask_iou
from embodied_gen.nets import GlimpseNet

seeds = st.integers(0, 10_000)
SIZE = (8, 12)


def sets_of_masks(seed, rows=2, objects=3):
    g = torch.Generator().manual_seed(seed)
    return (torch.rand(rows, objects, *SIZE, generator=g) < 0.2).double(), g


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_overlaps_of_sets_are_those_of_counting(seed):
    masks, g = sets_of_masks(seed)
    others = (torch.rand(masks.shape, generator=g) < 0.2).double()
    found = mask_iou(masks.flatten(2), others.flatten(2))
    for row, t, j in itertools.product(range(2), range(3), range(3)):
        one, other = masks[row, t] > 0, others[row, j] > 0
        assert found[row, t, j] == pytest.approx((one & other).sum().item() / max((one | other).sum().item(), 1))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_boxes_hold_their_masks_and_no_more(seed):
    masks, _ = sets_of_masks(seed)
    masks[0, 0] = 0
    boxes = boxes_of(masks)
    assert boxes[0, 0].tolist() == [0, 0, 0, 0]
    for row, j in [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]:
        rows, columns = masks[row, j].nonzero().unbind(1)
        x0, x1, y0, y1 = (float(n) for n in (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1))
        wanted = [(x0 + x1) / 2 / SIZE[1], (y0 + y1) / 2 / SIZE[0], (x1 - x0) / SIZE[1], (y1 - y0) / SIZE[0]]
        assert boxes[row, j].tolist() == pytest.approx(wanted)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_objects_are_matched_among_the_first_steps_for_the_least_sum(seed):
    g = torch.Generator().manual_seed(seed)
    cost, there = 4 * torch.rand(3, 4, 4, generator=g), torch.rand(3, 4, generator=g) < 0.6
    found = _of_matched(cost, there)
    for row in range(3):
        things = there[row].nonzero().flatten().tolist()
        orders = itertools.permutations(range(len(things)))
        sums = [sum(cost[row, t, j] for t, j in zip(order, things, strict=True)) for order in orders]
        assert found[row].item() == pytest.approx(float(min(sums)) / max(len(things), 1), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_loss_of_scores_is_that_of_the_definition(seed):
    g = torch.Generator().manual_seed(seed)
    logits, count = 3 * torch.randn(3, 5, generator=g, dtype=torch.float64), torch.randint(0, 6, (3,), generator=g)
    s, found = logits.sigmoid(), _of_scores(logits, count)
    for row, n in enumerate(count.tolist()):
        parts = [s[row, : t + 1].min().log() if t < n else (1 - s[row, t:].max()).log() for t in range(5)]
        assert found[row].item() == pytest.approx(-sum(parts).item() / 5)


def test_the_loss_of_scores_is_least_where_they_fall_after_the_last_object():
    falling = torch.tensor([[9.0, 9.0, -9.0, -9.0]])
    others = torch.tensor([[9.0, -9.0, 9.0, -9.0], [9.0, 9.0, 9.0, -9.0], [-9.0, -9.0, 9.0, 9.0]])
    two = torch.tensor([2])
    assert _of_scores(falling, two) < 1e-3 and (_of_scores(others, two.expand(3)) > 1).all()


def test_the_canvas_takes_the_nearest_object_once_and_the_true_mask_where_none_was_drawn():
    masks = torch.zeros(1, 3, *SIZE)
    masks[0, 0, 1:4, 1:4], masks[0, 1, 4:8, 7:12] = 1, 1
    boxes, free = boxes_of(masks), torch.tensor([[True, True, False]])
    near_second, nothing = boxes[:, 1] + 0.01, torch.full((1, *SIZE), -9.0)
    added, left = _added(near_second, nothing, masks, boxes, free, torch.tensor([0.9]))
    assert torch.equal(added, masks[:, 1]) and left.tolist() == [[True, False, False]]
    drawn = 9 * (2 * masks[:, 1] - 1)
    drawn[0, 0, 0] = 9
    own, _ = _added(near_second, drawn, masks, boxes, free, torch.tensor([0.5]))
    assert torch.equal(own, (drawn > 0).float())
    added, left = _added(near_second, drawn, masks, boxes, torch.zeros_like(free), torch.tensor([0.5]))
    assert added.sum() == 0 and not left.any()


def head(objects=3, size=(16, 16), **kwargs):
    torch.manual_seed(0)
    net = GlimpseNet(height=size[0], width=size[1], channels_in=3, features=16, memory=16, cells=8)
    return RecurrentAttentionHead(InstanceMap(*size, objects), net, **kwargs)


def squares(rows):
    """Up to three squares of different colours, each in a quarter of its own."""
    g = torch.Generator().manual_seed(1)
    labels, images = torch.zeros(rows, 16, 16, dtype=torch.long), -torch.ones(rows, 3, 16, 16)
    for j, (top, left) in enumerate([(1, 1), (1, 9), (9, 5)]):
        there = torch.rand(rows, generator=g) < 0.6
        labels[there, top : top + 5, left : left + 6] = j + 1
        images[there, j, top : top + 5, left : left + 6] = 1.0
    return labels, images


def test_it_learns_to_find_and_to_count_squares():
    model, (labels, images) = head(), squares(16)
    x = model.event.encode(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(120):
        optimizer.zero_grad()
        model.loss(x, images, generator=draws.generator(step)).mean().backward()
        optimizer.step()
    found = model.segment(images)
    assert (found.there[:, 1:] <= found.there[:, :-1]).all()
    counts = torch.stack([torch.tensor(len(each.unique()) - 1) for each in found.labels])
    assert (counts == model.event.counts(x)).float().mean() > 0.7
    nothing = model.event.error(model.event.coded(torch.zeros_like(labels)), x)
    assert model.event.error(model.event.coded(found.labels), x).mean() < 0.2 * nothing.mean()
    many = model.sample(images, 8, generator=draws.generator(1))
    agree = (model.event.decode(many.flatten(0, 1)).view(16, 8, 16, 16) > 0) == (labels > 0).unsqueeze(1)
    assert agree.float().mean() > 0.9


def test_draws_have_the_probabilities_of_pixels_and_of_steps():
    class Fixed(nn.Module):
        """One object at most, with probabilities that are given."""

        def __init__(self):
            super().__init__()
            self.pixels = nn.Parameter(torch.linspace(0.05, 0.95, 16).view(4, 4))

        def begin(self, c):
            return {"rows": c}

        def look(self, state, canvas):
            rows = len(state["rows"])
            first = torch.full((rows,), 0.7 if not canvas.any() and "seen" not in state else 1e-6).logit()
            return (
                {**state, "seen": canvas},
                torch.full((rows, 4), 0.5),
                first,
                self.pixels.logit().expand(rows, -1, -1),
            )

    model = RecurrentAttentionHead(InstanceMap(4, 4, 2), Fixed())
    x = model.sample(torch.zeros(1, 1), 20_000, generator=draws.generator(0))[0]
    torch.testing.assert_close(
        model.event.masks(x)[:, 0].float().mean(0), 0.7 * model.net.pixels.detach(), atol=0.02, rtol=0
    )
    best = model.segment(torch.zeros(1, 1))
    assert torch.equal(best.labels[0], (model.net.pixels > 0.5).long())
    # All pixels of an object move together: that with the least probability comes with all others.
    masks = model.event.masks(x)[:, 0].flatten(1)
    assert masks[masks[:, 0]].all()


def test_more_objects_than_a_byte_holds_are_learned_and_drawn_whatever_type_their_numbers_have():
    many = head(objects=300)
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    labels[0, 0, :4] = torch.tensor([50, 100, 200, 255])  # which a byte holds, and 301 labels it does not
    x = many.event.encode(labels)
    assert torch.equal(many.event.decode(x), labels.long()) and many.event.counts(x).tolist() == [4]
    with pytest.raises(ValueError, match="The event holds at most 6 objects: set its objects to the most"):
        head(objects=6).event.encode(labels)
    crowded = 45 + torch.arange(256).view(1, 16, 16)
    loss = many.loss(many.event.encode(crowded), torch.zeros(1, 3, 16, 16), generator=draws.generator(0))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert many.segment(torch.zeros(1, 3, 16, 16)).there.shape == (1, 300)


def test_guides_choose_among_finished_maps():
    model, (_, images) = head(candidates=32), squares(4)
    guide = Guide(cost=lambda y: (y[..., 1:].amax((2, 3)).sum(-1) - 1).abs(), scale=1000.0)  # one object
    free = model.sample(images, 8, generator=draws.generator(0)).flatten(0, 1)
    guided = model.sample(images, 8, generator=draws.generator(0), guide=guide).flatten(0, 1)
    assert ((model.event.counts(guided) - 1).abs().float().mean()) < (model.event.counts(free) - 1).abs().float().mean()


def test_images_without_an_object_teach_to_stop():
    model, images = head(), torch.randn(2, 3, 16, 16)
    x = model.event.encode(torch.zeros(2, 16, 16, dtype=torch.long))
    loss = model.loss(x, images, generator=draws.generator(0))
    seen = model._follow(images, model.event.masks(x).float(), draws.generator(0))
    torch.testing.assert_close(loss, _of_scores(seen.there, torch.zeros(2, dtype=torch.long)))
    assert seen.masks.isfinite().all() and loss.isfinite().all()


def test_overlaps_are_as_exact_in_narrow_products():
    (masks, _), model, (labels, images) = sets_of_masks(0), head(), squares(4)
    x, flat = model.event.encode(labels), masks.float().flatten(2)
    with torch.autocast("cpu", torch.bfloat16):
        narrow, overlap = model.loss(x, images, generator=draws.generator(0)), mask_iou(0.7 * flat, flat)
    assert narrow.dtype == torch.float32 and torch.equal(overlap, mask_iou(0.7 * flat, flat))
    torch.testing.assert_close(narrow, model.loss(x, images, generator=draws.generator(0)), atol=0.1, rtol=0)


def test_networks_and_numbers_that_do_not_fit_are_named():
    event = InstanceMap(16, 16, 3)
    with pytest.raises(ValueError, match="must have the methods begin and look; got Linear"):
        RecurrentAttentionHead(event, nn.Linear(2, 2))
    with pytest.raises(ValueError, match="candidates must be at least 1; got 0"):
        head(candidates=0)
    with pytest.raises(ValueError, match=r"x must have shape \(B, 16, 16, 4\); got \(1, 16, 16, 5\)"):
        head().loss(torch.zeros(1, 16, 16, 5), torch.zeros(1, 3, 16, 16), generator=draws.generator(0))
    with pytest.raises(ValueError, match="channels first"):
        head().segment(torch.zeros(1, 16, 16, 3))


def test_a_map_of_estimates_is_an_event_for_other_heads_too():
    event = InstanceMap(4, 4, 2)
    x = event.encode(torch.randint(0, 3, (3, 4, 4), generator=torch.Generator().manual_seed(0)))
    model = RegressionHead(event, Flat())
    assert model.loss(x, torch.zeros(3, 1), generator=draws.generator(0)).shape == (3,)


class Flat(nn.Module):
    def forward(self, x, t, c):
        return torch.zeros_like(x)
