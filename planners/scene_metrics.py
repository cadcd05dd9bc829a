r"""What generated scenes are judged by: failures on the road and among agents, and how real motions are.

With A agents over steps k = 1 .. T, scene by scene:

    off_road          share of (agent, step) with the centre, or a corner of the box, outside of the road;
                      swept: share of agents whose box leaves it at any moment
    collision         share of agents whose box meets another's at a step; swept: at any moment
    fail              share of agents with a collision or a corner off the road at a step
    real              mean over longitudinal acceleration, lateral acceleration and jerk of the Wasserstein-1 distance
                      between histograms of 20 bins (over +-2 m/s^2, +-2 m/s^2, +-1 m/s^3) of scenes and of real ones
    relative          the same of the differences between agents

Motions are read every half second. Histograms cut off the tails, where failures sit, so the distance between quantiles
of the whole distributions is given too (`unclipped`).

Definitions: those of CTG's evaluation (Zhong et al. 2023, arXiv:2210.17366), with boxes and swept boxes beside centres.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners.boxes import boxes_of, outline, separation
from planners.collisions import NoCollision
from planners.constraints import Constraint
from planners.roads import OnRoad
from planners.scenes import HEADING, SPEED, present

BINS = 20
RANGES = (2.0, 2.0, 1.0)  # of longitudinal acceleration, lateral acceleration [m/s^2] and jerk [m/s^3]
_SAMPLED = 0.5  # [s]


class Failures(NamedTuple):
    """Shares of agents, or of agents and steps, in [0, 1], each of shape `(S,)`, one a scene."""

    off_road_centre: Tensor
    off_road_box: Tensor
    off_road_swept: Tensor
    collision: Tensor
    collision_swept: Tensor
    fail: Tensor


def failures(scenes: Tensor, region: shapely.Geometry, road: OnRoad) -> Failures:
    """How scenes fail.

    Args:
        scenes: Shape `(S, A, 1 + T, 7)`, the present first, which does not count.
        region: The road.
        road: The same as a constraint on all agents.
    """
    boxes, here = boxes_of(scenes)
    later, there = boxes[:, :, 1:], here[:, :, 1:]
    corners = outline(later)
    outside = ~_inside(region, later[..., :2]) & there
    offside = (~_inside(region, corners)).any(-1) & there
    counted = here.any(-1)
    agents = counted.sum(1).clamp(min=1)
    steps = there.sum((1, 2)).clamp(min=1)
    hit = _overlaps(later, there)
    each = range(scenes.shape[1])
    return Failures(
        off_road_centre=outside.sum((1, 2)) / steps,
        off_road_box=offside.sum((1, 2)) / steps,
        off_road_swept=_broken([OnRoad(road.distance, agents=[agent]) for agent in each], scenes) / agents,
        collision=hit.any(-1).sum(1) / agents,
        collision_swept=_broken([NoCollision(agents=[agent]) for agent in each], scenes) / agents,
        fail=(hit.any(-1) | offside.any(-1)).sum(1) / agents,
    )


def _inside(region: shapely.Geometry, points: Tensor) -> Tensor:
    at = points.double().cpu().numpy()
    return torch.from_numpy(shapely.intersects_xy(region, at[..., 0], at[..., 1])).to(points.device)


def _overlaps(boxes: Tensor, there: Tensor) -> Tensor:
    """Whether each agent's box meets any other's at each step; `(S, A, T)`."""
    apart = separation(boxes.unsqueeze(2), boxes.unsqueeze(1))
    both = there.unsqueeze(2) & there.unsqueeze(1)
    other = ~torch.eye(boxes.shape[1], dtype=torch.bool, device=boxes.device)[:, :, None]
    return ((apart < 0) & both & other).any(2)


def _broken(each: Sequence[Constraint], scenes: Tensor) -> Tensor:
    """How many agents of each scene break their own constraint at any moment; `(S,)`."""
    margins = [constraint.margin(scenes.unsqueeze(1))[:, 0] for constraint in each]
    there = present(scenes).any(-1)
    return ((torch.stack(margins, 1) < 0) & there).sum(1)


class Realism(NamedTuple):
    """Distances to real motions; lower is better."""

    real: float
    relative: float
    unclipped: float


def realism(scenes: Tensor, real: Tensor, period: float) -> Realism:
    """How far motions of scenes are from real ones.

    Args:
        scenes: Shape `(S, A, 1 + T, 7)`.
        real: Shape `(R, A, 1 + T, 7)`.
        period: Time between steps [s].
    """
    ours, theirs = _rates(scenes, period), _rates(real, period)
    between = [
        _histogram_distance(_differences(a), _differences(b), limit)
        for a, b, limit in zip(ours, theirs, RANGES, strict=True)
    ]
    pairs = list(zip(ours, theirs, RANGES, strict=True))
    return Realism(
        real=float(np.mean([_histogram_distance(_known(a), _known(b), limit) for a, b, limit in pairs])),
        relative=float(np.mean(between)),
        unclipped=float(np.mean([_quantile_distance(_known(a), _known(b)) for a, b, _ in pairs])),
    )


def _rates(scenes: Tensor, period: float) -> list[NDArray[np.float64]]:
    """Longitudinal and lateral acceleration and jerk at half seconds, `(S, A, K)` each; nan for the absent."""
    values: NDArray[np.float64] = scenes.double().cpu().numpy()
    seconds: NDArray[np.float64] = period * np.arange(values.shape[2], dtype=np.float64)
    at: NDArray[np.float64] = np.arange(0, seconds[-1] + 1e-9, _SAMPLED)
    speed, heading = _read(values[..., SPEED], seconds, at), _read(np.unwrap(values[..., HEADING]), seconds, at)
    along = np.diff(speed) / _SAMPLED
    across = (speed[..., 1:] + speed[..., :-1]) / 2 * np.diff(heading) / _SAMPLED
    there = present(scenes).all(-1).cpu().numpy()[..., None]
    return [np.where(there, rate, np.nan) for rate in (along, across, np.diff(along) / _SAMPLED)]


def _read(values: NDArray[np.float64], seconds: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the last axis read in between, linearly."""
    place = np.clip(at / (seconds[1] - seconds[0]), 0, len(seconds) - 1)
    before = np.minimum(place.astype(int), len(seconds) - 2)
    share = place - before
    return values[..., before] * (1 - share) + values[..., before + 1] * share


def _differences(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between every two agents of a scene, flat."""
    first, second = np.triu_indices(rates.shape[1], 1)
    return _known(rates[:, first] - rates[:, second])


def _known(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return rates[np.isfinite(rates)]


def _histogram_distance(a: NDArray[np.float64], b: NDArray[np.float64], limit: float) -> float:
    """Wasserstein-1 distance of histograms over [-limit, limit]."""
    edges = np.linspace(-limit, limit, BINS + 1)
    counts = [np.histogram(rates, edges)[0] for rates in (a, b)]
    if not (counts[0].sum() and counts[1].sum()):
        return float("nan")
    shares = [count / count.sum() for count in counts]
    return float(np.abs(np.cumsum(shares[0] - shares[1])).sum() * (edges[1] - edges[0]))


def _quantile_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Wasserstein-1 distance of samples, by 200 quantiles."""
    at = (np.arange(200) + 0.5) / 200
    return float(np.abs(np.quantile(a, at) - np.quantile(b, at)).mean()) if len(a) and len(b) else float("nan")
