"""Methods of filtering: how the sums over all pairs of pixels are made.

    Permutohedral   close, quickest on a CPU; what dense-CRF programs use
    Nystroem        closer, two matrix products; quickest on a GPU
    Exact           all pairs by attention; to measure the others by, or where a GPU has the time
    ByDevice        Permutohedral on a CPU, Nystroem elsewhere

The first approximates kernels up to a factor, which any normalisation removes. Kernels of positions alone are exact
with all but the first. The lattice jumps where a pixel changes its simplex, and its slopes by widths, which are those
between the jumps, are not those of the sum over all pairs. Those of the other two are: they alone learn widths.
"""

import abc
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.crf.attention import Attention
from embodied_gen.crf.filters import Filter, Normalisation, OneByOne, Scaled, Sum
from embodied_gen.crf.kernels import Points
from embodied_gen.crf.lattice_filter import LatticeFilter, LatticeSum
from embodied_gen.crf.nystroem import LowRank
from embodied_gen.crf.separable import Separable


class Method(abc.ABC):
    """A way to filter."""

    @abc.abstractmethod
    def normalised(self, kernels: Sequence[Points], normalisation: Normalisation) -> Sum:
        """The sum over kernels of the same pixels, masses divided out."""


@final
class Permutohedral(Method):
    """The permutohedral lattice."""

    def normalised(self, kernels: Sequence[Points], normalisation: Normalisation) -> Sum:
        """The sum, sliced from all lattices at once."""
        filters = [LatticeFilter.of(points) for points in kernels]
        return LatticeSum(
            [
                each.scaled(*normalisation.scales(each(torch.ones_like(points.features[..., :1]))))
                for each, points in zip(filters, kernels, strict=True)
            ]
        )


class Smooth(Method, abc.ABC):
    """A method by which widths can be learned, as its slopes by them follow those of the sum over all pairs.

    It filters kernel by kernel, and those of positions alone exactly.
    """

    @abc.abstractmethod
    def _filter(self, features: Tensor) -> Filter:
        """K of points `(B, P, d)`."""

    @final
    def normalised(self, kernels: Sequence[Points], normalisation: Normalisation) -> Sum:
        """The sum, one filter after the other."""
        filters = []
        for points in kernels:
            kernel = Separable(points.grid, points.position) if points.plain else self._filter(points.features)
            mass = kernel(torch.ones_like(points.features[..., :1]))
            filters.append(Scaled(kernel, *normalisation.scales(mass)))
        return OneByOne(filters)


@final
class Nystroem(Smooth):
    """Low rank.

    Args:
        landmarks: m, >= 1; pixels of more different guides and places need more of them.

    Raises:
        ValueError: If there is none.
    """

    def __init__(self, landmarks: int = 256):
        if landmarks < 1:
            raise ValueError(f"landmarks must be at least 1; got {landmarks}.")
        self.landmarks = landmarks

    def _filter(self, features: Tensor) -> Filter:
        return LowRank(features, self.landmarks)


@final
class Exact(Smooth):
    """All pairs."""

    def _filter(self, features: Tensor) -> Filter:
        return Attention(features)


@final
class ByDevice(Method):
    """The quickest method of each device."""

    def normalised(self, kernels: Sequence[Points], normalisation: Normalisation) -> Sum:
        """The sum."""
        method = Permutohedral() if kernels[0].features.device.type == "cpu" else Nystroem()
        return method.normalised(kernels, normalisation)
