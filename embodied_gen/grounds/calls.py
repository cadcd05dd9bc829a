"""Calls of networks that a draw takes.

A call is a forward pass of a network, of a batch of any size, or one step of a network that reads a sequence step by
step: decoders read positions, monotone networks entries. Gradients are not counted beside the passes that they are of.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.heads import Head

_NETWORKS = "embodied_gen.nets."


def network_calls(head: Head, c: Context) -> int:
    """Calls of networks for one draw of a head at each of some contexts."""
    with _counting(_networks(head)) as counts:
        head.sample(c, generator=draws.generator(0, device=head.event.low.device))
    return len(counts)


@contextmanager
def _counting(nets: list[nn.Module]) -> Iterator[list[None]]:
    """A list that grows with every call."""
    counts: list[None] = []
    hooks = [net.register_forward_hook(lambda *_: counts.append(None)) for net in nets]
    stepping = [net for net in nets if hasattr(net, "step")]  # which fires no hook
    for net in stepping:
        vars(net)["step"] = _counted(net.step, counts)
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()
        for net in stepping:
            del vars(net)["step"]


def _counted(step: Any, counts: list[None]) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        counts.append(None)
        return step(*arguments)

    return counted


def _networks(module: nn.Module) -> list[nn.Module]:
    """Networks of the library within a module, but not their parts."""
    if type(module).__module__.startswith(_NETWORKS):
        return [module]
    return [net for child in module.children() for net in _networks(child)]
