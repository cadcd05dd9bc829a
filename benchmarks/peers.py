"""Methods of keeping off obstacles: ours, and what peers do, on one planner; see `obstacles`."""

from collections.abc import Callable
from dataclasses import dataclass

import layouts
import mazes
import shapely
import torch
from layouts import Layout
from torch import Tensor

from embodied_gen import draws, experiment
from embodied_gen.heads import Guidance, Guide, Particles
from embodied_gen.heads.base import Head
from embodied_gen.heads.comparisons import NoisyMean, Projected, ThroughNetwork
from embodied_gen.predictor import Predictor
from planners import Constraint, KeepInRegion, KeepOutRegion, guide_of
from planners.constraints import Place
from planners.execution import Execution
from planners.guided import GuidedPlanner

BUFFER = 0.03  # between the ball and an obstacle, for errors of execution [m]
EPISODES = 10  # that are planned together


@dataclass(frozen=True)
class World:
    """A maze and what was learned in it."""

    maze: str
    run: experiment.Run
    execution: Execution
    free: shapely.Polygon
    walls: KeepInRegion


@dataclass(frozen=True)
class Method:
    """A way to plan among obstacles, with strengths to choose from."""

    name: str
    strengths: tuple[float, ...]
    make: Callable[[World, Layout, float], GuidedPlanner]


class AtWayPoints(Constraint):
    """A constraint on places that is read at way-points alone."""

    def __init__(self, constraint: Place):
        self.constraint, self.name = constraint, f"{constraint.name}, at way-points"

    def margins(self, y: Tensor) -> Tensor:
        """Margins of the way-points `(B, N, T)`."""
        return self.constraint.margins(y.flatten(1, 2).unsqueeze(2)).view(y.shape[:3])

    def margin(self, y: Tensor) -> Tensor:
        """The smallest of them on the exact geometry, `(B, N)`."""
        return self.constraint.margin(y.flatten(1, 2).unsqueeze(2)).view(y.shape[:3]).amin(-1)


class GuidedAlways:
    """A predictor whose draws follow a guide of its own, or none, whatever guide it is asked for."""

    def __init__(self, predictor: Predictor, guide: Guide | None):
        self.predictor, self.guide = predictor, guide

    @property
    def head(self) -> Head:
        """The head of the predictor."""
        return self.predictor.head

    def eval(self) -> "GuidedAlways":
        """The predictor itself, which is not trained."""
        return self

    def sample(
        self, observations: Tensor, n: int = 1, *, generator: draws.Generator, guide: Guide | None = None
    ) -> Tensor:
        """Draws under its own guide; see `Predictor.sample`."""
        return self.predictor.sample(observations, n, generator=generator, guide=self.guide)


def _obstacles(layout: Layout) -> KeepOutRegion:
    return KeepOutRegion(layout.grown(layouts.RADIUS + BUFFER))


def _planner(
    world: World, guidance: Guidance, predictor: Predictor | GuidedAlways, places: list[Constraint], candidates: int = 6
) -> GuidedPlanner:
    """The planner; the head is one for all methods, which run one after another."""
    world.run.predictor.head.guidance = guidance
    return mazes.guided_planner(
        world.run, world.execution, places, predictor=predictor, candidates=candidates, block=EPISODES
    )


def _none(world: World, layout: Layout, strength: float) -> GuidedPlanner:
    return _planner(world, Particles(), world.run.predictor, [world.walls])


def _ours(world: World, layout: Layout, strength: float) -> GuidedPlanner:
    return _planner(world, Particles(), world.run.predictor, [world.walls, _obstacles(layout)])


def _best_of(world: World, layout: Layout, strength: float) -> GuidedPlanner:
    places = [AtWayPoints(world.walls), AtWayPoints(_obstacles(layout))]
    return _planner(world, Particles(), GuidedAlways(world.run.predictor, None), places, int(strength))


def _steered(
    guidance: Callable[[float], Guidance], project: bool = False
) -> Callable[[World, Layout, float], GuidedPlanner]:
    def make(world: World, layout: Layout, strength: float) -> GuidedPlanner:
        places = [world.walls, _obstacles(layout)]
        at_points = [AtWayPoints(place) for place in places]
        guide = Guide(project=_pushed(places)) if project else guide_of(at_points)
        return _planner(world, guidance(strength), GuidedAlways(world.run.predictor, guide), at_points[:1])

    return make


def _pushed(places: list[KeepInRegion | KeepOutRegion], repeats: int = 3) -> Callable[[Tensor], Tensor]:
    """Way-points moved to the nearest place that is allowed, along the slope of the distance."""

    def project(y: Tensor) -> Tensor:
        p = y[..., :2]
        for place in places * repeats:
            with torch.enable_grad():
                at = p.detach().requires_grad_()
                margin = place.sign * place.distance(at)
                (slope,) = torch.autograd.grad(margin.sum(), at)
            slope = slope / slope.norm(dim=-1, keepdim=True).clamp(min=1e-6)
            p = at.detach() - margin.detach().clamp(max=0).unsqueeze(-1) * slope
        return torch.cat([p, y[..., 2:]], -1)

    return project


NONE = Method("none", (0.0,), _none)
OURS = Method("ours", (0.0,), _ours)
PEERS = (
    Method("gradient at the noisy mean", (100.0, 1000.0, 10000.0), _steered(NoisyMean)),
    Method("DPS", (3.0, 10.0, 30.0), _steered(ThroughNetwork)),
    Method("projection of every iterate", (0.0,), _steered(lambda _: Projected(), project=True)),
    Method("best of n", (6.0, 16.0, 64.0), _best_of),
)
