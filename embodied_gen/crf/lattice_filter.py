r"""Filtering on the permutohedral lattice: splat, blur, slice.

    sum_m S_m (B_m T_m' v diag(w_m) A')

S and T hold the d + 1 barycentric weights of a pixel, with scales before and after folded in, so that splatting and
slicing are sums of weighted rows, which `embedding_bag` makes without a copy. Weights w and agreements A of classes are
applied at the vertices, which are far fewer than pixels, and all kernels are sliced at once. The transpose is the same
with blurs in the reverse order: a backward pass costs what a forward pass costs. Gradients go to values, to w and A and
to S and T, and through them to features, which are made of widths and images. They are those with the vertices as they
are: where a point changes its simplex, and a vertex comes or goes, the filter itself jumps a little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen.crf.filters import Filter, OverClasses, Sum
from embodied_gen.crf.kernels import Points, positions
from embodied_gen.crf.permutohedral import Lattice


@final
@dataclass(frozen=True)
class Order:
    """Corners of simplices in the order of their vertices.

    Attributes:
        corner: Places in the flat `(N, d + 1)` corners, those of one vertex together, shape `(N (d + 1),)`.
        point: The points of these.
        first: Where those of each vertex begin, shape `(V,)`.
    """

    corner: Tensor
    point: Tensor
    first: Tensor

    @classmethod
    def of(cls, lattice: Lattice) -> "Order":
        """The order; a sort of small integers, which is quicker than one of large ones."""
        flat = lattice.vertex.flatten()
        corner = torch.argsort(flat.int(), stable=True)
        count = torch.bincount(flat, minlength=lattice.vertices)
        return cls(corner, corner // lattice.vertex.shape[1], count.cumsum(0) - count)

    def repeated(self, images: int, points: int) -> "Order":
        """That of `Lattice.repeated`, of images of as many points, without a sort."""
        if images == 1:
            return self
        number = torch.arange(images, device=self.corner.device).view(-1, 1)
        corners = number * len(self.corner)
        parts = (self.corner + corners, self.point + number * points, self.first + corners)
        return Order(*(part.flatten() for part in parts))


@final
class LatticeFilter(Filter):
    """A Gaussian filter, up to a factor, approximated on the lattice of its points.

    Args:
        lattice: Of N = B P points.
        order: Of its corners.
        into, out: Weights of splatting and slicing, shape `(N, d + 1)`.
    """

    def __init__(self, lattice: Lattice, order: Order, into: Tensor, out: Tensor):
        self.lattice, self.order, self.into, self.out = lattice, order, into, out

    @classmethod
    def of(cls, points: Points) -> "LatticeFilter":
        """The filter of points; lattices of positions alone are kept for the next image of the same size."""
        features, images = points.features, len(points.features)
        if points.plain and not features.requires_grad:
            kept, order = _of_positions(*points.grid, points.position.item(), features.dtype, str(features.device))
            lattice, order = kept.repeated(images), order.repeated(images, features.shape[1])
        else:
            lattice = Lattice.of(features[:1]).repeated(images) if points.plain else Lattice.of(features)
            order = Order.of(lattice)
        return cls(lattice, order, lattice.weight, lattice.weight)

    def scaled(self, before: Tensor, after: Tensor) -> "LatticeFilter":
        """diag(after) K diag(before), the scales `(B, P, 1)` folded into the weights."""
        into, out = (self.lattice.weight * scale.reshape(-1, 1) for scale in (before, after))
        return LatticeFilter(self.lattice, self.order, into, out)

    def __call__(self, values: Tensor) -> Tensor:
        """K times values, up to a factor."""
        alone = LatticeSum([self])
        return alone.sliced(alone.at_vertices(values)).view(values.shape)

    @cached_property
    def into_sorted(self) -> Tensor:
        """Weights of splatting in the order of vertices."""
        return self.into.detach().flatten().index_select(0, self.order.corner)

    @cached_property
    def out_sorted(self) -> Tensor:
        """Weights of slicing in the order of vertices."""
        return self.out.detach().flatten().index_select(0, self.order.corner)

    def splat(self, values: Tensor, weights: Tensor) -> Tensor:
        """Sums over points at each vertex; `(N, L)` and sorted weights to `(V, L)`."""
        return functional.embedding_bag(
            self.order.point, values, self.order.first, mode="sum", per_sample_weights=weights
        )

    def blur(self, at: Tensor, *, reverse: bool = False) -> Tensor:
        """Blurs in all directions, the first or the last first; `(V, L)` to `(V, L)`."""
        directions = range(len(self.lattice.blur))
        for j in reversed(directions) if reverse else directions:
            at = functional.embedding_bag(
                self.lattice.neighbours[j], at, mode="sum", per_sample_weights=self.lattice.blur[j]
            )
        return at

    def products(self, at: Tensor, values: Tensor) -> Tensor:
        """Inner products of each point with its vertices, `(V, L)` and `(N, L)` to `(N, d + 1)`."""
        # They are the slope of a sum by its weights, for which torch has a kernel that copies nothing.
        with torch.enable_grad():
            weights = torch.zeros_like(self.into).requires_grad_()
            sums = functional.embedding_bag(self.lattice.vertex, at, mode="sum", per_sample_weights=weights)
        return torch.autograd.grad(sums, weights, values)[0]


@final
class LatticeSum(Sum):
    """The weighted sum of filters on lattices of the same pixels.

    Args:
        filters: M of them, >= 1.
    """

    def __init__(self, filters: Sequence[LatticeFilter]):
        self.filters = filters
        first, vertices = 0, []
        for each in filters:
            vertices.append(each.lattice.vertex + first if first else each.lattice.vertex)
            first += each.lattice.vertices
        self.vertex = _beside(vertices)
        self.out = _beside([each.out.detach() for each in filters])

    @cached_property
    def into(self) -> Tensor:
        """Weights of splatting, side by side."""
        return _beside([each.into.detach() for each in self.filters])

    def __call__(self, q: Tensor, weights: Tensor, agreement: OverClasses) -> Tensor:
        """The sum."""
        heard = [agreement(at * weight) for at, weight in zip(self.at_vertices(q), weights, strict=True)]
        return self.sliced(heard).view(q.shape)

    def at_vertices(self, values: Tensor) -> Sequence[Tensor]:
        """Values `(B, P, L)` splatted and blurred, M tensors `(V, L)`; differentiable."""
        blurred: Sequence[Tensor] = _Blurred.apply(values.flatten(0, 1), self, *(each.into for each in self.filters))
        return blurred

    def sliced(self, at: Sequence[Tensor]) -> Tensor:
        """The sum at the points, of M tensors `(V, L)` to `(N, L)`; differentiable."""
        flat: Tensor = _Sliced.apply(self, *at, *(each.out for each in self.filters))
        return flat

    def slice(self, at: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Sums over all vertices of each point; M tensors `(V, L)` and weights `(N, K)` to `(N, L)`."""
        return functional.embedding_bag(self.vertex, torch.cat(list(at)), mode="sum", per_sample_weights=weights)


