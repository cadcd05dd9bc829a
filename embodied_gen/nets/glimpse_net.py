r"""A network that looks at an image one object at a time, through a window of attention.

At each step it sees the image, in features that are computed once, and the canvas: what is segmented already. With h a
map of features of both on a grid four times coarser than the image and m the memory of an LSTM, it looks several times,

    a = softmax_cells(v . tanh(h + Q m)),    m <- LSTM([sum a h, sum a place], m),

and then says where and whether there is another object:

    box = (sum a place + offset, size),    score.

A glimpse of image and canvas in the box, a little widened, goes through a small U-Net, which knows m, and comes out as
logits M of the object's mask. They are pasted back by the transposed glimpse, which is linear: mask = paste(M + b) - b,
-b where the window does not reach.

Sources: Ren and Zemel 2017 (arXiv:1605.09410) for the controller, its looks and its memory, and for masks drawn in a
glimpse; see `nets.glimpse`.
"""

import math
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import require_positive, zero_
from embodied_gen.nets.glimpse import Glimpse

_COARSER = 4  # the grid that is attended to, over the image's
_GROUPS = 4  # of features that are normalised together, at most
_REACH = 0.25  # largest offset of a box's middle from the place of attention, share of the image
_SMALLEST = 0.02  # side of a box, share of the image
_WIDENED = 1.3  # the glimpse over the box
_OUTSIDE = 10.0  # b


@final
class GlimpseNet(nn.Module):
    """Boxes, scores and masks of objects, one after the other.

    Args:
        height, width: H and W of images, multiples of 4.
        channels_in: C of images.
        features: Of cells, even.
        memory: Numbers that are remembered from step to step.
        cells: G, of each side of a glimpse, even.
        looks: At the image in each step.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        channels_in: int,
        features: int = 32,
        memory: int = 96,
        cells: int = 16,
        looks: int = 2,
    ):
        super().__init__()
        require_positive(
            height=height, width=width, channels_in=channels_in, features=features, memory=memory, looks=looks
        )
        if height % _COARSER or width % _COARSER or features % 2 or cells < 2 or cells % 2:
            raise ValueError(
                f"height and width must be multiples of {_COARSER}, features and cells even numbers; "
                f"got {height}, {width}, {features} and {cells}."
            )
        self.height, self.width, self.channels_in, self.cells, self.looks = height, width, channels_in, cells, looks
        self.image = nn.Sequential(
            _conv(channels_in, features // 2, stride=2), _conv(features // 2, features, stride=2), _conv(features)
        )
        self.canvas = _conv(1, features, stride=_COARSER)
        self.both = nn.ModuleList(_conv(features, dilation=dilation) for dilation in (1, 2))
        self.query, self.worth = nn.Linear(memory, features), nn.Linear(features, 1, bias=False)
        self.remember = nn.LSTMCell(features + 2, memory)
        self.say = nn.Sequential(nn.Linear(memory + features, memory), nn.SiLU(), nn.Linear(memory, 5))
        self.draw = _Drawer(channels_in + 1, memory, features)
        last = self.say[-1]
        assert isinstance(last, nn.Linear)
        zero_(last)  # boxes start at the place of attention, a quarter of the image wide
        self.register_buffer("places", _places(height // _COARSER, width // _COARSER), persistent=False)
        self.places: Tensor

    def begin(self, image: Tensor) -> Mapping[str, Tensor]:
        """What is known of images `(B, C, H, W)` before the first step.

        Raises:
            ValueError: If the shape is another.
        """
        expected = (self.channels_in, self.height, self.width)
        if image.ndim != 4 or tuple(image.shape[1:]) != expected:
            raise ValueError(
                f"images must have shape (B, {', '.join(map(str, expected))}), channels first; "
                f"got {tuple(image.shape)}."
            )
        nothing = image.new_zeros(len(image), self.remember.hidden_size)
        return {"image": image, "features": self.image(image), "memory": nothing, "cell": nothing}

    def look(self, state: Mapping[str, Tensor], canvas: Tensor) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        """One step.

        Args:
            state: Of `begin` or of the step before.
            canvas: 1 where there is an object that is segmented already, shape `(B, H, W)`.

        Returns:
            The state after it, the box (cx, cy, w, h) in shares of the image, `(B, 4)`, the logit that there is
            another object, `(B,)`, and the logits of its mask, `(B, H, W)`.
        """
        canvas = canvas.unsqueeze(1)
        memory, cell, place, seen = self._attend(state, canvas)
        said = self.say(torch.cat([memory, seen], 1))
        box = torch.cat([place + _REACH * said[:, :2].tanh(), _sides(said[:, 2:4])], 1)
        widened = box * box.new_tensor([1.0, 1.0, _WIDENED, _WIDENED])
        glimpse = Glimpse(widened, cells=self.cells, height=self.height, width=self.width)
        drawn = self.draw(glimpse.read(torch.cat([state["image"], canvas], 1)), memory)
        mask = glimpse.paste(drawn + _OUTSIDE).squeeze(1) - _OUTSIDE
        return {**state, "memory": memory, "cell": cell}, box, said[:, 4], mask

    def _attend(self, state: Mapping[str, Tensor], canvas: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Memory and cell after some looks, and place `(B, 2)` and features `(B, F)` of the last one."""
        h = state["features"] + self.canvas(canvas)
        for layer in self.both:
            h = h + layer(h)
        h = h.flatten(2).mT
        memory, cell = state["memory"], state["cell"]
        for _ in range(self.looks):
            weight = self.worth((h + self.query(memory).unsqueeze(1)).tanh()).softmax(1)
            place, seen = (weight * self.places).sum(1), (weight * h).sum(1)
            memory, cell = self.remember(torch.cat([seen, place], 1), (memory, cell))
        return memory, cell, place, seen


@final
class _Drawer(nn.Module):
    """A U-Net of two levels on glimpses, which knows the memory."""

    def __init__(self, channels_in: int, memory: int, features: int):
        super().__init__()
        half = features // 2
        self.first, self.known = nn.Conv2d(channels_in, half, 3, padding=1), nn.Linear(memory, half)
        self.fine = _conv(half)
        self.coarse = nn.Sequential(_conv(half, features, stride=2), _conv(features), _conv(features, half))
        self.together = nn.Sequential(_conv(2 * half, half), nn.Conv2d(half, 1, 1))

    def forward(self, glimpse: Tensor, memory: Tensor) -> Tensor:
        """Logits of the mask, `(B, C, G, G)` to `(B, 1, G, G)`."""
        fine = self.fine(self.first(glimpse) + self.known(memory)[:, :, None, None])
        coarse = nn.functional.interpolate(self.coarse(fine), scale_factor=2.0)
        logits: Tensor = self.together(torch.cat([fine, coarse], 1))
        return logits


def _conv(channels_in: int, channels_out: int | None = None, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A normalised layer whose output is the input's size over the stride."""
    out = channels_out or channels_in
    kernel = 3 if stride == 1 else stride + 2
    return nn.Sequential(
        nn.Conv2d(channels_in, out, kernel, stride=stride, dilation=dilation, padding=dilation),
        nn.GroupNorm(math.gcd(_GROUPS, out), out),
        nn.SiLU(),
    )


def _places(rows: int, columns: int) -> Tensor:
    """Middles (x, y) of the cells of a grid over the image, shares of it, `(rows columns, 2)`."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    return torch.stack([x, y], -1).flatten(0, 1)


def _sides(numbers: Tensor) -> Tensor:
    """Sides of boxes, a quarter of the image where the numbers are zero."""
    return _SMALLEST + (1 - _SMALLEST) * (numbers - 1.2).sigmoid()
