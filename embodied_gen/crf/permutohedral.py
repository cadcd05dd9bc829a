r"""The permutohedral lattice: where points of feature space lie in it, and which of its vertices are neighbours.

Features f in R^d are laid into the hyperplane of R^(d+1) whose coordinates sum to zero. There the integer points that
are all equal modulo d + 1 tile space with simplices of d + 1 vertices, one of each remainder. A point is a mean of the
vertices of its simplex, with barycentric weights that are piecewise linear in f, and a Gaussian of unit deviation is

    K  ~  S blur_0 ... blur_d S',      blur_j(v) = v + (before_j(v) + after_j(v)) / 2,

up to a factor that normalisation removes. Only vertices of points exist; the tails that pass through others are cut,
and that is most of the error of the method.

A point is sorted into its simplex by one integer code, and only the vertices of different simplices are compared: both
are a sort. Vertices of different images have different codes, so that a batch is one lattice.

Feature c = 1 .. d has the period sqrt(3/2 c (c + 1)): a step of it leads from vertices to vertices. Features far from
zero are moved by whole periods before anything is rounded, as a constant would else cost the digits that tell points
apart. Any other constant moves points within the lattice, which changes what the method gives a little.

Source: Adams, Baek and Davis 2010, Fast High-Dimensional Filtering Using the Permutohedral Lattice.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

LARGEST = 2**62  # of a code
PERIODS = 256  # by whose multiples features are moved: those within half of them keep every bit


@final
@dataclass(frozen=True)
class Lattice:
    """The vertices that N points of d features lie between.

    Attributes:
        vertex: Of each point the vertices of its simplex, int64, shape `(N, d + 1)`.
        weight: Their barycentric weights, differentiable in the features, shape `(N, d + 1)`.
        neighbours: Of each vertex in each direction itself, the one before and the one after, int64, shape
            `(d + 1, V, 3)`; itself where there is none.
        blur: Their weights, zero where there is none, shape `(d + 1, V, 3)`.
    """

    vertex: Tensor
    weight: Tensor
    neighbours: Tensor
    blur: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Lattice":
        """The lattice of points.

        Args:
            features: In units of the Gaussian's deviation, shape `(B, P, d)`, d >= 1; points are numbered row by row.

        Raises:
            ValueError: If features are not finite, or too far apart to be told apart or to be numbered.
        """
        batch, points, d = features.shape
        flat = _moved(features).reshape(-1, d).T
        corner, rank, weight = _located(flat)
        strides, row = _strides(corner, batch)
        image = (torch.arange(batch, device=flat.device) * row).repeat_interleave(points)
        vertex, codes = _numbered(corner, rank, strides, image)
        neighbours, blur = _neighbours(codes, strides, weight)
        return cls(vertex, weight, neighbours, blur)

    @property
    def vertices(self) -> int:
        """V."""
        return self.neighbours.shape[1]

    def repeated(self, images: int) -> "Lattice":
        """The lattice of as many images whose points are where these are."""
        if images == 1:
            return self
        first = self.vertices * torch.arange(images, device=self.vertex.device).view(-1, 1, 1)
        directions = len(self.blur)
        return Lattice(
            (self.vertex + first).flatten(0, 1),
            self.weight.repeat(images, 1),
            (self.neighbours.unsqueeze(1) + first).view(directions, -1, 3),
            self.blur.repeat(1, images, 1),
        )


def _moved(features: Tensor) -> Tensor:
    """Points `(B, P, d)` near zero, those of each image moved by whole periods of their lattice."""
    wide, place = features.double(), torch.arange(1, features.shape[2] + 1, device=features.device).double()
    step = PERIODS * (1.5 * place * (place + 1)).sqrt()
    return (wide - step * (wide.detach().mean(1, keepdim=True) / step).round()).to(features)


def _located(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The remainder-zero vertex of each point, the ranks of its coordinates, and barycentric weights.

    Features `(d, N)` to whole numbers `(d + 1, N)`, ranks in the same shape, int64, and weights `(N, d + 1)`.
    """
    d = len(features)
    elevated = _basis(d, features) @ features
    _require_told_apart(elevated)
    with torch.no_grad():
        corner = (elevated / (d + 1)).round_().mul_(d + 1)
        excess = (corner.sum(0) / (d + 1)).round_()
        rank = _ranks(elevated - corner).add_(excess.to(torch.int8))
        above, below = rank > d, rank < 0
        turn = (d + 1) * (below.to(torch.int8) - above.to(torch.int8))
        rank = (rank + turn).long()
        corner += turn
    part = (elevated - corner) / (d + 1)
    sorted_part = torch.zeros_like(part).scatter(0, rank, part)
    steps = sorted_part[:-1] - sorted_part[1:]
    first = 1 - steps.sum(0, keepdim=True)
    return corner, rank, torch.cat([first, steps.flip(0)]).T.contiguous()


