"""Networks that estimate events: what shape they must return; and estimates in stages, of which each is trained."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from embodied_gen.context import Context
from embodied_gen.events.base import Event


@runtime_checkable
class Staged(Protocol):
    """Networks with intermediate estimates; called, they give the last one."""

    def stages(self, x: Tensor, t: Tensor, c: Context) -> Tensor:
        """The estimates of all S stages, as the network gives its own: shape `(S, M, *E)`."""


def shaped(output: Tensor, x: Tensor) -> Tensor:
    """What a network returned for x, with the dtype of x.

    Raises:
        ValueError: If it has another shape than x. One channel would be taken for all of them.
    """
    if output.shape != x.shape:
        raise ValueError(
            f"a network of this head must return shape {tuple(x.shape)}; got {tuple(output.shape)}. "
            "Build it with as many output channels as the event has."
        )
    return output.to(x.dtype)


def estimate(net: nn.Module, x: Tensor, t: float | Tensor, c: Context) -> Tensor:
    """What a network says of x, with one time or one for each row; `(M, *E)` in and out. Errors as in `shaped`."""
    return shaped(net(x, t if isinstance(t, Tensor) else x.new_full((len(x),), t), c), x)


def estimates(net: nn.Module, x: Tensor, t: Tensor, c: Context) -> Tensor:
    """What a network says at each of its stages, `(S, M, *E)`, with the dtype of x; at the only one where S is 1.

    Errors as in `shaped`.
    """
    if not isinstance(net, Staged):
        return estimate(net, x, t, c).unsqueeze(0)
    stages = net.stages(x, t, c)
    return shaped(stages, x.expand(len(stages), *x.shape))


def error_of(event: Event, stages: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
    """The event's error of clean estimates `(S, M, *E)`, averaged over stages; shape `(M,)`."""
    count = len(stages)
    if count == 1:
        return event.error(stages[0], x, valid)
    many = None if valid is None else valid.repeat(count, *[1] * (valid.ndim - 1))
    errors = event.error(stages.flatten(0, 1), x.repeat(count, *[1] * (x.ndim - 1)), many)
    return errors.view(count, -1).mean(0)
