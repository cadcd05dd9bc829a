r"""Chains in the latent: how a head that pushes normals forward follows a guide.

A generator maps u ~ N(0, 1) and a context to an event, x = push(u, c). A guide's meaning for x is a density of u,

    p(u | guide)  ~  exp(-|u|^2 / 2 - scale cost(push(u, c)))   where no margin of push(u, c) is negative,

whose negative logarithm is V. `LatentChain` finds it in three stages:

1. k candidates are drawn for each row, and one is kept in proportion to its weight (`choose`).
2. The kept one is moved downhill (`settle`). A typical draw lies about U / 2 above the minimum of V, and rarely more
   than U / 2 + 3 sqrt(U / 2). What lay further above the place found starts there, other rows where they were.
3. Metropolis-adjusted Langevin steps, which leave the density unchanged, undo what few candidates get wrong. What
   cannot be differentiated, such as a class that u selects, is moved by the noise of the steps alone.

Of constraints the chain sees h + k / 2 sum_p relu(-m_p / s_p)^2 where a margin is negative: a cliff of height h, so
that a chain that is inside stays inside, with a slope outside that leads in. s_p is the deviation of the margin among
the candidates of a context, so that constraints need no scale. At the end the exact margins decide: a chain that has
left what holds is set back to its candidate.

Sources: sampling importance resampling (Rubin 1988); Roberts and Tweedie 1996.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.heads.guidance import RowGuide, choose
from embodied_gen.heads.langevin import langevin
from embodied_gen.heads.pullback import Push, pull_back
from embodied_gen.heads.slopes import OfRows
from embodied_gen.heads.steering import settle
from embodied_gen.heads.walls import outside, sharpness


@final
class LatentChain:
    """Proposals, then a Langevin chain on the latents of the kept ones.

    Args:
        candidates: Proposals k for each draw, >= 1.
        steps: Langevin steps, >= 0; none leaves the kept proposals.
        step: Length of the first step, > 0; the chain adapts it for each row.
        bound: The chain stays where no entry of u is beyond it, > 0: further out no decoder was trained.
        iterations: Gradient steps of the way downhill, >= 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        candidates: int = 16,
        *,
        steps: int = 30,
        step: float = 0.1,
        bound: float = 4.0,
        iterations: int = 10,
    ):
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1; got {candidates}.")
        if steps < 0 or iterations < 0:
            raise ValueError(f"steps and iterations must be at least 0; got {steps} and {iterations}.")
        if not (step > 0 and bound > 0):
            raise ValueError(f"step and bound must be positive; got {step} and {bound}.")
        self.candidates, self.steps, self.iterations = candidates, steps, iterations
        self.step, self.bound = step, bound

    def run(
        self, push: Push, numbers: int, c: Context, guide: RowGuide, *, generator: draws.Generator, like: Tensor
    ) -> Tensor:
        """One guided event for each row.

        Args:
            push: The generator: latents `(M, 1, U)` and contexts to events, model units, `(M, *E)`.
            numbers: U.
            c: Contexts of the rows, every leaf `(M, ...)`.
            guide: What is wanted, on rows.
            generator: Draws proposals, the choice and the chain.
            like: A tensor of the dtype and device of the draws.

        Returns:
            Events, model units, shape `(M, *E)`, not projected.
        """
        rows = context.size(c)
        pulled = pull_back(guide, push, numbers, context.every(c, rows // guide.contexts), like=like)
        u = draws.normal((rows * self.candidates, 1, numbers), generator=generator, like=like)
        candidates = u.unflatten(0, (rows, self.candidates))
        kept = candidates[torch.arange(rows, device=u.device), choose(candidates, pulled, generator=generator)]
        if guide.steers and self.steps > 0:
            potential = _potential(pulled, _sharpness(pulled, u))
            moved = langevin(
                potential,
                self._start(kept, potential, pulled),
                generator=generator,
                steps=self.steps,
                step=self.step,
                bound=self.bound,
            )
            kept = _better(kept, moved, pulled)
        return push(kept, c)

    def _start(self, kept: Tensor, potential: OfRows, guide: RowGuide) -> Tensor:
        """The kept candidates, moved downhill where they are no typical draws."""
        settled = settle(kept, 1.0, guide, iterations=self.iterations)[0].clamp(-self.bound, self.bound)
        half = kept[0].numel() / 2
        typical = potential(kept) <= potential(settled) + half + 3 * math.sqrt(half)
        return torch.where(typical.view(-1, 1, 1), kept, settled)


def _sharpness(guide: RowGuide, u: Tensor) -> Tensor:
    """1 / s_p of the candidates of each context, shape `(B, 1, P)`."""
    own = guide.margins(u).unflatten(0, (guide.contexts, -1))
    return sharpness(own, torch.finfo(own.dtype).eps * (1 + own.abs().amax(1)))


def _potential(guide: RowGuide, sharp: Tensor) -> OfRows:
    """V of latents `(M, 1, U)`, shape `(M,)`."""

    def potential(u: Tensor) -> Tensor:
        cost, margins = guide.measure(u)
        return u.square().flatten(1).sum(1) / 2 + cost + outside(margins, sharp)

    return potential


def _better(before: Tensor, after: Tensor, guide: RowGuide) -> Tensor:
    """Where the chain led, unless that breaks a constraint by more than its candidate did."""
    first, last = guide.margin(before), guide.margin(after)
    keep = (last >= 0) | (last >= first)
    return torch.where(keep.view(-1, 1, 1), after, before)
