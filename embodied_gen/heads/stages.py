"""Networks that estimate in stages, each from the one before, of which every stage is trained."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from embodied_gen.context import Context
from embodied_gen.events.base import Event


@runtime_checkable
class Staged(Protocol):
    """Networks with intermediate estimates; called, they give the last one."""

    def stages(self, x: Tensor, t: Tensor, c: Context) -> Tensor:
        """The estimates of all S stages, as the network gives its own: shape `(S, M, *E)`."""


def estimates(net: nn.Module, x: Tensor, t: Tensor, c: Context) -> Tensor:
    """What a network says at each of its stages, `(S, M, *E)`, with the dtype of x; at the only one where S is 1."""
    if isinstance(net, Staged):
        return net.stages(x, t, c).to(x.dtype)
    return net(x, t, c).to(x.dtype).unsqueeze(0)


def error_of(event: Event, stages: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
    """The event's error of clean estimates `(S, M, *E)`, averaged over stages; shape `(M,)`."""
    count = len(stages)
    if count == 1:
        return event.error(stages[0], x, valid)
    many = None if valid is None else valid.repeat(count, *[1] * (valid.ndim - 1))
    errors = event.error(stages.flatten(0, 1), x.repeat(count, *[1] * (x.ndim - 1)), many)
    return errors.view(count, -1).mean(0)
