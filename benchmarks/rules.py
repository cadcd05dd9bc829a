"""Rules of `scenes.py`, made from free draws of a scene, so that they can be met but seldom are."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from embodied_gen.events.scene import STATE
from planners import Constraint, KeepInRegion, polygon_of
from planners.attributes import AttributeRange, Fixed
from planners.scenes import HEADING, SPEED, OfAgents
from planners.spans import During

ASKED = 1  # the vehicle that rules are about: the nearest to the ego


@dataclass(frozen=True)
class Rule:
    """What is asked for beside no collision and the road."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    cost: Callable[[Tensor], Tensor] | None = None


def rules_of(free: Tensor) -> list[Rule]:
    """The rules of one scene, from free draws `(1, FREE, A, 1 + T, 7)`."""
    asked = free[0, :, ASKED]
    gone = asked[:, 1:, :2].sub(asked[:, :-1, :2]).norm(dim=-1).sum(-1)
    order = gone.argsort()
    x, y = asked[order[len(order) // 4], -1, :2].tolist()
    square = polygon_of([(x - 3, y - 3), (x + 3, y - 3), (x + 3, y + 3), (x - 3, y + 3)])
    slow = float(asked[:, -1, SPEED].quantile(1 / 3))
    given = asked[order[-len(order) // 4]]
    return [
        Rule("region", (During(OfAgents(KeepInRegion(square), [ASKED]), -1, -1),)),
        Rule("attribute", (During(OfAgents(AttributeRange("speed", -1.0, slow + 0.1), [ASKED]), -1, -1),)),
        Rule("initial", (During(OfAgents(_given(given), [ASKED]), 1, 5),)),
        Rule("collision"),
        Rule("on-road"),
        Rule("reward", cost=_faster),
    ]


def _given(track: Tensor) -> Constraint:
    mask = torch.zeros(5, STATE, dtype=torch.bool)
    mask[:, : SPEED + 1] = True
    return Fixed(track[1:6], mask, 0.3, angles=[HEADING])


def _faster(scenes: Tensor) -> Tensor:
    """How many vehicles do not end slower than they are by 0.5 m/s: a cost without slope."""
    return (scenes[..., -1, SPEED] > scenes[..., 0, SPEED] - 0.5).to(scenes.dtype).sum(-1)
