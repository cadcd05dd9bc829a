r"""Groups: pedestrians who are near each other, drawn jointly by a head over scenes.

    p(futures of all | past) = prod_g p(futures of group g | past of the group, walls around it)

A head over scenes knows up to A agents. Where there are more, they are parted into groups of A: the first who is left,
in the order of positions, with those nearest to it who are left, until nobody is. Within a group futures depend on each
other; groups are independent of each other, and one does not see another. Each group has a stream of its own, from its
scene's and its first member's rank, so that a forecast changes neither with the scenes beside it nor with the order in
which pedestrians are named.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.forecasting.examples import crowd_observations, require_walls
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.frames import frames_of
from embodied_gen.forecasting.learned import sampled
from embodied_gen.forecasting.streams import ranks_of, streams_of
from embodied_gen.forecasting.walls import nearest_points
from embodied_gen.predictor import Predictor

_ROWS = 1 << 12  # groups that are drawn at once


class Groups(NamedTuple):
    """Who belongs together."""

    scenes: Tensor  # (G,), of each group
    members: Tensor  # (G, A), numbers of pedestrians, the first member first; of no meaning where nobody is there
    there: Tensor  # (G, A), bool

    def streams(self, streams: Sequence[torch.Generator], agents: int) -> list[torch.Generator]:
        """Those of the first members, of the streams of all pedestrians of scenes of so many."""
        return [streams[at] for at in (self.scenes * agents + self.members[:, 0]).tolist()]

    def tracks(self, observed: Observed) -> Tensor:
        """What was seen of the members, `(G, A, 8, 2)`; zero where nobody is there."""
        return observed.tracks[self.scenes.unsqueeze(1), self.members] * self.there[..., None, None]


def groups_of(observed: Observed, size: int) -> Groups:
    """The groups of up to `size` pedestrians of some scenes."""
    rank, left = ranks_of(observed), observed.present.clone()
    apart = torch.cdist(observed.last, observed.last, compute_mode="donot_use_mm_for_euclid_dist")
    rows, found = torch.arange(len(left), device=left.device), []
    while bool(left.any()):
        first = rank.masked_fill(~left, rank.shape[1]).argmin(1)
        away = apart[rows, first].masked_fill(~left, torch.inf)
        away[rows, first] = torch.where(left[rows, first], -1.0, torch.inf).to(away)
        near = _padded(away.sort(dim=1, stable=True).indices[:, :size], size)
        there = _padded(left.gather(1, near[:, : left.shape[1]]), size)
        some = there[:, 0]
        found.append(Groups(rows[some], near[some], there[some]))
        taken = torch.zeros_like(left).scatter(1, near[:, : left.shape[1]], there[:, : left.shape[1]])
        left = left & ~taken
    return Groups(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def spread(drawn: Tensor, groups: Groups, observed: Observed) -> Tensor:
    """Futures of groups, `(G, n, A, 12, 2)`, as those of the pedestrians of scenes, `(B, n, A, 12, 2)`."""
    found = drawn.new_zeros(*observed.present.shape, drawn.shape[1], *drawn.shape[3:])
    group, member = groups.there.nonzero().unbind(1)
    found[groups.scenes[group], groups.members[group, member]] = drawn[group, :, member]
    return found.transpose(1, 2)


def _padded(members: Tensor, size: int) -> Tensor:
    return torch.nn.functional.pad(members, (0, size - members.shape[1]))


@final
class GroupForecaster:
    """Draws groups of pedestrians jointly.

    Args:
        predictor: Of what `CrowdExamples` hold.
        neighbours: K of those examples: groups have up to 1 + K members.
        points: P of those examples.
    """

    def __init__(self, predictor: Predictor, *, neighbours: int, points: int = 0):
        self.predictor, self.neighbours, self.points = predictor, neighbours, points

    @torch.no_grad()
    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N futures, joint within groups, shape `(B, n, A, 12, 2)`.

        Raises:
            ValueError: If the head reads walls and none are known.
        """
        require_walls(observed.walls, self.points)
        groups = groups_of(observed, 1 + self.neighbours)
        own = groups.streams(streams_of(observed, generator), observed.present.shape[1])
        tracks = groups.tracks(observed)
        seen = crowd_observations(tracks, groups.there, self._points_of(observed, groups, tracks))
        seen = seen.to(self.predictor.head.event.low)
        local = sampled(self.predictor, seen, n, own, rows=_ROWS).to(tracks)
        return spread(frames_of(tracks.unsqueeze(1)).outwards(local), groups, observed)

    def _points_of(self, observed: Observed, groups: Groups, tracks: Tensor) -> Tensor | None:
        """The nearest points of walls of each member, `(G, A, P, 2)`."""
        if self.points == 0 or observed.walls is None:
            return None
        last = tracks[:, :, -1]
        found = last.new_zeros(*last.shape[:2], self.points, 2)
        for scene in groups.scenes.unique().tolist():  # walls are of scenes, of which most have the same
            rows = groups.scenes == scene
            found[rows] = nearest_points(last[rows], observed.walls[scene], self.points)
        return found
