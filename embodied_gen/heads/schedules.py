r"""Schedules: how much signal and how much noise is left at a time.

At time t in [0, 1] an event x becomes  x_t = alpha(t) x + sigma(t) eps,  eps ~ N(0, 1); t = 0 is clean, t = 1
is noise. Diffusion and flow matching differ only here:

    linear, cosine   variance preserving, alpha^2 + sigma^2 = 1, tables of N levels t = i / N
    rectified        alpha = 1 - t, sigma = t
    Karras           alpha = 1, sigma from 0.002 to 80

Sources: Ho et al. 2020 (arXiv:2006.11239); Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 17; Karras et al.
2022 (arXiv:2206.00364), eq. 5 and table 1; Liu et al. 2022 (arXiv:2209.03003); Lipman et al. 2023
(arXiv:2210.02747).
"""

import abc
import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from embodied_gen import draws


class Level(NamedTuple):
    """A noise level of a sampling grid, as plain numbers so that a sampler never waits for a device."""

    t: float
    alpha: float
    sigma: float


class Coefficients(NamedTuple):
    """Signal and noise at times t, each of the shape of t, with their derivatives by t."""

    alpha: Tensor
    sigma: Tensor
    alpha_rate: Tensor
    sigma_rate: Tensor


class Schedule(nn.Module, abc.ABC):
    """A path from data to noise.

    Attributes:
        data_deviation: Standard deviation of the data in model units that scalings assume.
        most: Steps of the finest grid; None where there may be any number.
        least_noise: The least sigma / alpha of a level that is not clean; 0 where there is none.
    """

    data_deviation: float = 1.0
    most: int | None = None
    least_noise: float = 0.0

    @abc.abstractmethod
    def coefficients(self, t: Tensor) -> Coefficients:
        """alpha, sigma and their rates at times t in (0, 1]."""

    @abc.abstractmethod
    def time(self, angle: Tensor) -> Tensor:
        """The time at which tan(angle) = sigma / alpha, for angles in [0, pi / 2]; the nearest where there is none."""

    @abc.abstractmethod
    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """Training times, shape `(rows,)`."""

    @abc.abstractmethod
    def density(self, t: Tensor) -> Tensor:
        """Density of the law of `draw` at times that it draws, positive, of the shape of t.

        The mean of f(t) / density(t) over drawn times is the integral of f. It is infinite where the law has an atom.
        """

    @abc.abstractmethod
    def grid(self, steps: int) -> list[Level]:
        """`steps` + 1 levels from noise to the clean level (0, 1, 0).

        Raises:
            ValueError: If the schedule has fewer levels than `steps`, or `steps` < 1.
        """

    def at_most(self, steps: int) -> int:
        """`steps`, or those of the finest grid where it has fewer."""
        return steps if self.most is None else min(steps, self.most)

    @property
    def initial_deviation(self) -> float:
        """Standard deviation of x_t at t = 1."""
        return 1.0

    def input_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Factor on x_t before it enters a network; one where x_t has about unit size at all times."""
        return torch.ones_like(alpha)


class _Table(Schedule):
    """Variance-preserving levels from a list of betas; times off the table read the nearest level."""

    _tables: Tensor
    _angles: Tensor

    def __init__(self, betas: Tensor):
        super().__init__()
        if not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("every beta must lie strictly between 0 and 1.")
        product = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas.double()).cumprod(0)])
        self.levels = self.most = len(betas)
        curves = [product.sqrt(), (1 - product).sqrt()]
        rates = [torch.gradient(curve, spacing=1 / self.levels)[0] for curve in curves]
        self.register_buffer("_tables", torch.stack(curves + rates), persistent=False)
        self.register_buffer("_angles", torch.atan2(curves[1], curves[0]), persistent=False)
        self.least_noise = float(curves[1][1] / curves[0][1])

    def coefficients(self, t: Tensor) -> Coefficients:
        index = (t * self.levels).round().long().clamp(0, self.levels)
        return Coefficients(*self._tables[:, index].to(t.dtype))

    def time(self, angle: Tensor) -> Tensor:
        between = (self._angles[1:] + self._angles[:-1]) / 2
        return (torch.searchsorted(between, angle.to(between.dtype)) / self.levels).to(angle.dtype)

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        u = draws.uniform((rows,), generator=generator, like=like)
        return ((u * self.levels).floor().clamp(max=self.levels - 1) + 1) / self.levels

    def density(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)  # every level stands for the times around it

    def grid(self, steps: int) -> list[Level]:
        if not 1 <= steps <= self.levels:
            raise ValueError(f"steps must lie between 1 and the schedule's {self.levels} levels; got {steps}.")
        chosen = [round(self.levels * (1 - i / steps)) for i in range(steps + 1)]
        signal, noise = self._tables[:2].tolist()
        return [Level(i / self.levels, signal[i], noise[i]) for i in chosen]


@final
class Linear(_Table):
    """Betas in equal steps from `first` to `last`, as in DDPM. With fewer levels give larger betas."""

    def __init__(self, levels: int = 1000, first: float = 1e-4, last: float = 0.02):
        super().__init__(torch.linspace(first, last, levels, dtype=torch.float32))


@final
class Cosine(_Table):
    """The squared-cosine table (diffusers: "squaredcos_cap_v2"), betas capped at 0.999."""

    def __init__(self, levels: int = 100, offset: float = 0.008):
        angle = (torch.linspace(0, 1, levels + 1, dtype=torch.float64) + offset) / (1 + offset)
        product = (angle * math.pi / 2).cos().square()
        super().__init__((1 - product[1:] / product[:-1]).clamp(max=0.999))


@final
class Rectified(Schedule):
    """Straight paths from noise to data: flow matching and rectified flow.

    Args:
        concentration: Training times are drawn as logistic(concentration * normal) where positive, which puts
            more of them in the middle (Esser et al. 2024, arXiv:2403.03206); uniform where zero.
        smallest: Training times are at least this, so that a velocity is a difference worth learning.
    """

    def __init__(self, concentration: float = 0.0, smallest: float = 1e-3):
        super().__init__()
        self.concentration = concentration
        self.smallest = smallest

    def coefficients(self, t: Tensor) -> Coefficients:
        """1 - t, t and their rates -1, 1."""
        one = torch.ones_like(t)
        return Coefficients(1 - t, t, -one, one)

    def time(self, angle: Tensor) -> Tensor:
        """The share of the sine in sine and cosine."""
        return angle.sin() / (angle.sin() + angle.cos())

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """Uniform or logit-normal times."""
        if self.concentration > 0:
            z = draws.normal((rows,), generator=generator, like=like)
            t = (self.concentration * z).sigmoid()
        else:
            t = draws.uniform((rows,), generator=generator, like=like)
        return self.smallest + (1 - self.smallest) * t

    def density(self, t: Tensor) -> Tensor:
        """One over the range of uniform times, or the logit-normal density over it."""
        if not self.concentration > 0:
            return torch.full_like(t, 1 / (1 - self.smallest))
        share = (t - self.smallest) / (1 - self.smallest)
        share = share.clamp(torch.finfo(t.dtype).eps, 1 - torch.finfo(t.dtype).eps)
        bell = _bell(share.logit(), 0.0, self.concentration)
        return (bell / (share * (1 - share)) / (1 - self.smallest)).clamp(min=torch.finfo(t.dtype).tiny)

    def grid(self, steps: int) -> list[Level]:
        """Equal steps of t."""
        _check_steps(steps)
        return [Level(1 - i / steps, i / steps, 1 - i / steps) for i in range(steps)] + [Level(0, 1, 0)]


@final
class Karras(Schedule):
    """The schedule of EDM: sigma^(1/rho) is linear in t; training draws log sigma from a normal.

    Args:
        smallest, largest: Range of sigma, model units.
        rho: Curvature of the grid.
        data_deviation: Standard deviation of the data, model units.
        mean, deviation: Of log sigma in training.
    """

    def __init__(
        self,
        smallest: float = 0.002,
        largest: float = 80.0,
        rho: float = 7.0,
        data_deviation: float = 0.5,
        mean: float = -1.2,
        deviation: float = 1.2,
    ):
        super().__init__()
        if not 0 < smallest < largest:
            raise ValueError(f"smallest must lie between 0 and largest; got {smallest} and {largest}.")
        self.smallest = self.least_noise = smallest
        self.largest, self.rho = largest, rho
        self.data_deviation = data_deviation
        self.mean, self.deviation = mean, deviation

    @property
    def initial_deviation(self) -> float:
        """Sigma at t = 1."""
        return self.largest

    def _ends(self) -> tuple[float, float]:
        return self.smallest ** (1 / self.rho), self.largest ** (1 / self.rho)

    def coefficients(self, t: Tensor) -> Coefficients:
        """1, sigma(t) and their rates."""
        low, high = self._ends()
        root = low + t * (high - low)
        rate = self.rho * root ** (self.rho - 1) * (high - low)
        return Coefficients(torch.ones_like(t), root**self.rho, torch.zeros_like(t), rate)

    def time(self, angle: Tensor) -> Tensor:
        """Linear in the root of sigma."""
        low, high = self._ends()
        return ((angle.tan() ** (1 / self.rho) - low) / (high - low)).clamp(0, 1)

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """Times at which log sigma is normal, confined to [0, 1]."""
        low, high = self._ends()
        z = draws.normal((rows,), generator=generator, like=like)
        sigma = (self.mean + self.deviation * z).exp()
        return ((sigma ** (1 / self.rho) - low) / (high - low)).clamp(0, 1)

    def density(self, t: Tensor) -> Tensor:
        """The density of log sigma times its rate by t; infinite at both ends, where times are confined."""
        low, high = self._ends()
        root = low + t * (high - low)
        inside = _bell(self.rho * root.log(), self.mean, self.deviation) * self.rho * (high - low) / root
        return torch.where((t > 0) & (t < 1), inside, math.inf)

    def grid(self, steps: int) -> list[Level]:
        """Equal steps of sigma^(1/rho), then the clean level."""
        _check_steps(steps)
        low, high = self._ends()
        times = [1 - i / max(steps - 1, 1) for i in range(steps)]
        return [Level(t, 1.0, (low + t * (high - low)) ** self.rho) for t in times] + [Level(0, 1, 0)]

    def input_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """1 / sqrt(data variance + sigma^2), EDM's c_in."""
        return (self.data_deviation**2 * alpha.square() + sigma.square()).rsqrt()


def _bell(x: Tensor, mean: float, deviation: float) -> Tensor:
    """Density of a normal."""
    return (-((x - mean) / deviation).square() / 2).exp() / (deviation * math.sqrt(2 * math.pi))


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1; got {steps}.")
