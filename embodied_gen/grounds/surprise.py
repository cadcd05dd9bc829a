"""How probable held-out events are to a head, by the best way that it has.

    exact   log p(x | c) of the head; of few binary units whatever the machine, by a sum over all states
    bound   a lower bound of it, of heads with latents; those that are drawn are drawn for each event on its own, so
            that errors are not alike in all events and a mean over these does away with them
    flow    that of draws of a denoising head's flow that keep some noise, see `heads.likelihood`: of four deviations,
            or the least that its schedule has where that is more, the one that makes other held-out events the most
            probable

At every noise the last is a density. It costs where the noise is large beside the data's own width, and where it is so
small that the head's estimates are poor; both differ from head to head and from ground to ground.

Heads that know no density have none here: energies without a partition sum, generators without an inverse, and average
velocities, whose draws are one long step and not the flow. Of units of two values only the probabilities that a model
of such units gives count: densities of others at their two values grow without end.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events import Binary
from embodied_gen.heads import BinaryHead, DenoisingHead, HasBound, HasDrawnBound, HasLogProb, Head, log_likelihood
from embodied_gen.heads.flows.trace import exact, hutchinson
from embodied_gen.heads.gibbs import MOST

_AT_ONCE = 256  # rows
_NOISES = (0.01, 0.02, 0.05, 0.1)  # deviations that may be left on the flow's draws, model units
_FEW = 16  # entries of an event whose divergence is exact; of more it is estimated along one probe

LogProb = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def surprise(head: Head, x: Tensor, c: Tensor, *, generator: draws.Generator) -> dict[str, float | str | None]:
    """The mean of -log p(x | c) for each number of an event.

    Args:
        head: Trained.
        x: Events, model units, shape `(B, *E)`.
        c: Contexts, shape `(B, C)`.
        generator: Draws latents of a bound, and what the flow's divergence is estimated along.

    Returns:
        `nll`, nat, None where it is not finite, and `nll_by`, the way; nothing where the head has no density.
    """
    way, candidates = _way(head, generator)
    if not candidates:
        return {}
    pairs = list(zip(x.split(_AT_ONCE), c.split(_AT_ONCE), strict=True))
    told = torch.stack([torch.cat([log_prob(*pair) for pair in pairs]) for log_prob in candidates])
    mean = -_best(told).mean() / x[0].numel()
    return {"nll": float(mean) if bool(mean.isfinite()) else None, "nll_by": way}


def _best(told: Tensor) -> Tensor:
    """Of every other event, and of those between, what the candidate says that is best of the others.

    Args:
        told: Log-densities of B events by each of some candidates, shape `(L, B)`.

    Returns:
        Shape `(B,)`, in another order.
    """
    halves = told[:, ::2], told[:, 1::2]
    best = [half.mean(1).nan_to_num(nan=-math.inf).argmax() for half in halves]
    return torch.cat([halves[0][best[1]], halves[1][best[0]]])


def _way(head: Head, generator: draws.Generator) -> tuple[str, list[LogProb]]:
    """The name of the way, and the candidates of which the best counts; none where there is no density."""
    if isinstance(head, BinaryHead) and not isinstance(head, HasLogProb):
        return "exact", [head.enumerated] if head.units <= MOST else []
    if isinstance(head.event, Binary) and not isinstance(head, BinaryHead):
        return "", []
    if isinstance(head, HasDrawnBound):
        return "bound", [functools.partial(head.bound, generator=generator)]
    if isinstance(head, HasBound):
        return "bound", [head.log_prob]
    if isinstance(head, HasLogProb):
        return "exact", [head.log_prob]
    if isinstance(head, DenoisingHead):
        noises = dict.fromkeys(max(noise, head.schedule.least_noise) for noise in _NOISES)
        return "flow", [functools.partial(_flow, head, noise, generator) for noise in noises]
    return "", []


def _flow(head: DenoisingHead, noise: float, generator: draws.Generator, x: Tensor, c: Tensor) -> Tensor:
    """Log p(x | c) of the head's flow to some noise, `(B,)`."""
    divergence = exact if x[0].numel() <= _FEW else hutchinson(x, generator=generator)
    return log_likelihood(head, head.schedule, x, c, noise=noise, divergence=divergence)