def _require_told_apart(elevated: Tensor) -> None:
    largest, limit = float(elevated.detach().abs().amax()), 0.5 / torch.finfo(elevated.dtype).eps
    if not math.isfinite(largest):
        raise ValueError("features must be finite; got some that are not. Check the image and the bandwidths.")
    if largest >= limit:
        raise ValueError(
            f"features must spread over less than {limit:.1e} steps of the lattice, as {elevated.dtype} does not tell "
            f"farther ones apart; got {largest:.1e}. Widen the bandwidths, or give logits and guide as torch.float64."
        )


def _basis(d: int, like: Tensor) -> Tensor:
    """The map of features of unit deviation into the hyperplane, shape `(d + 1, d)`."""
    rows, columns = torch.arange(d + 1).view(-1, 1), torch.arange(d)
    basis = (columns >= rows).double() - rows * (columns == rows - 1)
    scale = math.sqrt(2 / 3) * (d + 1) / ((columns + 1) * (columns + 2)).double().sqrt()
    return (basis * scale).to(like)


def _ranks(part: Tensor) -> Tensor:
    """How many coordinates of a point are larger, the first first among equals; int8, shape as `part`, `(d + 1, N)`."""
    rank = torch.zeros(part.shape, dtype=torch.int8, device=part.device)
    for i in range(len(part) - 1):
        less = part[i] < part[i + 1 :]
        rank[i] += less.sum(0, dtype=torch.int8)
        rank[i + 1 :] += ~less
    return rank


def _strides(corner: Tensor, images: int) -> tuple[Tensor, int]:
    """What a step of each of the first d coordinates adds to a code, int64, shape `(d,)`; and the codes of an image."""
    d = len(corner) - 1
    reach = 4 * (d + 1)  # simplices and neighbours are less far from the corners, so that no code has two meanings
    extents = (corner[:d].amax(1) - corner[:d].amin(1)).long() + reach
    sizes: list[int] = extents.tolist()
    if math.prod(sizes) * images >= LARGEST:
        raise ValueError(
            f"a lattice of {d} features and {images} images with extents {sizes} has too many places; widen the "
            "bandwidths or give fewer guide channels."
        )
    strides = [math.prod(sizes[:i]) for i in range(d + 1)]
    return torch.tensor(strides[:d], device=corner.device), strides[d]


def _numbered(corner: Tensor, rank: Tensor, strides: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """The vertices of each point, numbered in the order of their codes, `(N, d + 1)`; and the codes `(V,)`."""
    d = len(strides)
    # The coordinates of a simplex's centre, but for a constant: a simplex has one, and no other has the same.
    centre = (corner[:d] - rank[:d]).long()
    _, simplex = torch.unique((centre * strides[:, None]).sum(0).add_(image), return_inverse=True)
    count = int(simplex.max()) + 1
    some = torch.empty(count, dtype=torch.long, device=corner.device)
    some[simplex] = torch.arange(len(simplex), device=corner.device)
    corner, rank = corner.index_select(1, some), rank.index_select(1, some)
    codes = (corner[:d].long() * strides[:, None]).sum(0).add_(image[some])
    # From one vertex to the next all coordinates rise by one, and that of the next lower rank falls by d + 1.
    by_rank = torch.zeros_like(rank).scatter_(0, rank[:d], strides[:, None].expand(-1, count))
    rises = strides.sum() - (d + 1) * by_rank.flip(0)[:d]
    codes = torch.cat([codes[None], rises]).cumsum(0)
    codes, vertex = torch.unique(codes.T, return_inverse=True)
    return vertex.index_select(0, simplex), codes


def _neighbours(codes: Tensor, strides: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices before and after each in d + 1 directions, and their weights; see `Lattice`."""
    d, count = len(strides), len(codes)
    offsets = strides.sum() - (d + 1) * torch.cat([strides, strides.new_zeros(1)])
    wanted = codes - offsets[:, None]
    place = torch.searchsorted(codes, wanted).clamp_(max=count - 1)
    found = codes[place] == wanted
    itself = torch.arange(count, device=codes.device).expand(d + 1, -1)
    neighbours = itself.unsqueeze(-1).repeat(1, 1, 3)
    blur = torch.zeros(d + 1, count, 3, dtype=like.dtype, device=like.device)
    blur[..., 0] = 1
    direction, of = found.nonzero(as_tuple=True)
    to = place[direction, of]
    neighbours[direction, of, 1], blur[direction, of, 1] = to, 0.5
    neighbours[direction, to, 2], blur[direction, to, 2] = of, 0.5
    return neighbours, blur
