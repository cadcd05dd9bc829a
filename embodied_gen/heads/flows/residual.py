r"""Residual layers: z = x + g(x, c) with a network g that is a contraction in x.

With a Lipschitz constant L < 1 of g, the inverse is the limit of x <- z - g(x), whose k-th term is within
L^k |g| / (1 - L) of it. A row whose terms have stopped to differ, but for rounding, is left as it is, whatever its
neighbours do. With J = dg/dx the log-determinant is a power series, and its gradient another,

    log det(1 + J) = sum_(k>=1) (-1)^(k+1) tr(J^k) / k,
    d log det(1 + J) = tr( sum_(k>=0) (-1)^k J^k dJ ).

`normalise` takes the determinant of the whole Jacobian, exact, n products for n entries. `estimate`, for training,
takes traces by one probe v (Hutchinson), and cuts the series off after N terms (`Truncation`): after a fixed number,
which is biased by L^N, or after a random one with the k-th term divided by P(N >= k), which is unbiased (Russian
roulette). The rows of a batch share N: each with its own, all would wait for the longest of them.

Sources: Behrmann et al. 2019 (arXiv:1811.00995); Chen et al. 2019, "Residual Flows" (arXiv:1906.02735), theorem 1 and
eq. 8.
"""

import abc
import itertools
import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.heads.flows.autoregressive import require
from embodied_gen.heads.flows.base import Layer, read
from embodied_gen.heads.flows.trace import jacobian, pull


class Truncation(abc.ABC):
    """How many terms of a series are added up, and with which weights."""

    @abc.abstractmethod
    def weights(self, *, generator: draws.Generator) -> list[float]:
        """Weights of the terms 1, 2, .., N."""


@final
class First(Truncation):
    """The first terms, which is biased.

    Args:
        terms: As many, >= 1.
    """

    def __init__(self, terms: int = 10):
        if terms < 1:
            raise ValueError(f"terms must be at least 1; got {terms}.")
        self.terms = terms

    def weights(self, *, generator: draws.Generator) -> list[float]:
        """Ones; nothing is drawn."""
        return [1.0] * self.terms


class Roulette(Truncation, abc.ABC):
    """The first terms, and a random number of further ones: unbiased.

    Args:
        terms: That are always taken, >= 1.
    """

    def __init__(self, terms: int):
        self.terms = terms

    @abc.abstractmethod
    def further(self, u: float) -> list[float]:
        """Weights 1 / P(N >= k) of the further terms, of the number of them that u, uniform in [0, 1), stands for."""

    @final
    def weights(self, *, generator: draws.Generator) -> list[float]:
        """Ones, and the further ones of a draw. Waits for the generator's device; of several the first draws."""
        stream = generator if isinstance(generator, torch.Generator) else generator[0]
        u = draws.uniform((1,), generator=stream, like=torch.zeros(1, dtype=torch.float64)).item()
        return [1.0] * self.terms + self.further(u)


@final
class Geometric(Roulette):
    """Further terms while a coin says so.

    Args:
        terms: That are always taken, >= 1.
        more: Probability of each further term, in [0, 1). Where it is above L^2 the variance is finite.
    """

    def __init__(self, terms: int = 4, more: float = 0.65):
        if terms < 1 or not 0 <= more < 1:
            raise ValueError(f"terms must be at least 1 and more lie in [0, 1); got {terms} and {more}.")
        super().__init__(terms)
        self.more = more

    def further(self, u: float) -> list[float]:
        """1 / more^j for the j-th."""
        extra = 0 if self.more == 0 else math.floor(math.log(1 - u) / math.log(self.more))
        return [self.more**-j for j in range(1, extra + 1)]


