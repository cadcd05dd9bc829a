"""The plane as a ground: events of one step with two numbers, whose density under a context is known.

Judged on draws of some contexts: the sliced Wasserstein distance to as many true points, over the floor (that of two
sets of true points); the share of draws that lie on a part of the density; and how often each part is drawn.
"""

from typing import Any, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from embodied_gen import draws
from embodied_gen.blocks import MLPBlock, NetBlock, PolicyControl
from embodied_gen.demos.episodes import Episodes
from embodied_gen.grounds.densities import Angle, Condition, Density, Free, Label, Scale
from embodied_gen.grounds.ground import Ground, Shown
from embodied_gen.grounds.measures import sliced_w2
from embodied_gen.grounds.shapes import Checkerboard, EightGaussians, Pinwheel, Shape, TwoMoons
from embodied_gen.predictor import Predictor

_DATA, _TRUTH, _OTHER, _DRAWS = 1, 2, 3, 4  # branches of the seed
_SHAPES: dict[str, type[Shape]] = {
    "eight_gaussians": EightGaussians,
    "two_moons": TwoMoons,
    "checkerboard": Checkerboard,
    "pinwheel": Pinwheel,
}
_CONDITIONS: dict[str, type[Condition]] = {"free": Free, "angle": Angle, "scale": Scale, "label": Label}


@final
class PlaneGround(Ground):
    """A density in the plane."""

    kind: Literal["plane"] = "plane"
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

    def episodes(self, show: Shown) -> Episodes:
        """Points as actions that were taken at their contexts, one an episode."""
        stream, density = draws.generator(0, _DATA), self.density
        c = density.contexts(self.points, generator=stream)
        y = density.sample(c, generator=stream)
        return Episodes(c, y, torch.arange(self.points + 1), f"{self.shape} under {self.condition}")

    def judge(self, predictor: Predictor, *, seed: int, workers: int) -> dict[str, Any]:
        """Distance over the floor, draws on the density and on each of its parts, and the truth's own NLL."""
        density, n = self.density, self.samples
        c = density.contexts(self.contexts, generator=draws.generator(0, _TRUTH))
        rows = c.repeat_interleave(n, 0)
        truth, other = (density.sample(rows, generator=draws.generator(0, k)) for k in (_TRUTH, _OTHER))
        device = predictor.head.event.low.device
        y = predictor.sample(c[:, None].to(device), n, generator=draws.generator(seed, _DRAWS, device=device))
        clouds = [cloud.reshape(-1, n, 2) for cloud in (y.cpu(), truth, other)]
        part = density.part_of(clouds[0].flatten(0, 1), rows)
        floor, distance = (
            float(sliced_w2(cloud, clouds[1]).square().mean().sqrt()) for cloud in (clouds[2], clouds[0])
        )
        found = {
            "trials": len(part),
            "successes": int((part >= 0).sum()),
            "parts": torch.bincount(part[part >= 0], minlength=density.shape.parts).tolist(),
            "distance": distance,
            "floor": floor,
        }
        return found | self._own_surprise(density, truth, rows, predictor)

    def _own_surprise(self, density: Density, truth: Tensor, rows: Tensor, predictor: Predictor) -> dict[str, float]:
        """-log p of true points for each number of an event in model units, where it is closed."""
        if not density.closed:
            return {}
        volume = float(predictor.head.event.half_width.log().sum())
        return {"nll_of_truth": -(float(density.log_density(truth, rows).mean()) + volume) / 2}
