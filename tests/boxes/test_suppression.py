"""Suppression of duplicates against the plain loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_geometry import random_boxes

from embodied_gen.boxes import iou, suppress

seeds = st.integers(0, 10_000)


def example(seed, images=3, count=40, classes=3):
    stream = torch.Generator().manual_seed(seed)
    boxes = random_boxes(images * count, seed, smallest=0.2).view(images, count, 4)
    scores = torch.randint(0, 20, (images, count), generator=stream) / 20  # some are equal
    return boxes, scores, torch.randint(classes, (images, count), generator=stream)


def by_loop(boxes, scores, labels, threshold):
    overlap, labels = iou(boxes[:, None], boxes).tolist(), labels.tolist()
    kept = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(labels[i] != labels[j] or overlap[i][j] <= threshold for j in kept):
            kept.append(i)
    return torch.tensor([i in kept for i in range(len(boxes))])


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_what_is_kept_is_what_the_loop_keeps(seed, threshold):
    boxes, scores, labels = example(seed)
    kept = suppress(boxes, scores, labels, threshold=threshold)
    for image, expected in enumerate(by_loop(*parts, threshold) for parts in zip(boxes, scores, labels, strict=True)):
        assert torch.equal(kept[image], expected)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_nothing_that_is_kept_overlaps_and_what_goes_has_a_likelier_duplicate(seed):
    boxes, scores, labels = example(seed)
    kept = suppress(boxes, scores, labels)
    duplicate = (iou(boxes[:, :, None], boxes[:, None]) > 0.5) & (labels[:, :, None] == labels[:, None])
    others = ~torch.eye(40, dtype=torch.bool)
    assert not (duplicate & others & kept[:, :, None] & kept[:, None]).any()
    likelier = scores[:, None] >= scores[:, :, None]
    assert ((duplicate & others & likelier & kept[:, None]).any(2) | kept).all()
    again = suppress(boxes, torch.where(kept, scores, -1.0), labels)
    assert (again & kept).equal(kept)


def test_a_chain_is_followed_to_its_end_and_images_do_not_meet():
    # Each box overlaps with the next alone: every other one is kept, which takes as many rounds as there are boxes.
    start = torch.arange(30, dtype=torch.float64)
    boxes = torch.stack([start, torch.zeros_like(start), start + 2, torch.ones_like(start)], -1)[None]
    scores = torch.linspace(1, 0.1, 30)[None]
    kept = suppress(boxes, scores, torch.zeros(1, 30, dtype=torch.long), threshold=0.3)
    assert kept[0, ::2].all() and not kept[0, 1::2].any()
    assert suppress(boxes, scores, torch.arange(30)[None], threshold=0.3).all()
    assert suppress(boxes[:, :0], scores[:, :0], torch.zeros(1, 0, dtype=torch.long)).shape == (1, 0)


def test_a_threshold_that_is_no_overlap_is_refused():
    with pytest.raises(ValueError, match=r"an IoU in \[0, 1\]; got 1.5"):
        suppress(*example(0), threshold=1.5)


@pytest.mark.parametrize("pairs", [1, 2 * 40**2, 1 << 30])
def test_it_does_not_matter_how_many_images_are_compared_at_once(monkeypatch, pairs):
    whole = suppress(*example(5))
    monkeypatch.setattr("embodied_gen.boxes.suppression._PAIRS", pairs)
    assert torch.equal(suppress(*example(5)), whole)


def test_no_boxes_and_no_images_are_kept_as_they_are():
    for shape in ((0, 4), (2, 0)):
        scores = torch.zeros(shape)
        assert suppress(torch.zeros(*shape, 4), scores, scores.long()).shape == shape
