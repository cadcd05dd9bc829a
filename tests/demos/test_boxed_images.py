"""Images with boxes as examples: values, mirrors, splits and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures_of_boxes import drawn

from embodied_gen.demos.boxed_images import BoxedImages, values_of
from embodied_gen.events import BoxSet


def examples(**options):
    return BoxedImages(*drawn(6), **options)


def test_an_example_is_an_image_and_its_boxes():
    images, values = drawn(6)
    of = examples()
    batch = of.batch(torch.tensor([4, 1]))
    assert len(of) == of.images == 6 and of.size == (3, 64, 80)
    assert torch.equal(batch.observations, images[[4, 1]]) and torch.equal(batch.value, values[[4, 1]])
    assert batch.valid.all() and torch.equal(of.values(), values)
    assert of.observations().shape == (6, 3) and of.place(4) == (4, 0)


def seen(image, row):
    """The mean colour under a box."""
    (height, width), (x, y, w, h) = image.shape[1:], row[:4].tolist()
    left, right = (round((x + s * w / 2) * width) for s in (-1, 1))
    top, bottom = (round((y + s * h / 2) * height) for s in (-1, 1))
    return image[:, top:bottom, left:right].float().mean((1, 2))


@pytest.mark.parametrize("mirrors", [("x",), ("y",), ("x", "y")])
def test_what_lies_under_a_box_is_the_same_in_the_mirror(mirrors):
    of = examples(mirrors=mirrors)
    assert len(of) == 6 * 2 ** len(mirrors)
    plain, every = of.batch(torch.arange(6)), of.batch(torch.arange(len(of)))
    assert torch.equal(every.observations[:6], plain.observations)
    flipped = plain.observations.flip([{"x": 3, "y": 2}[axis] for axis in mirrors])
    assert torch.equal(every.observations[-6:], flipped)
    for images, values in zip(every.observations.split(6), every.value.split(6), strict=True):
        assert torch.equal(values[..., 2:], plain.value[..., 2:])
        for image, rows, first, before in zip(images, values, plain.observations, plain.value, strict=True):
            for row, old in zip(rows, before, strict=True):
                if row[5] > 0:
                    torch.testing.assert_close(seen(image, row), seen(first, old))
    assert of.place(7) == (1, 1)


def test_parts_are_disjoint_whole_and_functions_of_the_seed():
    of = examples(mirrors=("x",))
    kept, held_out = of.split(0.3, seed=1)
    assert (kept.images, held_out.images, len(kept), len(held_out)) == (4, 2, 8, 2)
    rows = torch.cat([kept.values(), held_out.values()]).flatten(1)
    assert len(rows.unique(dim=0)) == 6
    assert torch.equal(of.split(0.3, seed=1)[1].values(), held_out.values())
    assert of.split(0, seed=1) == (of, None)
    assert of.digest() == examples().digest() != kept.digest()
    with pytest.raises(ValueError, match=r"images has 6 images, too few to hold out 6\. Take more"):
        of.split(0.95, seed=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 5))
def test_pixels_become_shares_that_a_box_set_takes(seed, most):
    stream = torch.Generator().manual_seed(seed)
    first = torch.rand(3, most, 2, generator=stream) * torch.tensor([100.0, 70.0])
    boxes = torch.cat([first, first + 1 + 19 * torch.rand(3, most, 2, generator=stream)], -1)
    labels, counts = torch.randint(4, (3, most), generator=stream), torch.randint(most + 1, (3,), generator=stream)
    values = values_of(boxes, labels, counts, rows=90, columns=120)
    assert torch.equal(values[..., 5].sum(1).long(), counts)
    there = values[..., 5] > 0
    sides = values[..., 2:4] * torch.tensor([120.0, 90.0])
    torch.testing.assert_close(sides[there], (boxes[..., 2:] - boxes[..., :2])[there], rtol=1e-4, atol=1e-3)
    assert torch.equal(values[..., 4][there].long(), labels[there]) and (values[~there] == 0).all()
    assert BoxSet(4, 8).encode(values).isfinite().all()


IMAGES, VALUES = drawn(2)


def changed(column, number):
    """The values with one number of the first thing of the second image changed."""
    values = VALUES.clone()
    values[1, 0] = torch.tensor([0.5, 0.5, 0.2, 0.2, 0, 1])
    values[1, 0, column] = number
    return values


B, L, N = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long), torch.tensor([0, 3])
BAD = [
    (lambda: BoxedImages(IMAGES.float(), VALUES), r"bytes, torch.uint8, of shape \(n, C, H, W\).*got torch.float32"),
    (lambda: BoxedImages(IMAGES[:0], VALUES[:0]), r"n >= 1; got torch.uint8 of shape \(0, 3, 64, 80\)"),
    (lambda: BoxedImages(IMAGES[0], VALUES), r"got torch.uint8 of shape \(3, 64, 80\)"),
    (lambda: BoxedImages(IMAGES, VALUES[:1]), r"values must have shape \(2, M, 6\).*got \(1, 3, 6\)"),
    (lambda: BoxedImages(IMAGES, VALUES, mirrors=("z",)), r"different axes, x and y; got \['z'\]"),
    (
        lambda: BoxedImages(IMAGES, changed(2, -0.2), source="my set"),
        r"my set: boxes .*got \[0.5, 0.5, -0.2",
    ),
    (lambda: BoxedImages(IMAGES, changed(0, math.nan)), "must be finite with a positive width and height; got"),
    (lambda: BoxedImages(IMAGES, changed(0, 0.95)), r"must lie in the image.*got the corners \[0.85, 0.4, 1.05, 0.6\]"),
    (lambda: BoxedImages(IMAGES, changed(5, 0.3)), "images: scores of values must be 1 for a thing and 0 .*got 0.3"),
    (lambda: BoxedImages(IMAGES, changed(5, math.nan)), "scores of values must be 1 for a thing .*got nan"),
    (lambda: BoxedImages(IMAGES, changed(4, -1)), "whole numbers from 0 on; got -1. Number the classes"),
    (lambda: values_of(B, L[:, :2], N, rows=9, columns=9), r"got \(2, 3, 4\), \(2, 2\), \(2,\)"),
    (lambda: values_of(B, L, N + 1, rows=9, columns=9), "between 0 and the 3 rows of boxes; got 1 to 4"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
