"""Densities in the plane as grounds: events of one step that stand for a point, whose density under a context is known.

Judged on draws of some contexts: the sliced Wasserstein distance to as many true points, over the floor (what other
true points have to the same, the root of the mean square over several sets); the share of draws that lie on a part of
the density; how often each part is drawn; and how far draws spread within their parts, over how far true points do
(see `statistics.modes`).

The bounds of a point are those of the density and not of the data, so that no held-out point lies outside of what a
head with bounds can say.
"""

import abc
import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from embodied_gen import draws, statistics
from embodied_gen.blocks import BinaryBlock, EventBlock, MLPBlock, NetBlock, PolicyControl
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch
from embodied_gen.events import Event
from embodied_gen.experiment import Sizes
from embodied_gen.grounds.densities import Angle, Condition, Density, Free, Label, Scale
from embodied_gen.grounds.ground import Ground, Shown, require_finite
from embodied_gen.grounds.measures import apart, slices
from embodied_gen.grounds.shapes import Checkerboard, EightGaussians, Pinwheel, Shape, TwoMoons
from embodied_gen.predictor import Predictor
from embodied_gen.training.settings import TrainSettings

_DATA, _TRUTH, _OTHERS, _DRAWS = 1, 2, 3, 4  # branches of the seed
_FLOORS = 20  # sets of other true points
_SHAPES: dict[str, type[Shape]] = {
    "eight_gaussians": EightGaussians,
    "two_moons": TwoMoons,
    "checkerboard": Checkerboard,
    "pinwheel": Pinwheel,
}
_CONDITIONS: dict[str, type[Condition]] = {"free": Free, "angle": Angle, "scale": Scale, "label": Label}


