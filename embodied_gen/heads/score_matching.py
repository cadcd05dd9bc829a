r"""Score matching: energies learned by their slopes, without any draw of the model.

With the score s = -grad E, n entries of an event and expectations over data,

    implicit     E[ tr grad s(x) + |s(x)|^2 / 2 ] / n              minimal where s = grad log p
    sliced       E[ v' (grad s(x)) v + |s(x)|^2 / 2 ] / n,  v random signs: the same in expectation
    denoising    E[ |sigma s(x + sigma z) + z|^2 / 2 ] / n,  z ~ N(0, 1): the score of the data blurred by sigma

The first two need a density without edges and points: where data end abruptly their scores are not those of the
density, and at finitely many events the objective falls without bound, as an energy can sink ever steeper wells there.
Both see data with a little noise for that reason. What is learned, and drawn, is the density of the blurred data: sigma
should be what may be lost. The trace costs n derivatives, those of slices one. All three look at the surroundings of
data alone and learn nothing of how modes weigh against each other.

The gradients of the first two by the weights are third derivatives of the network, which must have them: in single
precision those of the transformer's GELU overflow for large features, while those of the other networks do not.

Sources: Hyvaerinen 2005; Vincent 2011; Song et al. 2019 (arXiv:1905.07088), with the variance-reduced form.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.heads.objectives import Landscape, Objective
from embodied_gen.heads.slopes import slope


@final
class ImplicitScoreMatching(Objective):
    """Hyvaerinen's objective with the exact trace, for events of few numbers: memory grows with n.

    Args:
        blur: Deviation of the noise that data are seen with, model units, >= 0.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, *, blur: float = 0.05):
        self.blur = _checked(blur)

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Trace and half the square, divided by n."""
        x = x + self.blur * draws.normal(x.shape, generator=generator, like=x)
        size = x[0].numel()
        axes = torch.eye(size, dtype=x.dtype, device=x.device).view(size, *x.shape[1:])
        # A row for each entry of each event: one derivative of all gives every second derivative of the diagonal.
        bent, square = _bend(landscape, x.repeat_interleave(size, 0), axes.repeat(len(x), *[1] * (x.ndim - 1)))
        return (square.view(-1, size).mean(1) / 2 - bent.view(-1, size).sum(1)) / size


@final
class SlicedScoreMatching(Objective):
    """The trace along random directions.

    Args:
        slices: Directions for each event, >= 1.
        blur: Deviation of the noise that data are seen with, model units, >= 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, slices: int = 1, *, blur: float = 0.05):
        if slices < 1:
            raise ValueError(f"slices must be at least 1; got {slices}.")
        self.slices, self.blur = slices, _checked(blur)

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Curvature along the slices and half the square, divided by n."""
        x = x + self.blur * draws.normal(x.shape, generator=generator, like=x)
        many = x.repeat_interleave(self.slices, 0)
        signs = draws.signs(many.shape, generator=generator, like=x)
        bent, square = _bend(landscape, many, signs)
        return (square / 2 - bent).view(len(x), -1).mean(1) / x[0].numel()


@final
class DenoisingScoreMatching(Objective):
    """The score of blurred data.

    Args:
        sigma: Deviation of the blur, model units, > 0.

    Raises:
        ValueError: If it is not positive.
    """

    def __init__(self, sigma: float = 0.1):
        if not sigma > 0:
            raise ValueError(f"sigma must be positive; got {sigma}.")
        self.sigma = sigma

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Half the squared error of the noise that the slope tells, divided by n."""
        noise = draws.normal(x.shape, generator=generator, like=x)
        _, gradient = slope(landscape.energy, x + self.sigma * noise, graph=True)
        return (self.sigma * gradient - noise).square().flatten(1).mean(1) / 2


def _bend(landscape: Landscape, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Second derivatives of the energy along v, and the squared slopes, each `(M,)`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(landscape.energy(x).sum(), x, create_graph=True)
        (bent,) = torch.autograd.grad((gradient * v).sum(), x, create_graph=True, materialize_grads=True)
    return (bent * v).flatten(1).sum(1), gradient.square().flatten(1).sum(1)


def _checked(blur: float) -> float:
    if not blur >= 0:
        raise ValueError(f"blur must be at least 0; got {blur}.")
    return blur
