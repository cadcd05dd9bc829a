r"""Learned forecasters: a trained predictor draws the future of each pedestrian from what is seen around it.

    p(future of all | past) = prod_a p(future of a | past of a and of its nearest neighbours)

in the moving frame of each, of which turns and shifts leave densities as they are. Pedestrians are drawn independently
of each other, given what is observed.

Every pedestrian is drawn from a stream of its own (`streams`), so that a draw depends neither on the scenes beside it
nor on the order in which pedestrians are named.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.events import Event
from embodied_gen.forecasting.examples import agent_observations, nearest
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.frames import moving_frames_of
from embodied_gen.forecasting.streams import streams_of
from embodied_gen.heads import HasLogProb
from embodied_gen.predictor import Predictor

_ROWS = 1 << 14  # futures that are drawn at once


@final
class AgentForecaster:
    """Draws each pedestrian on its own.

    Args:
        predictor: Of what `AgentExamples` hold.
        neighbours: K, of those examples.
    """

    def __init__(self, predictor: Predictor, *, neighbours: int):
        self.predictor, self.neighbours = predictor, neighbours

    @torch.no_grad()
    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N futures, independent for each pedestrian, shape `(B, n, A, 12, 2)`."""
        seen = self.seen(observed)
        drawn = sampled(self.predictor, seen, n, streams_of(observed, generator))
        local = drawn.to(observed.tracks).unflatten(0, observed.present.shape).transpose(1, 2)
        return moving_frames_of(observed.tracks.unsqueeze(1)).outwards(local)

    def seen(self, observed: Observed) -> Tensor:
        """Observations of every pedestrian, `(B A, 8, 3 (1 + K))`, those who are not there included."""
        near = nearest(observed.last, observed.present, self.neighbours)
        scenes = torch.arange(len(near.agents), device=near.agents.device)
        others = observed.tracks[scenes[:, None, None], near.agents]
        tracks = torch.cat([observed.tracks.unsqueeze(2), others], 2)
        there = torch.cat([observed.present.unsqueeze(-1), near.there], -1)
        return agent_observations(tracks.flatten(0, 1), there.flatten(0, 1)).to(self.predictor.head.event.low)


@final
class DenseForecaster:
    """The same of a head whose density is exact; implements `HasDensity`.

    Args:
        predictor: Of what `AgentExamples` hold. That a `log_prob` is exact, and no bound, is for the caller to know.
        neighbours: K, of those examples.

    Raises:
        ValueError: If the head knows no density.
    """

    def __init__(self, predictor: Predictor, *, neighbours: int):
        if not isinstance(predictor.head, HasLogProb):
            raise ValueError(f"{type(predictor.head).__name__} has no log_prob; make an AgentForecaster of it instead.")
        self._agents, self._log_prob = AgentForecaster(predictor, neighbours=neighbours), predictor.head.log_prob

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """That of `AgentForecaster`."""
        return self._agents.forecast(observed, n, generator=generator)

    @torch.no_grad()
    def log_density(self, observed: Observed, future: Tensor) -> Tensor:
        """Log density of the futures of all who are there [nat, per m], exact, shape `(B,)`."""
        seen, predictor = self._agents.seen(observed), self._agents.predictor
        event = predictor.head.event
        local = moving_frames_of(observed.tracks).inwards(future).flatten(0, 1).to(seen)
        found = [
            self._log_prob(event.encode(value), predictor.encoder(part))
            for value, part in zip(local.split(_ROWS), seen.split(_ROWS), strict=True)
        ]
        log = torch.cat(found).to(future).view(observed.present.shape) - log_volume(event)
        return (log * observed.present).sum(-1)


def sampled(
    predictor: Predictor, seen: Tensor, n: int, streams: Sequence[torch.Generator], *, rows: int = _ROWS
) -> Tensor:
    """N draws for each observation, a stream for each, so many rows at once; `(B, n, *E)`, physical units."""
    size = max(1, rows // n)
    parts = [
        predictor.sample(part, n, generator=streams[at : at + len(part)])
        for at, part in zip(range(0, len(seen), size), seen.split(size), strict=True)
    ]
    return torch.cat(parts)


def log_volume(event: Event) -> float:
    """Logarithm of the volume in physical units of what has volume 1 in model units."""
    zero = torch.zeros(event.shape, dtype=event.low.dtype, device=event.low.device)
    slope = torch.autograd.functional.jacobian(event.unscale, zero)
    return float(slope.view(zero.numel(), zero.numel()).double().slogdet().logabsdet)
