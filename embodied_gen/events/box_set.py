r"""Sets of boxes: what is where in an image.

A set is N slots of a box (cx, cy, w, h), in shares of the image, and a score in [0, 1] for each of K classes: how
likely it is that the box holds a thing of that class. An empty slot has scores of zero. In model units all numbers are

    x = s (2 y / e - 1),

with a signal scale s, by which the share of noise levels at which boxes can still be told apart is chosen, and with an
extent e: one for middles and scores, and for sizes the width and height that few things exceed (`extent_of`), so that
boxes that are noise are as large as things are. A larger thing lies beyond s, and is a box like any other: estimates
are confined to the image, and not to the extent. The order of slots means nothing. Values, as data has them, are rows
(cx, cy, w, h, label, score) of which those with a score above a half are things.

An estimate has many slots for few things. A matching (`boxes.matching`) says which slots belong to which thing; with m
the number of matched slots, p the scores and q = 1 where a slot is matched to a thing of that class and 0 elsewhere,

    error = (2 sum focal(p, q) + sum_matched (5 |corners_hat - corners|_1 + 2 (1 - GIoU))) / max(m, m_0).

It is zero at equality where no two things overlap much, and depends on neither order. Each example is divided by its
own m: the loss of an example then says nothing of its batch. What is estimated where there is nothing would weigh many
times as much in an image of one thing as in one of ten; from m_0 matched slots down it weighs the same. Scores beyond
[0, 1] and sizes below zero, which a network may well estimate, cost the square of what they are off.

Where the error is an expectation over noisy sets, empty slots are filled with boxes from e N(1/2, 1/6), so that noisy
sets hold boxes everywhere, as those that a sampler starts from do.

Sources: Chen et al. 2023 (DiffusionDet, arXiv:2211.09788) for boxes from noise, their scale, padding, costs and
weights; Lin et al. 2017 (arXiv:1708.02002) for the focal loss.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.boxes import DynamicK, Matching, corners, giou, iou, suppress
from embodied_gen.events.base import Event

VALUE = 6
"""Numbers of a thing of a value: cx, cy, w, h, label, score."""
_BALANCE, _FOCUS = 0.25, 2.0  # alpha and gamma of the focal loss
_OF_CLASS, _OF_CORNERS, _OF_OVERLAP = 2.0, 5.0, 2.0  # weights in costs and errors
_CONSIDERED = 100  # boxes that a merged set has at least, where there are so many
_SMALLEST = 1e-6  # of probabilities under a logarithm
_FILLED = 1 / 6  # deviation of the boxes in empty slots, shares of the extent
_THINNEST = 1e-4  # of those boxes, likewise
_ROUNDING = 1e-3  # by which a box may lie outside of the image


@final
class BoxSet(Event):
    """An event of shape `(N, 4 + K)`; its value is a tensor of rows (cx, cy, w, h, label, score), `(n, 6)` with n <= N.

    Args:
        classes: K, >= 1.
        count: Slots N, >= 1.
        objects: The most things of a value, G <= N, which costs of matching grow with; N where None.
        signal: Scale s of model units, > 0.
        extent: Width and height e that few things exceed, shares of the image, in (0, 1].
        least: Matched slots m_0 by which an error is divided at least, > 0.
        matching: Which slots belong to which things; `DynamicK` where None.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        classes: int,
        count: int,
        *,
        objects: int | None = None,
        signal: float = 2.0,
        extent: Sequence[float] = (1.0, 1.0),
        least: float = 1.0,
        matching: Matching | None = None,
    ):
        if classes < 1 or count < 1:
            raise ValueError(f"a box set needs at least one class and one slot; got {classes} and {count}.")
        for name, number in (("signal", signal), ("least", least)):
            if not number > 0:
                raise ValueError(f"{name} must be positive; got {number}.")
        if objects is not None and not 0 <= objects <= count:
            raise ValueError(f"objects must lie between 0 and the {count} slots; got {objects}.")
        if len(extent) != 2 or not all(0 < side <= 1 for side in extent):
            raise ValueError(
                f"extent must be a width and a height in (0, 1], shares of the image; got {list(extent)}. "
                "Take that of `extent_of`, or (1, 1)."
            )
        super().__init__((count, 4 + classes), [0.0] * (4 + classes), [1.0, 1.0, *extent] + [1.0] * classes)
        self._objects = count if objects is None else objects
        self.signal, self.least = signal, least
        self.matching = matching or DynamicK()

    @property
    def classes(self) -> int:
        """K."""
        return self.shape[-1] - 4

    @property
    def own(self) -> tuple[int, ...]:
        """One number for each channel: slots are all alike."""
        return (1, self.shape[-1])

    @property
    def count(self) -> int:
        """Slots N; may be set on a trained head that draws boxes from noise, and whatever refers to its event follows.

        Raises:
            ValueError: If it is set to less than one.
        """
        return self.shape[0]

    @count.setter
    def count(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"a box set needs at least one slot; got {count}.")
        self.shape = (count, self.shape[1])

    @property
    def objects(self) -> int:
        """The most things of a value, G."""
        return min(self._objects, self.count)

    def scale(self, y: Tensor) -> Tensor:
        """Shares and scores to model units, s (2 y / e - 1); shape `(..., N, 4 + K)`."""
        return self.signal * (2 * y / self.high - 1)

    def unscale(self, x: Tensor) -> Tensor:
        """Model units to shares and scores; shape `(..., N, 4 + K)`."""
        return (x / self.signal + 1) / 2 * self.high

    def confined(self, x_hat: Tensor, bound: float) -> Tensor:
        """Middles and scores within the bound; sizes, which the extent does not bound, up to that of the image."""
        image = self.signal * (2 / self.high - 1)
        return torch.minimum(x_hat.clamp(min=-bound), image.clamp(min=bound))

    def encode(self, value: Tensor) -> Tensor:
        """Things, shape `(B, n, 6)`, to model units, `(B, N, 4 + K)`: things first, then empty slots in the middle.

        Raises:
            ValueError: If the shape, a label or a box is wrong, or there are too many things.
        """
        if value.ndim != 3 or value.shape[2] != VALUE:
            raise ValueError(
                f"boxes must have shape (B, n, {VALUE}), rows (cx, cy, w, h, label, score); got {tuple(value.shape)}."
            )
        there = value[..., 5] > 0.5
        self._check_values(value, there)
        order = there.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, : self.objects]
        boxes, label = value[..., :4].gather(1, _wide(order, 4)), value[..., 4].gather(1, order)
        kept = there.gather(1, order)
        label = torch.where(kept, label, 0.0).long()
        score = functional.one_hot(label, self.classes).to(value.dtype) * kept.unsqueeze(-1)
        y = torch.cat([torch.where(kept.unsqueeze(-1), boxes, self.centre[:4].to(boxes)), score], -1)
        return self.scale(torch.cat([y, self._empty(len(y), self.shape[0] - y.shape[1])], 1))

    def decode(self, x: Tensor) -> Tensor:
        """Rows (cx, cy, w, h, label, score) of the likeliest class of each slot, shape `(B, N, 6)`."""
        self.check(x)
        y = self.unscale(x)
        score, label = y[..., 4:].max(-1, keepdim=True)
        return torch.cat([y[..., :4], label.to(y.dtype), score.clamp(0, 1)], -1)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """See the module; slots of x that are not `valid`, shape `(B, N)`, hold nothing."""
        y_hat, y, there = self.unscale(x_hat), *self._things(x, valid)
        owner = self._owner(y_hat, y, there)
        matched = owner >= 0
        theirs = y.gather(1, _wide(owner.clamp(min=0), y.shape[-1]))
        target = theirs[..., 4:] * matched.unsqueeze(-1)
        p, ours, goal = y_hat[..., 4:], corners(y_hat[..., :4]), corners(theirs[..., :4])
        box = _OF_CORNERS * (ours - goal).abs().sum(-1) + _OF_OVERLAP * (1 - giou(ours, goal))
        beyond = (p - p.clamp(0, 1)).square().sum(-1) + y_hat[..., 2:4].clamp(max=0).square().sum(-1)
        total = _OF_CLASS * _focal(p, target).sum((1, 2)) + (box * matched).sum(1) + beyond.sum(1)
        return total / matched.sum(1).clamp(min=self.least)

    def residual(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Differences of the matched things from their slots, whose mean square over all slots is that of the matched.

        An unmatched slot has a difference of its scores from zero, and none of its box.
        """
        y, there = self._things(x, None)
        owner = self._owner(self.unscale(x_hat), y, there)
        matched = (owner >= 0).unsqueeze(-1)
        theirs = self.scale(y).gather(1, _wide(owner.clamp(min=0), y.shape[-1]))
        share = matched.to(x.dtype).mean(1, keepdim=True).clamp(min=1 / matched.shape[1])
        boxes = torch.where(matched, theirs - x_hat, 0.0)[..., :4] * share.rsqrt()
        scores = torch.where(matched, theirs, -self.signal)[..., 4:] - x_hat[..., 4:]
        return torch.cat([boxes, scores], -1)

    def filled(self, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Sets whose empty slots hold random boxes, e N(1/2, 1/6), of no class; sizes are positive."""
        share = 0.5 + _FILLED * draws.normal((*x.shape[:-1], 4), generator=generator, like=x)
        share = torch.cat([share[..., :2], share[..., 2:].clamp(min=_THINNEST)], -1)
        there = (x[..., 4:] > 0).any(-1, keepdim=True)
        return torch.cat([torch.where(there, x[..., :4], self.signal * (2 * share - 1)), x[..., 4:]], -1)

    def likely(self, x: Tensor, *, threshold: float = 0.5) -> Tensor:
        """Which slots have a class with a score above a threshold, `(..., N, 4 + K)` to bool `(..., N)`."""
        return (self.unscale(x)[..., 4:] > threshold).any(-1)

    def merged(self, x: Tensor, *, threshold: float = 0.5) -> Tensor:
        """One set of several without duplicates: of each place and class the likeliest box.

        Every pair of a box and a class of all sets is looked at on its own, the likeliest first, in blocks until there
        are a hundred boxes, which is what scores look at, or as many as an image has objects where these are more. It
        is a reduction of samples (`reduce`), to the most likely set.

        Args:
            x: Sets, model units, shape `(B, n, N, 4 + K)`.
            threshold: IoU above which a box is a duplicate.

        Returns:
            Boxes in the order of falling scores, each of one class, then empty slots; shape `(B, N, 4 + K)`.
        """
        return self.scale(self._unique(self.unscale(x).flatten(1, 2), x.shape[2], threshold))

    def _unique(self, pool: Tensor, slots: int, threshold: float) -> Tensor:
        """The likeliest boxes of sets `(B, P, 4 + K)` without duplicates, `(B, slots, 4 + K)`, physical units."""
        pairs = pool[..., 4:].flatten(1)
        label = torch.arange(self.classes, device=pool.device).repeat(pool.shape[1]).expand_as(pairs)
        boxes = pool[..., :4].repeat_interleave(self.classes, 1)
        kept = suppress(corners(boxes), pairs, label, threshold=threshold, enough=max(self.objects, _CONSIDERED))
        score, first = torch.where(kept, pairs, -torch.inf).topk(min(slots, pairs.shape[1]), 1)
        label, boxes, some = label.gather(1, first), boxes.gather(1, _wide(first, 4)), score.unsqueeze(-1) > 0
        scores = functional.one_hot(label, self.classes) * torch.where(some, score.unsqueeze(-1), 0.0)
        y = torch.cat([torch.where(some, boxes, self.centre[:4]), scores], -1)
        return torch.cat([y, self._empty(len(y), slots - y.shape[1])], 1)

    def _empty(self, rows: int, slots: int) -> Tensor:
        """Empty slots in physical units."""
        y = self.low.new_zeros(rows, slots, self.shape[1])
        y[..., :4] = self.centre[:4]
        return y

    def _things(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """The slots of x that may hold things, physical units, `(B, G, 4 + K)`, and which of them do, `(B, G)`."""
        most = max(self.objects, 1)
        y = self.unscale(x[:, :most])
        there = (y[..., 4:] > 0.5).any(-1)
        return y, there if valid is None else there & valid[:, :most]

    @torch.no_grad()
    def _owner(self, y_hat: Tensor, y: Tensor, there: Tensor) -> Tensor:
        """The thing of each slot of an estimate, -1 for none; `(B, N)`."""
        p, ours, theirs = y_hat[..., 4:], corners(y_hat[..., :4]).unsqueeze(2), corners(y[..., :4]).unsqueeze(1)
        gain = _focal(p, torch.ones_like(p)) - _focal(p, torch.zeros_like(p))
        cost = _OF_CLASS * torch.einsum("bnk,bgk->bng", gain, y[..., 4:])
        cost = cost + _OF_CORNERS * (ours - theirs).abs().sum(-1) - _OF_OVERLAP * giou(ours, theirs)
        middle = y_hat[..., :2].unsqueeze(2)
        inside = ((middle > theirs[..., :2]) & (middle < theirs[..., 2:])).all(-1)
        return self.matching.match(cost, iou(ours, theirs), inside, there)

    def _check_values(self, value: Tensor, there: Tensor) -> None:
        """Raises `ValueError` for what is wrong; where nothing is, a device is waited for once."""
        right = are_things(value) & (value[..., 4] < self.classes) | ~there
        if bool((right.all(1) & (there.sum(1) <= self.objects)).all()):
            return
        check_things(value[there])
        label = value[..., 4][there]
        if bool((label >= self.classes).any()):
            raise ValueError(
                f"labels must be whole numbers from 0 to {self.classes - 1}; got {label.max().item():g}. "
                "Count classes from 0, or take more classes."
            )
        most = int(there.sum(1).max()) if len(there) else 0
        if most > self.objects:
            raise ValueError(
                f"an image has {most} things; the box set has room for {self.objects}. "
                "Give it more slots (count) and more objects, or drop some of them."
            )


def are_things(rows: Tensor) -> Tensor:
    """Which rows (cx, cy, w, h, label, score), `(..., 6)`, `check_things` lets pass; bool, `(...)`."""
    boxes, label, ends = rows[..., :4], rows[..., 4], corners(rows[..., :4])
    inside = ((ends >= -_ROUNDING) & (ends <= 1 + _ROUNDING)).all(-1)
    return inside & (boxes[..., 2:] > 0).all(-1) & (label >= 0) & (label == label.floor())


def check_things(rows: Tensor) -> None:
    """Refuses things whose box is none.

    Args:
        rows: (cx, cy, w, h, label, score) in shares of the image, shape `(n, 6)`.

    Raises:
        ValueError: If a box is not finite, has no area or lies outside of the image, or a label is no whole number
            from 0 on.
    """
    boxes, label = rows[:, :4], rows[:, 4]
    right = boxes.isfinite().all(1) & (boxes[:, 2:] > 0).all(1)
    if not bool(right.all()):
        raise ValueError(
            "boxes (cx, cy, w, h) must be finite with a positive width and height; got "
            f"{_first(boxes, ~right)}. Drop objects without area."
        )
    ends = corners(boxes)
    outside = ((ends < -_ROUNDING) | (ends > 1 + _ROUNDING)).any(1)
    if bool(outside.any()):
        raise ValueError(
            "boxes must lie in the image, whose sides are 0 and 1; got the corners "
            f"{_first(ends, outside)}. Divide pixels by the image's size, and cut boxes off at its rim."
        )
    wrong = ~((label >= 0) & (label == label.floor()))
    if bool(wrong.any()):
        raise ValueError(f"labels must be whole numbers from 0 on; got {label[wrong][0].item():g}. Number the classes.")


def extent_of(value: Tensor, *, share: float = 0.99) -> tuple[float, float]:
    """Width and height that all but few things do not exceed, for `BoxSet`; twice the median at least.

    Noise has sizes about half of the extent: where things are much alike, it has theirs.

    Args:
        value: Rows (cx, cy, w, h, label, score), shape `(..., 6)`.
        share: Of the things that are no wider, and of those that are no higher, in (0, 1].

    Returns:
        Shares of the image, at most one; those of the whole image where there is no thing.

    Raises:
        ValueError: If the share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1]; got {share}.")
    sizes = value[value[..., 5] > 0.5][:, 2:4]
    if len(sizes) == 0:
        return 1.0, 1.0
    most = sizes.kthvalue(math.ceil(share * len(sizes)), 0).values
    width, height = torch.maximum(most, 2 * sizes.median(0).values).clamp(max=1).tolist()
    return width, height


def _focal(p: Tensor, target: Tensor) -> Tensor:
    """Focal loss of probabilities for targets of 0 and 1, entry by entry."""
    p = p.clamp(_SMALLEST, 1 - _SMALLEST)
    of_things = -_BALANCE * (1 - p) ** _FOCUS * p.log()
    of_nothing = -(1 - _BALANCE) * p**_FOCUS * (-p).log1p()
    return target * of_things + (1 - target) * of_nothing


def _wide(index: Tensor, width: int) -> Tensor:
    """Indices of slots `(B, n)` for all their numbers, `(B, n, width)`."""
    return index.unsqueeze(-1).expand(-1, -1, width)


def _first(rows: Tensor, wrong: Tensor) -> list[float]:
    return [round(number, 4) for number in rows[wrong][0].tolist()]
