r"""Forecasts by sets: where people will be, in no order, and who of them is who.

A head over sets (`SetExamples`, event `SetEvent`) draws the futures of a group as things z_1 .. z_A without names: it
was taught by the best matching of its estimates with what happened, not by an order of people. Names are given
afterwards. Who is at p with the last step v is the thing that begins nearest to p + v, all together,

    min over permutations s of  sum_a |z_{s(a), 1} - (p_a + v_a)|,

where a thing that is said to be absent goes to nobody as long as others are left.

Source: Carion et al. 2020 (arXiv:2005.12872) for sets by assignment.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.assignment import assign
from embodied_gen.draws import Generator
from embodied_gen.forecasting.examples import agent_observations
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.frames import frames_of
from embodied_gen.forecasting.groups import Groups, groups_of, spread
from embodied_gen.forecasting.learned import sampled
from embodied_gen.forecasting.streams import streams_of
from embodied_gen.predictor import Predictor

_ROWS = 1 << 12  # sets that are drawn at once
_FAR = 1e3  # by which an absent thing is farther away [m]


@final
class SetForecaster:
    """Draws groups of pedestrians as sets, and finds out who is who.

    Args:
        predictor: Of what `SetExamples` hold.
        neighbours: K of those examples: groups have up to 1 + K members.
    """

    def __init__(self, predictor: Predictor, *, neighbours: int):
        self.predictor, self.neighbours = predictor, neighbours

    @torch.no_grad()
    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N futures, joint within groups, shape `(B, n, A, 12, 2)`."""
        groups = groups_of(observed, 1 + self.neighbours)
        own = groups.streams(streams_of(observed, generator), observed.present.shape[1])
        tracks = groups.tracks(observed)
        seen = agent_observations(tracks, groups.there).to(self.predictor.head.event.low)
        sets = sampled(self.predictor, seen, n, own, rows=_ROWS).to(tracks)  # (G, n, A, 25)
        futures = frames_of(tracks[:, 0]).outwards(sets[..., :-1].flatten(1).unflatten(1, (-1, 2)))
        futures = futures.view(*sets.shape[:3], -1, 2)
        index = named(futures[..., 0, :], sets[..., -1] > 0.5, tracks, groups)
        return spread(futures.gather(2, index[..., None, None].expand_as(futures)), groups, observed)


def named(places: Tensor, there: Tensor, tracks: Tensor, groups: Groups) -> Tensor:
    """The thing of each member, int64, `(G, n, A)`.

    Args:
        places: Where things begin [m], shape `(G, n, A, 2)`.
        there: Whether they are said to be there, bool, `(G, n, A)`.
        tracks: Of the members [m], shape `(G, A, 8, 2)`.
        groups: Who of them is there.
    """
    going = 2 * tracks[:, None, :, -1] - tracks[:, None, :, -2]
    cost = torch.cdist(places, going) + _FAR * (~there).unsqueeze(-1)  # (G, n, things, members)
    cost = cost * groups.there[:, None, None]
    return assign(cost.flatten(0, 1)).view(places.shape[:3])
