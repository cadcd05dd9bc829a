r"""Joint forecasts: draws of each pedestrian, put together so that nobody walks into anybody.

A forecaster that draws pedestrians independently of each other, y_a ~ p_a, makes scenes in which they collide. Drawn
here is from

    p(y_1 .. y_A)  ∝  prod_a p_a(y_a) exp(-strength C(y)),

with C the number of pairs that come nearer than two radii at any moment between the steps of the forecast, exactly
(`collisions`): the product of the forecaster's own laws, restricted softly to scenes without collisions. A pair that
cannot help but collide, such as two who stand in one place, stays as likely as anything else that it can do.

For each scene m candidates of each pedestrian are drawn, and a Gibbs chain over which of them are taken begins with the
first of each. Pedestrian by pedestrian, in the order of where they are, it draws

    P(i_a = i | others)  ∝  exp(-strength number of others whom candidate i of a collides with).

Over many sweeps that is the law above with p_a replaced by the m candidates; as m grows it is the law itself. A few
sweeps part those who collide, but do not go from one way of passing by to a rarer one in proportion. Scenes have
candidates and chains of their own, so that n draws are independent. With a strength of zero they are the forecaster's.

Sources: sampling importance resampling, Rubin 1988; Gibbs sampling, Geman and Geman 1984.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.draws import Generator
from embodied_gen.forecasting.collisions import RADIUS, closest, near
from embodied_gen.forecasting.forecaster import Forecaster, Observed
from embodied_gen.forecasting.streams import ranks_of, streams_of, streams_of_scenes

_HELD = 1 << 17  # pairs of futures that are compared at once


@final
class JointForecaster:
    """Draws of another forecaster, chosen jointly; see the module.

    Args:
        forecaster: Draws pedestrians independently of each other.
        candidates: m of each pedestrian for each scene drawn, so many times the draws that are asked for.
        sweeps: How often each pedestrian is drawn again.
        strength: What a colliding pair costs [nat].
        radius: Of a pedestrian [m].

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        *,
        candidates: int = 10,
        sweeps: int = 4,
        strength: float = 8.0,
        radius: float = RADIUS,
    ):
        if candidates < 1 or sweeps < 1 or not (0 <= strength < math.inf and 0 < radius < math.inf):
            raise ValueError(
                "candidates and sweeps must be at least 1, strength at least 0 and radius positive; "
                f"got {candidates}, {sweeps}, {strength} and {radius}."
            )
        self.forecaster, self.candidates, self.sweeps = forecaster, candidates, sweeps
        self.strength, self.radius = strength, radius

    @torch.no_grad()
    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N joint futures of every scene, independent of each other, shape `(B, n, A, 12, 2)`."""
        apart = [draws.split(stream, 2) for stream in streams_of_scenes(observed, generator)]
        drawn = self.forecaster.forecast(observed, n * self.candidates, generator=[first for first, _ in apart])
        futures = drawn.unflatten(1, (n, self.candidates)).transpose(2, 3)
        streams = streams_of(observed, [second for _, second in apart])
        shape = (len(streams), n, self.sweeps, self.candidates)
        noise = draws.gumbel(shape, generator=streams, like=drawn).unflatten(0, observed.present.shape)
        order, size = ranks_of(observed).argsort(1), max(1, _HELD // (n * self.candidates * drawn.shape[2]))
        parts = (part.split(size) for part in (futures, observed.present, noise, order))
        return torch.cat([self._chosen(*scenes) for scenes in zip(*parts, strict=True)])

    def _chosen(self, futures: Tensor, present: Tensor, noise: Tensor, order: Tensor) -> Tensor:
        """The ends of chains.

        Args:
            futures: Candidates, `(B, n, A, m, 12, 2)`.
            present: Who is there, `(B, A)`.
            noise: Gumbel draws, `(B, A, n, sweeps, m)`.
            order: Who is drawn when, `(B, A)`.

        Returns:
            Shape `(B, n, A, 12, 2)`.
        """
        taken, scenes = futures[:, :, :, 0].clone(), torch.arange(len(futures), device=futures.device)
        for sweep in range(self.sweeps):
            for who in order.unbind(1):  # each is drawn given the others, so one after the other
                own = futures[scenes, :, who]
                cost = self.strength * _collisions(own, taken, _met(present, who), 2 * self.radius)
                best = (noise[scenes, who, :, sweep] - cost).argmax(-1)
                index = best[..., None, None, None].expand(-1, -1, 1, *own.shape[3:])
                taken[scenes, :, who] = own.gather(2, index).squeeze(2)
        return taken


def _met(present: Tensor, who: Tensor) -> Tensor:
    """Whom a pedestrian of each scene can collide with, `(B, A)`: nobody, if it is not there."""
    other = torch.arange(present.shape[1], device=present.device) != who.unsqueeze(1)
    return present & other & present.gather(1, who.unsqueeze(1))


def _collisions(own: Tensor, taken: Tensor, met: Tensor, gap: float) -> Tensor:
    """How many of those who are met each candidate `(B, n, m, 12, 2)` collides with, `(B, n, m)`."""
    one, others = own.unsqueeze(3), taken.unsqueeze(2)
    close = near((one.amin(-2), one.amax(-2)), (others.amin(-2), others.amax(-2)), gap) & met[:, None, None]
    scene, draw, candidate, other = close.nonzero().unbind(1)
    apart = own[scene, draw, candidate] - taken[scene, draw, other]
    there = torch.ones((), dtype=torch.bool, device=own.device)
    hit = (closest(apart, there) < gap).to(own.dtype)
    return own.new_zeros(own.shape[:3]).index_put_((scene, draw, candidate), hit, accumulate=True)
