"""Suppression of duplicates against the plain loop."""

import importlib.machinery
import sys
import types
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_geometry import random_boxes

from embodied_gen.boxes import compiled, iou, suppress
from embodied_gen.nets.roi_align import pyramid_of, roi_align

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


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([1, 3, 7, 39]))
def test_blocks_keep_what_the_whole_keeps(seed, block):
    parts = example(seed)
    whole = suppress(*parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embodied_gen.boxes.suppression.BLOCK", block)
        assert torch.equal(suppress(*parts), whole)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 8))
def test_with_enough_boxes_the_less_likely_blocks_of_an_image_are_dropped(seed, enough):
    boxes, scores, labels = example(seed)
    whole, order = suppress(boxes, scores, labels), scores.argsort(dim=1, descending=True, stable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embodied_gen.boxes.suppression.BLOCK", 5)
        kept = suppress(boxes, scores, labels, enough=enough)
    kept, whole = kept.gather(1, order), whole.gather(1, order)
    for ours, theirs in zip(kept, whole, strict=True):
        seen = 5 * (int((theirs.cumsum(0)[4::5] < enough).sum()) + 1)
        assert torch.equal(ours[:seen], theirs[:seen]) and not ours[seen:].any()


def test_no_boxes_and_no_images_are_kept_as_they_are():
    for shape in ((0, 4), (2, 0)):
        scores = torch.zeros(shape)
        assert suppress(torch.zeros(*shape, 4), scores, scores.long()).shape == shape


class Compiled:
    """A stand-in for torchvision's operator, which goes through the boxes one by one."""

    def __init__(self):
        self.calls = 0

    def __call__(self, boxes, scores, threshold):
        self.calls += 1
        order = scores.argsort(descending=True, stable=True)
        kept = by_loop(boxes[order], scores[order], torch.zeros(len(boxes), dtype=torch.long), threshold)
        return order[kept.bool()]


def installed(monkeypatch, operator):
    """As if a torchvision with this operator were installed."""
    for name in ("torchvision", "torchvision.ops"):
        module = types.ModuleType(name)
        module.__spec__, module.nms = importlib.machinery.ModuleSpec(name, None), operator
        monkeypatch.setitem(sys.modules, name, module)
    compiled.working.cache_clear()


@pytest.fixture(autouse=True)
def forgotten():
    """Each test finds out anew which operators there are."""
    compiled.working.cache_clear()
    yield
    compiled.working.cache_clear()


@pytest.mark.parametrize("block", [7, 1000])
def test_an_operator_that_is_installed_is_used_and_keeps_the_same(monkeypatch, block):
    monkeypatch.setattr("embodied_gen.boxes.suppression.BLOCK", block)
    monkeypatch.setattr(compiled, "working", lambda device: None)
    ours = [suppress(*example(seed), threshold=threshold) for seed in range(3) for threshold in (0.3, 0.5)]
    monkeypatch.undo()
    monkeypatch.setattr("embodied_gen.boxes.suppression.BLOCK", block)
    operator = Compiled()
    installed(monkeypatch, operator)
    theirs = [suppress(*example(seed), threshold=threshold) for seed in range(3) for threshold in (0.3, 0.5)]
    assert operator.calls > 6 and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for shape in ((0, 4), (2, 0)):
        assert suppress(torch.zeros(*shape, 4), torch.zeros(shape), torch.zeros(shape).long()).shape == shape


def broken(boxes, scores, threshold):
    raise NotImplementedError("operator torchvision::nms does not exist")


def keeps_all(boxes, scores, threshold):
    return torch.arange(len(boxes))


@pytest.mark.parametrize(
    ("operator", "message"), [(broken, "nms does not exist"), (keeps_all, "of two equal boxes it does not keep")]
)
def test_an_operator_that_does_not_work_is_told_of_once_and_ours_is_used(monkeypatch, operator, message):
    monkeypatch.setattr(compiled, "working", lambda device: None)
    ours = suppress(*example(1))
    monkeypatch.undo()
    installed(monkeypatch, operator)
    with pytest.warns(UserWarning, match=f"does not work on cpu .*{message}.*ours is used"):
        theirs = suppress(*example(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = suppress(*example(1))
    assert torch.equal(theirs, ours) and torch.equal(again, ours)


def test_a_package_that_cannot_be_imported_is_told_of_and_ours_is_used(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision").mkdir()
    fails = "raise RuntimeError('operator torchvision::nms does not exist')"  # as it does beside another torch
    (tmp_path / "torchvision" / "__init__.py").write_text(fails)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(UserWarning, match=r"nms does not exist\); ours is used\. Install the torchvision that belongs"):
        kept = suppress(*example(1))
    assert kept.any()


def torchvision():
    """The package where it works; skips where not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if compiled.working("cpu") is None:
            pytest.skip("torchvision is not installed, or does not fit this torch")
    return importlib.import_module("torchvision.ops")


def test_torchvisions_operator_keeps_what_the_loop_keeps():
    torchvision()
    for seed in range(10):
        boxes, scores, labels = example(seed)
        kept = suppress(boxes, scores, labels)
        for image in range(3):
            assert torch.equal(kept[image], by_loop(boxes[image], scores[image], labels[image], 0.5))


@pytest.mark.parametrize(("size", "points"), [(5, 1), (7, 2)])
def test_torchvision_reads_the_same_under_boxes_within_the_image(size, points):
    align = torchvision().roi_align
    stream = torch.Generator().manual_seed(0)
    level = torch.randn(2, 3, 12, 16, generator=stream)
    side = 0.1 + 0.5 * torch.rand(2, 20, 2, generator=stream)
    first = (1 - side) * torch.rand(2, 20, 2, generator=stream)
    boxes = torch.cat([first, first + side], -1)
    image = torch.arange(2.0).repeat_interleave(20).unsqueeze(1)
    pixels = torch.cat([image, boxes.flatten(0, 1) * torch.tensor([16.0, 12.0, 16.0, 12.0])], 1)
    theirs = align(level, pixels, size, 1.0, points, True).flatten(2).transpose(1, 2)
    ours = roi_align(pyramid_of([level]), boxes, size=size, points=points).flatten(0, 1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