@final
class Poisson(Roulette):
    """A Poisson number of further terms: never many.

    Args:
        terms: That are always taken, >= 1.
        mean: Of the further terms, > 0.
    """

    def __init__(self, terms: int = 4, mean: float = 2.0):
        if terms < 1 or not mean > 0:
            raise ValueError(f"terms must be at least 1 and mean positive; got {terms} and {mean}.")
        super().__init__(terms)
        most = int(mean + 10 * math.sqrt(mean) + 20)  # no draw of a float reaches beyond
        mass = [math.exp(j * math.log(mean) - mean - math.lgamma(j + 1)) for j in range(most + 1)]
        # P(N >= j) for j = 1, 2, .., added up from the small end to keep its digits.
        self._reach = list(itertools.accumulate(reversed(mass[1:])))[::-1]

    def further(self, u: float) -> list[float]:
        """1 / P(N >= j) for the j-th, which is taken where u < P(N >= j)."""
        return [1 / reach for reach in self._reach if u < reach]


@final
class Residual(Layer):
    """A residual layer.

    Args:
        net: `net(x_t, t, c)`, a contraction in x_t such as `LipschitzMLP`; as many channels as the event has.
        time: t with which the network is called; says which layer this is.
        truncation: Of the series in training.
        iterations: Terms of the way back, at most.

    Raises:
        ValueError: If the network is not a contraction.
    """

    def __init__(
        self, net: nn.Module, *, time: float = 0.0, truncation: Truncation | None = None, iterations: int = 60
    ):
        super().__init__()
        require(net, "contracting", "lipschitz")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1; got {iterations}.")
        self.net, self.time, self.iterations = net, time, iterations
        self.truncation = truncation or Geometric()

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """The determinant of the Jacobian."""
        wanted = torch.is_grad_enabled()
        x, g = self._with_graph(x, c)
        with torch.set_grad_enabled(wanted):
            whole = jacobian(g, x)
            log_det = torch.linalg.slogdet(whole + torch.eye(whole.shape[1], dtype=x.dtype, device=x.device))[1]
            return x + g, log_det

    def estimate(self, x: Tensor, c: Context, *, generator: draws.Generator) -> tuple[Tensor, Tensor]:
        """The power series along one probe; value and gradient are estimates on their own."""
        wanted = torch.is_grad_enabled()
        probe = draws.signs(x.shape, generator=generator, like=x)
        weights = self.truncation.weights(generator=generator)
        x, g = self._with_graph(x, c)
        with torch.no_grad():
            log_det, neumann = _series(g, x, probe, weights)
        with torch.set_grad_enabled(wanted):
            if wanted:  # its value is of no use, its gradient is that of the log-determinant
                slope = (pull(g, x, neumann) * probe).flatten(1).sum(1)
                log_det = log_det + slope - slope.detach()
            return x + g, log_det

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """Fixed-point iteration, until no row moves or for as many terms as there are at most.

        For a gradient all terms are taken, as derivatives settle later than values.
        """
        values_alone = not (torch.is_grad_enabled() and z.requires_grad)
        x, moving = z, z.new_ones(len(z), dtype=torch.bool)
        with parametrize.cached():  # weights are scaled once, not at every term
            for _ in range(self.iterations):
                new = z - self._g(x, c)
                if not values_alone:
                    x = new
                    continue
                step, size = (part.abs().flatten(1).amax(1) for part in (new - x, new))
                x = torch.where(context.aligned(moving, x), new, x)
                moving = moving & (step > torch.finfo(x.dtype).eps * size.clamp(min=1))
                # An accelerator would be waited for: there a settled row costs its terms, and gains nothing by them.
                if x.device.type == "cpu" and not bool(moving.any()):
                    break
        return x

    def _g(self, x: Tensor, c: Context) -> Tensor:
        return read(self.net, x, self.time, c, 1).squeeze(-1)

    @torch.enable_grad()
    def _with_graph(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        x = x if x.requires_grad else x.detach().requires_grad_()
        return x, self._g(x, c)


def _series(g: Tensor, x: Tensor, probe: Tensor, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Estimates of log det(1 + J), `(M,)`, and of v (1 + J)^-1, `(M, *E)`, by powers of J from the left."""
    power = neumann = probe
    log_det = x.new_zeros(len(x))
    for k, weight in enumerate(weights, start=1):
        power = -pull(g, x, power)
        log_det = log_det - weight / k * (power * probe).flatten(1).sum(1)
        neumann = neumann + weight * power
    return log_det, neumann
