r"""Instance maps one object at a time, by recurrent attention, until a score says that there are no more.

A network looks at the image and at a canvas of what is segmented already, and proposes at each step t a box, the
probability s_t that there is another object, and probabilities p_t of its pixels. An image of n objects is drawn by

    n = the number of steps before the first with s_t <= v_t,        mask_t = {p_t > u_t} without earlier masks,

with v_t and u_t uniform in (0, 1), one for each step: every pixel of an object has its own probability, and all pixels
of an object move together. The most likely answer, `segment`, has 1/2 for both.

**Training.** Objects have no order, so that steps and objects are matched for the least sum of

    cost(t, j) = 1 - IoU(p_t, mask_j) + 1 - GIoU(box_t, box_j)           (`heads.soft_overlap`)

among the first n steps, with which the loss of boxes and masks is the mean over objects. The score is learned by

    -1/N sum_t [t < n] log min_{t' <= t} s_t' + [t >= n] log (1 - max_{t' >= t} s_t'),

which is least where scores fall monotonically through 1/2 after n steps.

**The canvas.** At each step one object that is not on it yet is added, the one whose box overlaps the proposed one
most. It is painted as the network drew it with a probability of IoU(p_t, mask_j), and as it is otherwise. So the
network sees true canvases before it can draw, and its own the more the better it does: the schedule has no clock, and
the loss stays a function of weights, example and draws. No gradient passes the canvas.

Guides are followed by proposals: k finished maps are drawn for each sample, and one is kept.

Source: Ren and Zemel 2017 (arXiv:1605.09410); the canvas's schedule differs, theirs runs with the step of training.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.assignment import assign
from embodied_gen.boxes import corners, giou
from embodied_gen.context import Context
from embodied_gen.context import size as size_of
from embodied_gen.events.instances import InstanceMap
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import RowGuide, drawn
from embodied_gen.heads.soft_overlap import boxes_of, mask_iou

_NEVER = 1e3  # cost of a step after the last object


@runtime_checkable
class Looks(Protocol):
    """A network that looks for one object after the other."""

    def begin(self, c: Any, /) -> Mapping[str, Tensor]:
        """The state before the first step, from contexts."""

    def look(
        self, state: Mapping[str, Tensor], canvas: Tensor, /
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        """The state after a step, box (cx, cy, w, h) `(B, 4)`, logit of an object `(B,)`, of its pixels `(B, H, W)`."""


class Segmentation(NamedTuple):
    """Objects of B images, in the order in which they were found."""

    labels: Tensor  # (B, H, W), int64: 0, or 1 + the step at which the object of a pixel was found
    boxes: Tensor  # (B, N, 4), cx, cy, w, h, shares of the image; of any value where there is no object
    there: Tensor  # (B, N), probability that there is an object at this step, falling


class _Seen(NamedTuple):
    """What was proposed at each of N steps."""

    boxes: Tensor  # (B, N, 4)
    there: Tensor  # (B, N), logits
    masks: Tensor  # (B, N, H, W), logits


@final
class RecurrentAttentionHead(Head):
    """p(x | c) of instance maps by one object a step.

    Args:
        event: Maps of up to N objects, for which there are N steps.
        net: Looks for objects; for maps of the event's size.
        candidates: Maps drawn for each sample under a guide.

    Raises:
        ValueError: If candidates is below 1 or the network is of another kind.
    """

    event: InstanceMap
    net: Looks

    def __init__(self, event: InstanceMap, net: nn.Module, *, candidates: int = 16):
        super().__init__(event)
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1; got {candidates}.")
        if not isinstance(net, Looks):
            raise ValueError(
                "the network of a recurrent attention head must have the methods begin and look; "
                f"got {type(net).__name__}. Take nets.GlimpseNet, or net.kind glimpse in a config."
            )
        self.net, self.candidates = net, candidates

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Overlaps lost of masks and boxes, and the score's loss, each of order one; shape `(B,)`.

        Pixels that are not `valid`, shape `(B, H, W)`, belong to no object and are not compared.
        """
        masks = self.event.masks(x).to(x.dtype)
        if valid is not None:
            masks = masks * valid.unsqueeze(1)
        seen = self._follow(c, masks, generator)
        probability = seen.masks.sigmoid()
        if valid is not None:
            probability = probability * valid.unsqueeze(1)
        overlap = giou(corners(seen.boxes).unsqueeze(2), corners(boxes_of(masks)).unsqueeze(1))
        cost = 2 - mask_iou(probability.flatten(2), masks.flatten(2)) - overlap
        there = masks.flatten(2).any(2)
        return _of_matched(cost, there) + _of_scores(seen.there, there.sum(1))

    @torch.no_grad()
    def segment(self, c: Context) -> Segmentation:
        """The most likely objects of each context: what is likelier than not, pixel by pixel and step by step."""
        halves = self._like().new_full((size_of(c), self.event.objects), 0.5)
        return self._segment(c, halves, halves)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        return drawn(self._draw, c, guide, candidates=self.candidates, generator=generator)

    def _draw(self, c: Context, generator: draws.Generator) -> Tensor:
        like, steps = self._like(), self.event.objects
        levels = draws.uniform((size_of(c), 2 * steps), generator=generator, like=like)
        return self.event.coded(self._segment(c, levels[:, :steps], levels[:, steps:]).labels)

    def _segment(self, c: Context, pixels: Tensor, stops: Tensor) -> Segmentation:
        """Objects of pixels and steps above levels, `(B, N)` each."""
        labels = torch.zeros((len(pixels), *self.event.shape[:2]), dtype=torch.long, device=pixels.device)
        state, boxes, there, least = self.net.begin(c), [], [], torch.ones_like(stops[:, 0])
        going = torch.ones_like(least, dtype=torch.bool)
        for step in range(self.event.objects):
            state, box, score, mask = self.net.look(state, (labels > 0).to(pixels.dtype))
            least = torch.minimum(least, score.sigmoid())
            going = going & (score.sigmoid() > stops[:, step])
            new = (mask.sigmoid() > pixels[:, step, None, None]) & going[:, None, None] & (labels == 0)
            labels = labels.masked_fill(new, step + 1)
            boxes.append(box)
            there.append(least)
        return Segmentation(labels, torch.stack(boxes, 1), torch.stack(there, 1))

    def _follow(self, c: Context, masks: Tensor, generator: draws.Generator) -> _Seen:
        """All steps on images of true masks `(B, N, H, W)`."""
        state, canvas, seen = self.net.begin(c), torch.zeros_like(masks[:, 0]), []
        free, boxes = masks.flatten(2).any(2), boxes_of(masks)
        chances = draws.uniform(free.shape, generator=generator, like=masks)
        for step in range(self.event.objects):
            state, *proposed = self.net.look(state, canvas)
            box, score, mask = (part.to(masks.dtype) for part in proposed)
            seen.append((box, score, mask))
            with torch.no_grad():
                added, free = _added(box, mask, masks, boxes, free, chances[:, step])
                canvas = torch.maximum(canvas, added)
        found = (torch.stack(parts, 1) for parts in zip(*seen, strict=True))
        return _Seen(*found)


