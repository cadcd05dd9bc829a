r"""Block autoregressive layers: each entry goes through an increasing network of its own.

With a network y whose output for entry i increases in x_i and reads the entries before it (`MonotoneMLP`), and a
learned share g in (0, 1) for each entry,

    z_i = g x_i + (1 - g) y_i(x_1 .. x_i, c),    log |det| = sum_i log(g + (1 - g) dy_i/dx_i).

The first term makes the layer reach every z, which bounded networks do not, and bounds the inverse: its slope is at
least g, so that the root of entry i lies within |z_i - f_i(x)| / g of any x_i. Roots are found entry by entry, Newton's
method in that bracket; the network reads the entry that is looked for alone, beside what it keeps of those before.

Source: De Cao et al. 2019 (arXiv:1904.04676), with its gated residual connection.
"""

from typing import Any, Protocol, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.context import Context
from embodied_gen.heads.flows.autoregressive import require
from embodied_gen.heads.flows.base import Layer, read, total
from embodied_gen.heads.flows.root import increasing_root


class ReadsEntries(Protocol):
    """A monotone network that reads the entries of an event one by one, as `MonotoneMLP` does."""

    def start(self, t: Tensor, c: Context) -> Any:
        """The state before the first entry."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Tensor]:
        """The value of the next entry and the logarithm of its slope, if the entry is x; shapes `(M,)`."""

    def extend(self, x: Tensor, state: Any) -> Any:
        """The state after the next entry, if that is x."""


@final
class BlockAutoregressive(Layer):
    """A block autoregressive layer: one pass from data to noise, some twenty steps for each entry back.

    Args:
        shape: `*E` of the event.
        net: `net(x_t, t, c)` with two channels for each of the event's: values that increase in their own entry and
            depend on no later one, and the logarithms of those slopes. It reads entries one by one, too: see
            `ReadsEntries`.
        time: t with which the network is called; says which layer this is.
        iterations: Evaluations for each root.

    Raises:
        ValueError: If the network is not monotone.
    """

    def __init__(self, shape: tuple[int, ...], net: nn.Module, *, time: float = 0.0, iterations: int = 20):
        super().__init__()
        require(net, "monotone", "monotone")
        self.net, self.time, self.iterations = net, time, iterations
        self.gate = nn.Parameter(torch.zeros(shape))

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """One call of the network."""
        y, log_slope = read(self.net, x, self.time, c, 2).unbind(-1)
        log_kept, log_passed = functional.logsigmoid(self.gate), functional.logsigmoid(-self.gate)
        z = log_kept.exp() * x + log_passed.exp() * y
        return z, total(torch.logaddexp(log_kept, log_passed + log_slope))

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """Entry by entry; the last of Newton's steps carries the gradient."""
        net = cast(ReadsEntries, self.net)
        state, entries = net.start(z.new_full((len(z),), self.time), c), []
        for i, aim in enumerate(z.flatten(1).unbind(1)):
            root = self._root(aim, i, state)
            value, slope = self._entry(root, i, state)
            entries.append(root - (value - aim) / slope.detach())
            state = net.extend(entries[-1], state)
        return torch.stack(entries, 1).view_as(z)

    @torch.no_grad()
    def _root(self, aim: Tensor, i: int, state: Any) -> Tensor:
        """Entry i where f_i is `aim`, after the entries of the state."""

        def lack(entry: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = self._entry(entry, i, state)
            return value - aim, slope

        far = -lack(aim)[0] / self.gate.flatten()[i].sigmoid()
        return increasing_root(lack, aim + far.clamp(max=0), aim + far.clamp(min=0), iterations=self.iterations)

    def _entry(self, x: Tensor, i: int, state: Any) -> tuple[Tensor, Tensor]:
        """f_i and its slope where entry i is x, `(M,)` each."""
        y, log_slope = (part.to(x.dtype) for part in cast(ReadsEntries, self.net).step(x, state))
        kept = self.gate.flatten()[i].sigmoid()
        return kept * x + (1 - kept) * y, kept + (1 - kept) * log_slope.exp()
