r"""People who are forecast, as a constraint on the way of a robot: the link from a forecaster to a planner.

What is observed of people is cut out, forecasts of all are drawn, and those nearest to the robot make a
`ChanceOfCollision`. Somebody who was not there all the time goes back at the first step that was seen of it, or stands
still where there is none, so that a forecaster has positions of everybody.
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.forecasting.forecaster import Forecaster, Observed
from planners.chance import ChanceOfCollision

People = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Takes observations `(B, O)` apart: positions `(B, P, 8, 2)` [m], and who was there when, bool `(B, P, 8)`."""


@final
class ForeseenPeople:
    """Makes the constraint of a plan from what is observed; a `planners.seen.Seen`.

    Args:
        forecaster: Of those who are there.
        people: Where an observation has them.
        draws: K, forecasts of each.
        nearest: A, people who count; the others are farther away.
        radius: At which centres collide [m].
        gap: Beyond it; see `ChanceOfCollision`.
        every: Way-points between two frames of a forecast.
        allowed: Chance of a collision that is.
        most: Largest harm of one forecast; infinite where ways are steered.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        people: People,
        *,
        draws: int,
        nearest: int = 10,
        radius: float,
        gap: float,
        every: int,
        allowed: float = 0.0,
        most: float = 1.0,
    ):
        if draws < 1 or nearest < 1:
            raise ValueError(f"draws and nearest must be at least 1; got {draws} and {nearest}.")
        self.forecaster, self.people, self.draws, self.nearest = forecaster, people, draws, nearest
        self.radius, self.gap, self.every = radius, gap, every
        self.allowed, self.most = allowed, most

    def __call__(self, observed: Tensor, generators: Sequence[torch.Generator]) -> list[ChanceOfCollision]:
        """The constraint on ways from observations `(B, O)`, whose first two numbers are where the robot is.

        There is none, and nothing is drawn, where nobody is in any of them.
        """
        tracks, there = self.people(observed)
        if not there[..., -1].any():
            return []
        seen = Observed(carried_back(tracks, there), there[..., -1])
        drawn = self.forecaster.forecast(seen, self.draws, generator=generators)
        futures = torch.cat([seen.last[:, None, :, None].expand(-1, self.draws, -1, -1, -1), drawn.to(tracks)], 3)
        away = (seen.last - observed[:, None, :2]).norm(dim=-1).masked_fill(~seen.present, torch.inf)
        near = away.argsort(1)[:, : self.nearest]
        picked = near[:, None, :, None, None].expand(-1, self.draws, -1, *futures.shape[3:])
        return [
            ChanceOfCollision(
                futures.gather(2, picked),
                seen.present.gather(1, near),
                radius=self.radius,
                gap=self.gap,
                every=self.every,
                allowed=self.allowed,
                most=self.most,
            )
        ]


def carried_back(tracks: Tensor, there: Tensor) -> Tensor:
    """Tracks before somebody came, straight back at the first step that was seen.

    Args:
        tracks: Positions, oldest first, shape `(..., T, 2)`; of no meaning where nobody was.
        there: Who was there when, bool, `(..., T)`: never, or from some time on until now.

    Returns:
        The same, finite; zero where nobody is now.
    """
    count = there.sum(-1, keepdim=True)
    first = (there.shape[-1] - count).clamp(max=there.shape[-1] - 1)
    second = (first + 1).clamp(max=there.shape[-1] - 1)
    start, step = (tracks.gather(-2, at.unsqueeze(-1).expand(*at.shape, 2)) for at in (first, second))
    before = first - torch.arange(there.shape[-1], device=tracks.device)
    back = start - before.unsqueeze(-1) * (step - start)
    return torch.where(there.unsqueeze(-1), tracks, back) * there[..., -1:, None]
