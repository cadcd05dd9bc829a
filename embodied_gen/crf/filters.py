r"""Gaussian filters of pixels, their normalisation and their sums.

A filter is the symmetric matrix K of a kernel, k_ij = exp(-|f_i - f_j|^2 / 2), known by its products with values. What
mean field uses is K with the masses D = K 1 divided out,

    symmetric    D^-1/2 K D^-1/2    self-adjoint, what dense-CRF programs use
    by rows      D^-1 K             means over neighbours, what CRF-RNN uses

so that weights have the same meaning for kernels of any width. The term of a pixel with itself is kept, as it is in the
programs of others: it makes K positive semi-definite, and the free energy of mean field never rises.

Sources: Kraehenbuehl and Koltun 2011 (arXiv:1210.5644); Zheng et al. 2015 (arXiv:1502.03240).
"""

import abc
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

TINY = 1e-20  # of a mass
OverClasses = Callable[[Tensor], Tensor]  # a linear map of the last axis, which are the classes


class Filter(abc.ABC):
    """K of B images of P pixels each."""

    @abc.abstractmethod
    def __call__(self, values: Tensor) -> Tensor:
        """K times values, `(B, P, L)` to `(B, P, L)`; differentiable in values and in what the kernel is made of."""


@final
class Scaled(Filter):
    """diag(after) K diag(before).

    Args:
        inner: K.
        before, after: Scales of pixels, shape `(B, P, 1)`.
    """

    def __init__(self, inner: Filter, before: Tensor, after: Tensor):
        self.inner, self.before, self.after = inner, before, after

    def __call__(self, values: Tensor) -> Tensor:
        """The product."""
        return self.inner(values * self.before) * self.after


class Normalisation(abc.ABC):
    """What is divided out of a filter."""

    @abc.abstractmethod
    def scales(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """What pixels are scaled by before and after K, from K 1; all of shape `(B, P, 1)`."""


@final
class Symmetric(Normalisation):
    """D^-1/2 K D^-1/2."""

    def scales(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """The same before and after."""
        root = mass.clamp(min=TINY).rsqrt()
        return root, root


@final
class Rows(Normalisation):
    """D^-1 K: every message is a mean over neighbours."""

    def scales(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing before."""
        return torch.ones_like(mass), mass.clamp(min=TINY).reciprocal()


class Sum(abc.ABC):
    """What pixels get from all others: sum_m (K_m q) diag(w_m) A', each class with its own weights.

    A are the agreements of classes. As they and K_m act on different axes, a method applies them where it costs least.
    """

    @abc.abstractmethod
    def __call__(self, q: Tensor, weights: Tensor, agreement: OverClasses) -> Tensor:
        """The sum as a new tensor; `(B, P, L)` and weights `(M, L)` of M kernels to `(B, P, L)`."""


@final
class OneByOne(Sum):
    """The sum of any filters.

    Args:
        filters: M of them, >= 1.
    """

    def __init__(self, filters: Sequence[Filter]):
        self.filters = filters

    def __call__(self, q: Tensor, weights: Tensor, agreement: OverClasses) -> Tensor:
        """The sum."""
        total = self.filters[0](q) * weights[0]
        for kernel, weight in zip(self.filters[1:], weights[1:], strict=True):
            total = torch.addcmul(total, kernel(q), weight)
        return agreement(total)
