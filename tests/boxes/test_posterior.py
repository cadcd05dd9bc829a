"""Boxes of one detection in several draws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.boxes import corners, followed, iou
from embodied_gen.statistics import coverage

seeds = st.integers(0, 10_000)
OBJECTS, DRAWS = 1500, 19


def around(middle, copies, seed):
    """Boxes of one class with scores, each drawn on its own around its object, `(OBJECTS, DRAWS, copies, 5)`."""
    stream = torch.Generator().manual_seed(seed)
    shape = (OBJECTS, DRAWS, copies)
    moved = middle[:, None, None] + 0.02 * torch.randn(*shape, 2, generator=stream)
    return torch.cat([moved, torch.full((*shape, 2), 0.4), 0.3 + 0.6 * torch.rand(*shape, 1, generator=stream)], -1)


@pytest.mark.parametrize("copies", [1, 3, 8, 20])
def test_several_boxes_an_object_do_not_narrow_its_spread(copies):
    # The truth and the detection are two more boxes of the law that those of all draws come from.
    middle = 0.3 + 0.4 * torch.rand(OBJECTS, 2, generator=torch.Generator().manual_seed(0))
    truth, detection = around(middle, 1, 1)[:, :2, 0, :4].unbind(1)
    boxes, found = followed(around(middle, copies, 2), detection.unsqueeze(1), torch.zeros(OBJECTS, 1).long())
    assert found.float().mean() > 0.99
    held = coverage(boxes[:, 0, :, :2].transpose(1, 2).numpy(), truth[:, :2].numpy(), [0.5, 0.8, 0.9])
    assert held == pytest.approx([0.5, 0.8, 0.9], abs=0.04)


def by_loop(rows, detection, label, likely):
    """The box of a detection in one draw, one pair of a box and a class after the other; None where there is none."""
    pairs = sorted(((s, n, k) for n, row in enumerate(rows[:, 4:].tolist()) for k, s in enumerate(row)), reverse=True)
    kept = []
    for score, n, k in pairs:
        ends = corners(rows[n, :4])
        if score >= likely and all(k != other or iou(ends, corners(rows[m, :4])) <= 0.5 for m, other in kept):
            kept.append((n, k))
    near = [(iou(corners(rows[n, :4]), corners(detection)).item(), n) for n, k in kept if k == label]
    best, n = max(near, default=(0.0, -1))
    return rows[n, :4] if best > 0.5 else None


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_what_is_followed_is_what_the_loop_follows(seed):
    stream = torch.Generator().manual_seed(seed)
    draws = torch.rand(2, 3, 12, 6, generator=stream)
    draws = torch.cat([0.4 + 0.2 * draws[..., :2], 0.2 + 0.2 * draws[..., 2:4], draws[..., 4:]], -1)
    detections, labels = draws[:, 0, :5, :4], torch.randint(2, (2, 5), generator=stream)
    boxes, found = followed(draws, detections, labels, likely=0.2)
    for b, m, n in [(b, m, n) for b in range(2) for m in range(5) for n in range(3)]:
        expected = by_loop(draws[b, n], detections[b, m], labels[b, m], 0.2)
        assert found[b, m, n] == (expected is not None)
        assert torch.equal(boxes[b, m, n], detections[b, m] if expected is None else expected)


def test_where_no_box_is_likely_the_detection_stands_for_it():
    draws = torch.rand(1, 2, 3, 5) * torch.tensor([1, 1, 1, 1, 0.01])
    detections = torch.rand(1, 4, 4)
    boxes, found = followed(draws, detections, torch.zeros(1, 4).long())
    assert not found.any() and torch.equal(boxes, detections.unsqueeze(2).expand(1, 4, 2, 4))


def test_of_no_images_and_of_no_detections_there_are_no_boxes():
    for images, found in ((0, 3), (2, 0)):
        shape = followed(torch.rand(images, 4, 5, 6), torch.rand(images, found, 4), torch.zeros(images, found).long())
        assert [tuple(part.shape) for part in shape] == [(images, found, 4, 4), (images, found, 4)]


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((1, 4, 5, 4), [[0, 1]], r"must have shapes \(B, n, N, 4 \+ K\).*got \(1, 4, 5, 4\), \(1, 2, 4\), \(1, 2\)"),
        ((1, 4, 5, 6), [[0, 5]], "labels must be from 0 to 1, the classes of the draws; got 0 to 5"),
        ((1, 4, 5, 6), [0, 1], r"got \(1, 4, 5, 6\), \(1, 2, 4\), \(2,\)"),
    ],
)
def test_bad_input_is_named(shape, labels, message):
    with pytest.raises(ValueError, match=message):
        followed(torch.rand(shape), torch.rand(1, 2, 4), torch.tensor(labels))
