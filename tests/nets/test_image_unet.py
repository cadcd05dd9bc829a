"""The image U-Net: sizes, what a pixel depends on, and what it refuses."""

import pytest
import torch

from embodied_gen.nets import ImageUNet


def net_of(**sizes):
    torch.manual_seed(0)
    return ImageUNet(**{"channels_in": 3, "channels_out": 5, "width": 8, "multipliers": (1, 2, 2), "groups": 4} | sizes)


def asked(net, images, *, x=None, t=0.0):
    rows, _, height, width = images.shape
    x = torch.zeros(rows, height, width, net.channels_in) if x is None else x
    return net(x, torch.full((rows,), t), {"image": images})


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (5, 7), (1, 1)])
def test_every_pixel_has_an_answer_whatever_the_size(size):
    images = torch.rand(2, 3, *size) * 255
    assert asked(net_of(), images).shape == (2, *size, 5)


def test_an_image_does_not_depend_on_those_beside_it():
    net, images = net_of(), torch.rand(3, 3, 12, 16) * 255
    torch.testing.assert_close(asked(net, images)[1:2], asked(net, images[1:2]))


def test_values_and_times_enter_and_gradients_reach_every_weight():
    net, images = net_of(), torch.rand(1, 3, 12, 16) * 255
    plain, x = asked(net, images), torch.ones(1, 12, 16, 3)
    assert not torch.allclose(plain, asked(net, images, x=x)) and not torch.allclose(plain, asked(net, images, t=0.5))
    asked(net, images, x=x, t=0.5).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_an_outline_is_as_fine_as_the_image():
    # Two images that differ in one pixel differ there more than anywhere else.
    net, images = net_of(), torch.full((2, 3, 16, 16), 128.0)
    images[1, :, 5, 9] = 255
    with torch.no_grad():
        first, second = asked(net, images)
    change = (first - second).abs().sum(-1)
    near = torch.zeros(16, 16, dtype=torch.bool)
    near[3:8, 7:12] = True
    assert near.flatten()[change.argmax()]


def test_what_does_not_fit_is_named():
    net, images, t = net_of(), torch.zeros(2, 3, 4, 6), torch.zeros(2)
    x = torch.zeros(2, 4, 6, 3)
    with pytest.raises(ValueError, match=r"reads the leaf 'image' of a mapping context; got a tensor"):
        net(x, t, torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"reads the leaf 'image' of a mapping context; got leaves \['depth'\]"):
        net(x, t, {"depth": images})
    with pytest.raises(ValueError, match=r"images must have shape \(M, C, H, W\) = \(2, 3, 4, 6\); got \(2, 1, 4, 6\)"):
        net(x, t, {"image": images[:, :1]})
    with pytest.raises(ValueError, match=r"x must have shape \(M, H, W, 3\); got \(2, 4, 6, 2\)"):
        net(x[..., :2], t, {"image": images})
    with pytest.raises(ValueError, match=r"positive multiple of groups=4 at every level; got \[6, 12\]"):
        net_of(width=6, multipliers=(1, 2))
    with pytest.raises(ValueError, match="multipliers must be >= 1; got 0"):
        net_of(multipliers=())