class DensityGround(Ground, abc.ABC):
    """A density in the plane, however its points are coded as events."""

    shape: Literal["eight_gaussians", "two_moons", "checkerboard", "pinwheel"] = Field(description="The density.")
    condition: Literal["free", "angle", "scale", "label"] = Field("free", description="How a context acts on it.")
    points: int = Field(20_000, ge=2, description="Points to learn from and to hold out.")
    contexts: int = Field(8, ge=1, description="Contexts that draws are judged at.")
    samples: int = Field(2000, ge=2, description="Draws for each of them.")
    net: NetBlock = MLPBlock(width=256, depth=3)
    control: PolicyControl = PolicyControl(history=1, horizon=1, actions=1)

    @property
    def density(self) -> Density:
        """What it is about."""
        return Density(_SHAPES[self.shape](), _CONDITIONS[self.condition]())

    @abc.abstractmethod
    def coded(self, y: Tensor) -> Tensor:
        """Points `(M, 2)` as values of one step, physical units, `(M, D)`."""

    @abc.abstractmethod
    def decoded(self, values: Tensor) -> Tensor:
        """The points `(M, 2)` that draws `(M, D)` stand for."""

    @abc.abstractmethod
    def log_size(self, event: Event) -> float:
        """Logarithm of the size in the plane of what probabilities are for: a model unit of all numbers, or a cell."""

    def episodes(self, show: Shown) -> Episodes:
        """Points as actions that were taken at their contexts, one an episode."""
        stream, density = draws.generator(0, _DATA), self.density
        c = density.contexts(self.points, generator=stream)
        y = self.coded(density.sample(c, generator=stream))
        return Episodes(c, y, torch.arange(self.points + 1), f"{self.shape} under {self.condition}")

    def sizes(self) -> Sizes:
        """Of a context and a coded point."""
        density = self.density
        c = density.contexts(1, generator=draws.generator(0, _DATA))
        return Sizes(c.shape[1], self.coded(c.new_zeros(1, 2)).shape[1])

    @property
    def judgements(self) -> int:
        """Draws of all contexts."""
        return self.contexts * self.samples

    def judge(self, predictor: Predictor, *, seed: int, workers: int) -> dict[str, Any]:
        """Distance over the floor, draws on the density and on each of its parts, and their spread."""
        truth = _truth(self.model_copy(update={"net": MLPBlock(), "train": TrainSettings()}))
        device = predictor.head.event.low.device
        stream = draws.generator(seed, _DRAWS, device=device)
        y = predictor.sample(truth.contexts[:, None].to(device), self.samples, generator=stream).cpu()
        require_finite(y)
        drawn, k = self.decoded(y.flatten(0, 2)), self.density.shape.parts
        part = self.parts(drawn, truth.rows)
        on = part >= 0
        counts = torch.bincount(part[on], minlength=k * self.contexts)
        distance = apart(slices(drawn.view(self.contexts, -1, 2)), truth.slices)
        return {
            "trials": part.numel(),
            "successes": int(counts.sum()),
            "parts": counts.view(-1, k).tolist(),
            "due": (self.samples * self.density.shares(truth.contexts)).tolist(),
            "distance": float(distance.square().mean().sqrt()),
            "floor": truth.floor,
            "spread": statistics.spread(drawn[on], part[on], truth.points, truth.parts),
        }

    def surprise_of_truth(self, held_out: Batch, event: Event) -> float | None:
        """Where the density is closed; of cells by the density in their middle."""
        if not self.density.closed:
            return None
        points, contexts = self.decoded(held_out.value[:, 0]).cpu(), held_out.observations[:, 0].cpu()
        log_density = float(self.density.log_density(points, contexts).mean())
        return -(log_density + self.log_size(event)) / event.low.numel()

    def parts(self, y: Tensor, rows: Tensor) -> Tensor:
        """The part of each point `(B n, 2)`, those of each context counted anew, shape `(B n,)`; -1 for stray ones."""
        part = self.density.part_of(y, rows)
        first = self.density.shape.parts * torch.arange(self.contexts).repeat_interleave(len(y) // self.contexts)
        return torch.where(part >= 0, part + first, -1)


@final
@dataclass(frozen=True)
class Truth:
    """What draws of every family are compared with.

    Attributes:
        contexts: That are judged, shape `(B, C)`.
        rows: The context of each draw, shape `(B n, C)`.
        points: True ones that are on the density as they are coded, shape `(M, 2)`, M <= B n.
        parts: Their parts, those of each context counted anew, shape `(M,)`.
        slices: Of all true points, see `measures.slices`; shape `(B, directions, n)`.
        floor: Distance of other true points to them, the root of the mean square.
    """

    contexts: Tensor
    rows: Tensor
    points: Tensor
    parts: Tensor
    slices: Tensor
    floor: float


@functools.lru_cache(maxsize=1)  # cells of one ground come one after the other
def _truth(ground: DensityGround) -> Truth:
    density, n = ground.density, ground.samples
    c = density.contexts(ground.contexts, generator=draws.generator(0, _TRUTH))
    rows = c.repeat_interleave(n, 0)

    def points(*branches: int) -> Tensor:
        return ground.decoded(ground.coded(density.sample(rows, generator=draws.generator(0, *branches))))

    exact = points(_TRUTH)
    truth, parts = slices(exact.view(len(c), n, 2)), ground.parts(exact, rows)
    others = (slices(points(_OTHERS, k).view(len(c), n, 2)) for k in range(_FLOORS))
    squares = torch.stack([apart(other, truth).square().mean() for other in others])
    return Truth(c, rows, exact[parts >= 0], parts[parts >= 0], truth, float(squares.mean().sqrt()))


@final
class PlaneGround(DensityGround):
    """Points as they are: two numbers."""

    kind: Literal["plane"] = "plane"

    def coded(self, y: Tensor) -> Tensor:
        """The points themselves."""
        return y

    def decoded(self, values: Tensor) -> Tensor:
        """The points themselves."""
        return values

    def event_of(self, values: Tensor) -> Event:
        """With the bounds of the density, whatever the values are."""
        reach = self.density.reach
        return self.event.build(torch.tensor([[[-reach, -reach]], [[reach, reach]]]))

    def log_size(self, event: Event) -> float:
        """Of a model unit of both numbers."""
        return float(event.half_width.log().sum())


@final
class BitsGround(DensityGround):
    """Points as the Gray codes of their cells, as models of binary units are compared.

    A coordinate in [-1, 1] is one of 2^bits cells; what lies beyond is clamped. Neighbours differ in one unit.
    Source: Dai et al. 2020, "Learning discrete energy-based models via auxiliary-variable local exploration".
    """

    kind: Literal["bits"] = "bits"
    bits: int = Field(6, ge=1, le=16, description="Units of a coordinate.")
    event: EventBlock = BinaryBlock()

    def coded(self, y: Tensor) -> Tensor:
        """Units of 0 and 1, `(M, 2 bits)`."""
        cells = 2**self.bits
        index = ((y + 1) / 2 * cells).floor().clamp(0, cells - 1).long()
        gray = index ^ (index >> 1)
        return ((gray.unsqueeze(-1) >> torch.arange(self.bits)) & 1).flatten(1).float()

    def decoded(self, values: Tensor) -> Tensor:
        """The middles of the cells; a unit is on above 1/2."""
        units = (values > 0.5).long().unflatten(-1, (2, self.bits))
        # A binary digit is the parity of the code's digits from it upwards.
        digits = units.flip(-1).cumsum(-1).flip(-1) % 2
        index = (digits << torch.arange(self.bits)).sum(-1)
        return (2 * index + 1) / 2**self.bits - 1

    def log_size(self, event: Event) -> float:
        """Of a cell."""
        return 2 * math.log(2 / 2**self.bits)
