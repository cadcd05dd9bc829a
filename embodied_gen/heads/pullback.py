"""Guides pulled back through a generator: what is wanted of events, as a guide on latents.

With x = push(u, c) the cost of u is cost(push(u, c)), and its margins are those of push(u, c). Chains and methods of
guidance then work on latents as on any other event. A projection has no counterpart among latents: the head projects
the events.
"""

from collections.abc import Callable

from torch import Tensor

from embodied_gen import context
from embodied_gen.context import Context
from embodied_gen.events.trajectory import Trajectory
from embodied_gen.heads.guidance import Guide, RowGuide

Push = Callable[[Tensor, Context], Tensor]  # latents (M, 1, U) and contexts (M, ...) to events (M, *E), model units


def latent_event(numbers: int) -> Trajectory:
    """Latents of some numbers as an event of shape `(1, numbers)` whose model units are its physical units."""
    return Trajectory(1, [-1.0] * numbers, [1.0] * numbers)


def pull_back(guide: RowGuide, push: Push, numbers: int, c: Context, *, like: Tensor) -> RowGuide:
    """A guide on latents.

    Args:
        guide: On events.
        push: The generator.
        numbers: U, of a latent.
        c: Of each of the B contexts, every leaf `(B, ...)`.
        like: A tensor of the dtype and device of latents.

    Returns:
        The same wishes on rows of latents, shape `(M, 1, U)`; the smallest margin is the certified one.
    """

    def events(u: Tensor) -> Tensor:
        return push(u.flatten(0, 1), context.repeat(c, u.shape[1]))

    def cost(u: Tensor) -> Tensor:
        return guide.potential(events(u)).view(u.shape[:2])

    def margins(u: Tensor) -> Tensor:
        return guide.margins(events(u)).unflatten(0, u.shape[:2])

    def certify(u: Tensor) -> Tensor:
        return guide.margin(events(u)).view(u.shape[:2])

    asked = guide.guide
    pulled = Guide(
        cost=None if asked.cost is None else cost,
        margins=None if asked.margins is None else margins,
        certify=None if asked.certify is None and asked.margins is None else certify,
    )
    return RowGuide(pulled, latent_event(numbers).to(like), guide.contexts)
