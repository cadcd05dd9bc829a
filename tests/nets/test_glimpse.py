"""Glimpses, and the network that looks through them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.nets import GlimpseNet
from embodied_gen.nets.glimpse import Glimpse

SIZE = (24, 20)
shares = st.floats(0.3, 0.7)
sides = st.floats(0.2, 0.5)


def glimpse(box, cells=8):
    return Glimpse(torch.tensor([box]), cells=cells, height=SIZE[0], width=SIZE[1])


@settings(max_examples=20, deadline=None)
@given(shares, shares, sides, sides)
def test_a_flat_image_is_read_flat_and_pasted_flat_inside(cx, cy, w, h):
    window = glimpse([cx, cy, w, h])
    torch.testing.assert_close(window.read(torch.ones(1, 2, *SIZE)), torch.ones(1, 2, 8, 8), atol=0.1, rtol=0)
    pasted = window.paste(torch.ones(1, 1, 8, 8))[0, 0]
    y = (torch.arange(SIZE[0]) + 0.5) / SIZE[0]
    x = (torch.arange(SIZE[1]) + 0.5) / SIZE[1]
    inside = ((y - cy).abs() < h / 2)[:, None] & ((x - cx).abs() < w / 2)
    beyond = ((y - cy).abs() > h / 2 + 0.2)[:, None] | ((x - cx).abs() > w / 2 + 0.2)
    assert pasted[inside].min() > 0.8 and pasted.max() <= 1 and pasted.min() >= 0
    assert pasted[beyond].max() < 0.05


@settings(max_examples=20, deadline=None)
@given(shares, shares, sides, sides)
def test_a_ramp_is_read_at_the_places_of_the_cells(cx, cy, w, h):
    ramp = ((torch.arange(SIZE[1]) + 0.5) / SIZE[1]).expand(1, 1, *SIZE)
    cells = cx + w * ((torch.arange(8) + 0.5) / 8 - 0.5)
    read = glimpse([cx, cy, w, h]).read(ramp)[0, 0]
    torch.testing.assert_close(read, cells.expand(8, 8), atol=0.02, rtol=0)


def test_a_smooth_image_comes_back_where_the_window_is():
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE[0]), torch.linspace(-1, 1, SIZE[1]), indexing="ij")
    image = (-(x.square() + y.square()) / 0.4).exp().expand(1, 1, *SIZE)
    window = glimpse([0.5, 0.5, 1.2, 1.2], cells=20)
    assert (window.paste(window.read(image)) - image).abs().max() < 0.12


def test_far_outside_of_the_image_nothing_is_read():
    window = Glimpse(torch.tensor([[3.0, 3.0, 0.2, 0.2]]), cells=4, height=SIZE[0], width=SIZE[1])
    assert window.read(torch.ones(1, 1, *SIZE)).abs().max() < 1e-6


def test_glimpses_have_the_slopes_of_finite_differences():
    g = torch.Generator().manual_seed(0)
    image = torch.rand(2, 1, 6, 5, generator=g, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[0.4, 0.5, 0.8, 0.7], [0.6, 0.3, 0.9, 0.4]], dtype=torch.float64, requires_grad=True)

    def there_and_back(boxes, image):
        window = Glimpse(boxes, cells=3, height=6, width=5)
        return window.paste(window.read(image).tanh())

    assert torch.autograd.gradcheck(there_and_back, (boxes, image))


def net(**kwargs):
    return GlimpseNet(**{"height": 16, "width": 12, "channels_in": 3, "features": 8, "memory": 8, "cells": 4} | kwargs)


def test_a_step_does_not_depend_on_the_images_beside_it():
    torch.manual_seed(0)
    looking, images = net(), torch.randn(3, 3, 16, 12)
    canvas = (torch.rand(3, 16, 12) < 0.3).float()
    _, *together = looking.look(looking.begin(images), canvas)
    _, *alone = looking.look(looking.begin(images[1:2]), canvas[1:2])
    assert [tuple(part.shape) for part in together] == [(3, 4), (3,), (3, 16, 12)]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:2], other)


def test_what_lies_far_from_the_glimpse_is_no_part_of_the_mask():
    torch.manual_seed(0)
    looking = net(height=64, width=64, cells=8)
    _, box, _, mask = looking.look(looking.begin(torch.randn(2, 3, 64, 64)), torch.zeros(2, 64, 64))
    assert (mask.sigmoid().amin((1, 2)) < 1e-3).all()
    assert (box[:, 2:] > 0).all() and (box[:, 2:] < 1).all()


def test_it_sees_the_canvas_and_remembers():
    torch.manual_seed(0)
    looking, images, canvas = net(), torch.randn(2, 3, 16, 12), torch.zeros(2, 16, 12)
    torch.nn.init.normal_(looking.say[-1].weight)
    state, _, first, _ = looking.look(looking.begin(images), canvas)
    _, _, again, _ = looking.look(state, canvas)
    _, _, covered, _ = looking.look(looking.begin(images), 1 - canvas)
    assert not torch.allclose(first, again) and not torch.allclose(first, covered)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"must have shape \(B, 3, 16, 12\), channels first; got \(2, 4, 16, 12\)"):
        net().begin(torch.zeros(2, 4, 16, 12))
    with pytest.raises(ValueError, match="multiples of 4, features and cells even numbers; got 18, 12, 8 and 4"):
        net(height=18)
    with pytest.raises(ValueError, match="looks must be >= 1; got 0"):
        net(looks=0)
