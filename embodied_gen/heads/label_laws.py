r"""Laws of label maps with logits for each cell, and how they follow a guide.

A law is drawn from, says how probable a map is, what the marginals of cells are, and what it is with other logits. A
guide's cost, taken to first order at marginals, is a change of logits, so that

    q(x) ~ p(x) exp(-sum_i g_i(x_i) - sum_i h_i(x_i)),    g = slope of the cost at the marginals of q,

is a law of the same kind, and the exact conditional where the cost is a sum over cells. Constraints hold or not for
finished maps, not for marginals: h grows by the mean slope of their walls at maps that are drawn from q, until the maps
hold them. Candidates are drawn from p and
from q, one half each, and one is kept with the weight that p and the guide give it over the density of both halves,
which tends to the exact conditional as candidates grow, and is never far worse than drawing from p alone.

Source: Veach and Guibas 1995 for draws from several densities.
"""

import abc
import math
from dataclasses import replace
from typing import Self, final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events.labels import LabelMap
from embodied_gen.heads.guidance import RowGuide, propose
from embodied_gen.heads.slopes import slope
from embodied_gen.heads.walls import Walls
from embodied_gen.softmax import weighted

STEPS = 4  # to the logits that a guide asks for
STEEPEST = 30.0  # slope of a guide that is followed, nat


class Law(abc.ABC):
    """p of maps of each of M rows."""

    @abc.abstractmethod
    def draw(self, k: int, generator: draws.Generator) -> Tensor:
        """Labels of k maps of each row, int64, shape `(M, k, H, W)`."""

    @abc.abstractmethod
    def log_prob(self, maps: Tensor) -> Tensor:
        """Log p of k maps of each row, as probabilities, `(M, k, H, W, L)` to `(M, k)`."""

    @abc.abstractmethod
    def marginals(self) -> Tensor:
        """Probabilities of labels, shape `(M, H, W, L)`."""

    @abc.abstractmethod
    def tilted(self, change: Tensor) -> Self:
        """The law with a change of logits, shape `(M, H, W, L)`."""


@final
class Independent(Law):
    """Cells that do not depend on each other.

    Args:
        log_q: Their log-probabilities, shape `(M, H, W, L)`.
    """

    def __init__(self, log_q: Tensor):
        self.log_q = log_q

    def draw(self, k: int, generator: draws.Generator) -> Tensor:
        """Labels."""
        rows, height, width, classes = self.log_q.shape
        each = self.log_q.unsqueeze(1).expand(-1, k, -1, -1, -1)
        return draws.categorical(each.reshape(-1, classes), generator=generator).view(rows, k, height, width)

    def log_prob(self, maps: Tensor) -> Tensor:
        """Log p."""
        return weighted(maps, self.log_q.unsqueeze(1)).flatten(2).sum(2)

    def marginals(self) -> Tensor:
        """The probabilities themselves."""
        return self.log_q.exp()

    def tilted(self, change: Tensor) -> "Independent":
        """Each cell with its change."""
        return Independent((self.log_q + change).log_softmax(-1))


def draw_guided(law: Law, event: LabelMap, guide: RowGuide, *, candidates: int, generator: draws.Generator) -> Tensor:
    """One map for each row of a law, as a guide wants it.

    Args:
        law: Of the rows.
        event: Their kind.
        guide: What is wanted, on rows.
        candidates: Maps drawn for each, >= 2.
        generator: Draws them, and the choice.

    Returns:
        Model units, projected, shape `(M, H, W, L)`.
    """
    half = candidates // 2
    free = event.coded(law.draw(half, generator))
    other = _followed(law, event, guide, free, generator)
    maps = torch.cat([free, event.coded(other.draw(candidates - half, generator))], 1)
    y = event.unscale(maps)
    ratio = other.log_prob(y) - law.log_prob(y)
    share = half / candidates
    weight = -torch.logaddexp(torch.full_like(ratio, math.log(share)), ratio + math.log1p(-share))
    return propose(maps, guide, generator=generator, log_weight=weight)


def _followed(law: Law, event: LabelMap, guide: RowGuide, free: Tensor, generator: draws.Generator) -> Law:
    """The law with slopes of a guide taken from its logits; `free` are maps drawn from it, `(M, k, H, W, L)`."""

    def cost(tilted: Law) -> Tensor:
        _, gradient = slope(lambda y: guide.potential(event.scale(y)), tilted.marginals())
        return _followable(gradient)

    walls = Walls(RowGuide(replace(guide.guide, cost=None), event, guide.contexts), free.flatten(0, 1))
    g, h = cost(law), _raised(walls, free)
    for _ in range(STEPS):
        tilted = law.tilted(-g - h)
        # The mean of the last and the new slope: two cells that a cost couples would else swing.
        g = (g + cost(tilted)) / 2
        h = _followable(h + _raised(walls, event.coded(tilted.draw(free.shape[1], generator))))
    return law.tilted(-g - h)


def _raised(walls: Walls, maps: Tensor) -> Tensor:
    """The mean slope of walls at maps `(M, k, H, W, L)`, shape `(M, H, W, L)`."""
    _, gradient = slope(walls, maps.flatten(0, 1))
    return _followable(gradient).view_as(maps).mean(1)


def _followable(gradient: Tensor) -> Tensor:
    return torch.nan_to_num(gradient).clamp(-STEEPEST, STEEPEST)