class _Blurred(torch.autograd.Function):
    """Values at the vertices of each lattice, with gradients to values and to weights of splatting."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, of: LatticeSum, *into: Tensor) -> tuple[Tensor, ...]:
        ctx.of = of
        ctx.save_for_backward(values)
        return tuple(each.blur(each.splat(values, each.into_sorted)) for each in of.filters)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (values,), of = ctx.saved_tensors, ctx.of
        back = [each.blur(slope.contiguous(), reverse=True) for each, slope in zip(of.filters, slopes, strict=True)]
        wanted = ctx.needs_input_grad
        into = _products(of.filters, back, values, wanted[2:])
        return of.slice(back, of.into) if wanted[0] else None, None, *into


class _Sliced(torch.autograd.Function):
    """The sum at the points, with gradients to what is at the vertices and to weights of slicing."""

    @staticmethod
    def forward(ctx: Any, of: LatticeSum, *at_and_out: Tensor) -> Tensor:
        at = at_and_out[: len(of.filters)]
        ctx.of = of
        ctx.save_for_backward(*at)
        return of.slice(at, of.out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        at, of, slope = ctx.saved_tensors, ctx.of, slope.contiguous()
        ends = [each.splat(slope, each.out_sorted) for each in of.filters]
        return None, *ends, *_products(of.filters, at, slope, ctx.needs_input_grad[1 + len(at) :])


def _products(
    filters: Sequence[LatticeFilter], at: Sequence[Tensor], values: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients to the weights between points and vertices, of each filter that they are wanted of."""
    pairs = zip(filters, at, wanted, strict=True)
    return [each.products(rows, values) if asked else None for each, rows, asked in pairs]


def _beside(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), 1)


@lru_cache(maxsize=8)
def _of_positions(height: int, width: int, deviation: float, dtype: torch.dtype, device: str) -> tuple[Lattice, Order]:
    """The lattice of all pixels of a grid by position alone."""
    with torch.inference_mode(False), torch.no_grad():  # kept for callers that differentiate, too
        places = positions(height, width, torch.empty((), dtype=dtype, device=device))
        lattice = Lattice.of(places / deviation)
        return lattice, Order.of(lattice)
