"""What tests of two modes share: training on events of one of two sides, and what a strong guide makes of the cost."""

from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.heads import Guide, HasChains, Head

Events = Callable[[Tensor, torch.Generator], Tensor]  # of sides, -1 or +1, shape (B,)


def sides(rows: int, generator: torch.Generator) -> Tensor:
    return draws.signs((rows,), generator=generator, like=torch.zeros(()))


def trained(
    head: Head, events: Events, *, context: int, steps: int, rows: int = 128, rate: float = 2e-3, momentum: float = 0.9
) -> Head:
    """After some steps on events of either side, whose contexts are zeros."""
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, betas=(momentum, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    c = torch.zeros(rows, context)
    for step in range(steps):
        stream = draws.generator(1, step)
        optimizer.zero_grad()
        head.loss(events(sides(rows, stream), stream), c, generator=stream).mean().backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if isinstance(head, HasChains):
            head.advance(c, generator=stream)
    return head.eval()


def costs(head: Head, modes: Tensor, *, context: int) -> tuple[Tensor, Tensor]:
    """Mean squared distance of free and of guided draws to what is asked for, by context.

    Args:
        head: Trained.
        modes: What a guide of scale 1,000 asks for in each context, physical units, shape `(B, *E)`.
        context: Numbers of a context.
    """

    def cost(y: Tensor) -> Tensor:
        return (y - modes.unsqueeze(1)).square().flatten(2).sum(2)

    def drawn(guide: Guide | None) -> Tensor:
        c = torch.zeros(len(modes), context)
        return head.event.unscale(head.sample(c, 50, generator=draws.generator(2), guide=guide))

    free, guided = drawn(None), drawn(Guide(cost=cost, scale=1000.0))
    limit = max(1.0, head.event.scale(free).abs().max().item())
    assert guided.isfinite().all() and head.event.scale(guided).abs().max() <= limit
    return cost(free).mean(1), cost(guided).mean(1)
