r"""Chains in the latent: how a head that pushes normals forward follows a guide.

A generator maps u ~ N(0, 1) and a context to an event, x = push(u, c). A guide's meaning for x is a density of u,

    p(u | guide)  ~  exp(-|u|^2 / 2 - scale cost(push(u, c)))   where no margin of push(u, c) is negative.

`LatentChain` first draws k candidates for each row and keeps one in proportion to its weight (`choose`), which finds
the right region, then moves it by Metropolis-adjusted Langevin steps, which leave the density unchanged and repair what
few candidates get wrong. What cannot be differentiated, such as a class that u selects, is moved by the noise of the
steps alone. Of the constraints the chain sees the potential

    V(u) = |u|^2 / 2 + scale cost + (h + k / 2 sum_p relu(-m_p / s_p)^2 where a margin is negative),

a cliff of height h, so that a chain that is inside stays inside, with a slope outside that leads in; s_p is the
deviation of the margin among the candidates of a context, so that constraints need no scale. At the end the exact
margins decide: a chain that has left what holds is set back to its start.

Sources: sampling importance resampling (Rubin 1988); Roberts and Tweedie 1996.
"""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.heads.guidance import RowGuide, choose
from embodied_gen.heads.langevin import langevin
from embodied_gen.heads.steering import FIRMNESS

CLIFF = 1e4  # h: exp(-h) is zero, and potentials beside it keep their digits in float32

Push = Callable[[Tensor, Context], Tensor]  # latents (M, U) and contexts to events (M, *E)


@final
class LatentChain:
    """Proposals, then a Langevin chain on the latents of the kept ones.

    Args:
        candidates: Proposals k for each draw, >= 1.
        steps: Langevin steps, >= 0; none leaves the kept proposals.
        step: Length of the first steps, > 0; the chain adapts it for each row.
        bound: The chain stays where no entry of u is beyond it, > 0: further out no decoder was trained.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, candidates: int = 16, *, steps: int = 30, step: float = 0.1, bound: float = 4.0):
        if candidates < 1 or steps < 0:
            raise ValueError(f"candidates must be at least 1 and steps at least 0; got {candidates} and {steps}.")
        if not (step > 0 and bound > 0):
            raise ValueError(f"step and bound must be positive; got {step} and {bound}.")
        self.candidates, self.steps, self.step, self.bound = candidates, steps, step, bound

    def run(
        self, push: Push, numbers: int, c: Context, guide: RowGuide, *, generator: draws.Generator, like: Tensor
    ) -> Tensor:
        """One guided event for each row.

        Args:
            push: The generator: latents `(M, U)` and contexts to events, model units, `(M, *E)`.
            numbers: U.
            c: Contexts of the rows, every leaf `(M, ...)`.
            guide: What is wanted, on rows.
            generator: Draws proposals, the choice and the chain.
            like: A tensor of the dtype and device of the draws.

        Returns:
            Events, model units, shape `(M, *E)`, not projected.
        """
        rows, k = context.size(c), self.candidates
        u = draws.normal((rows * k, numbers), generator=generator, like=like)
        x = push(u, context.repeat(c, k))
        chosen = choose(x.unflatten(0, (rows, k)), guide, generator=generator)
        kept = torch.arange(rows, device=u.device) * k + chosen
        if not guide.steers or self.steps == 0:
            return x[kept]
        sharpness = _sharpness(guide.margins(x), guide.contexts).repeat_interleave(rows // guide.contexts, 0)
        potential = _potential(push, c, guide, sharpness)
        moved = langevin(potential, u[kept], generator=generator, steps=self.steps, step=self.step, bound=self.bound)
        return _better(x[kept], push(moved, c), guide)


def _sharpness(margins: Tensor, contexts: int) -> Tensor:
    """1 / s_p of each context's candidates; `(M, P)` to `(B, P)`."""
    own = margins.unflatten(0, (contexts, -1))
    least = torch.finfo(margins.dtype).eps * (1 + own.abs().amax(1))
    return 1 / torch.maximum((own - own.mean(1, keepdim=True)).square().mean(1).sqrt(), least)


def _potential(push: Push, c: Context, guide: RowGuide, sharpness: Tensor) -> Callable[[Tensor], Tensor]:
    """V of latents `(M, U)`, shape `(M,)`; what is no number is beyond the cliff."""

    def potential(u: Tensor) -> Tensor:
        x = push(u, c)
        short = (-guide.margins(x) * sharpness).clamp(min=0)
        outside = CLIFF * (short > 0).any(1) + FIRMNESS / 2 * short.square().sum(1)
        value = u.square().sum(1) / 2 + guide.potential(x) + outside
        return torch.nan_to_num(value, nan=2 * CLIFF, posinf=2 * CLIFF)

    return potential


def _better(before: Tensor, after: Tensor, guide: RowGuide) -> Tensor:
    """Where the chain led, unless that breaks a constraint by more than the start did."""
    first, last = guide.margin(before), guide.margin(after)
    keep = (last >= 0) | (last >= first)
    return torch.where(keep.view(-1, *[1] * (after.ndim - 1)), after, before)
