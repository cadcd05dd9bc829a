"""How probable held-out events are to a head, by the best way that it has.

    exact   log p(x | c) of the head; of few binary units whatever the machine, by a sum over all states
    bound   a lower bound of it, of variational heads: of independent draws for each event, so that their errors are not
            the same in all events, and a mean over these does away with them
    flow    that of the flow that a denoising head follows in the limit of many steps, see `heads.likelihood`

Heads that know no density have none here: energies without a partition sum, generators without an inverse, and average
velocities, whose draws are one long step and not the flow. Of units of two values only the probabilities that a model
of such units gives count: densities of others at their two values grow without end.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events import Binary
from embodied_gen.heads import BinaryHead, DenoisingHead, HasBound, HasDrawnBound, HasLogProb, Head, log_likelihood
from embodied_gen.heads.flows.trace import exact, hutchinson
from embodied_gen.heads.gibbs import MOST

_AT_ONCE = 256  # rows
_STEPS = 100  # levels of the flow's equation
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
    way, log_prob = _way(head, generator)
    if log_prob is None:
        return {}
    pairs = zip(x.split(_AT_ONCE), c.split(_AT_ONCE), strict=True)
    mean = -torch.cat([log_prob(*pair) for pair in pairs]).mean() / x[0].numel()
    return {"nll": float(mean) if bool(mean.isfinite()) else None, "nll_by": way}


def _way(head: Head, generator: draws.Generator) -> tuple[str, LogProb | None]:
    if isinstance(head, BinaryHead) and not isinstance(head, HasLogProb):
        return "exact", head.enumerated if head.units <= MOST else None
    if isinstance(head.event, Binary) and not isinstance(head, BinaryHead):
        return "", None
    if isinstance(head, HasDrawnBound):
        return "bound", functools.partial(head.bound, generator=generator)
    if isinstance(head, HasBound):
        return "bound", head.log_prob
    if isinstance(head, HasLogProb):
        return "exact", head.log_prob
    if not isinstance(head, DenoisingHead):
        return "", None
    schedule = head.schedule
    steps = min(_STEPS, schedule.most or _STEPS)

    def flow(x: Tensor, c: Tensor) -> Tensor:
        divergence = exact if x[0].numel() <= _FEW else hutchinson(x, generator=generator)
        return log_likelihood(head, schedule, x, c, steps=steps, divergence=divergence)

    return "flow", flow