def _added(
    box: Tensor, mask: Tensor, masks: Tensor, boxes: Tensor, free: Tensor, chance: Tensor
) -> tuple[Tensor, Tensor]:
    """What a step adds to the canvas, `(B, H, W)`, and which objects `(B, N)` are not on it then."""
    overlap = giou(corners(box).unsqueeze(1), corners(boxes)).masked_fill(~free, -torch.inf)
    taken = functional.one_hot(overlap.argmax(1), free.shape[1]).bool() & free
    true = (masks * taken[:, :, None, None]).sum(1)
    share = mask_iou(mask.sigmoid().flatten(1).unsqueeze(1), true.flatten(1).unsqueeze(1)).flatten()
    added = torch.where((chance < share)[:, None, None], (mask > 0).to(true.dtype), true)
    return added, free & ~taken


def _of_matched(cost: Tensor, there: Tensor) -> Tensor:
    """Mean cost of objects with their steps, matched for the least sum; `(B, N, N)` and `(B, N)` to `(B,)`."""
    count = there.sum(1)
    late = torch.arange(cost.shape[1], device=cost.device) >= count.unsqueeze(1)
    with torch.no_grad():
        order = assign((cost + _NEVER * late.unsqueeze(2)) * there.unsqueeze(1))
    matched = cost.gather(1, order.unsqueeze(1)).squeeze(1)
    return torch.where(there, matched, 0.0).sum(1) / count.clamp(min=1)


def _of_scores(logits: Tensor, count: Tensor) -> Tensor:
    """The monotone loss of scores `(B, N)` for images of so many objects `(B,)`, nat a step."""
    more = functional.logsigmoid(logits).cummin(1).values
    none = functional.logsigmoid(-logits).flip(1).cummin(1).values.flip(1)
    another = torch.arange(logits.shape[1], device=logits.device) < count.unsqueeze(1)
    return -torch.where(another, more, none).mean(1)
