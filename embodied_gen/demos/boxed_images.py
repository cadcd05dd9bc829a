"""Images with boxes: what a detector learns from, on the training device, mirrored where that changes no class.

Values are rows (cx, cy, w, h, label, score) in shares of the image, as `BoxSet` encodes them; a row with a score of
one is a thing, and one with a score of zero holds nothing.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.boxes import centred
from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.events.box_set import VALUE, check_things

Axis = Literal["x", "y"]


@final
class BoxedImages(Examples):
    """Examples of a detector; with mirrors every image and its mirror images are examples.

    Args:
        images: Bytes, uint8, shape `(n, C, H, W)`.
        values: Rows (cx, cy, w, h, label, score), shape `(n, M, 6)`.
        mirrors: Axes along which images are mirrored, too: x is left and right, y above and below.
        source: Where they come from, for messages.
        device: Where the data are kept.

    Raises:
        ValueError: If there is no image, shapes or types do not fit, or a box is none.
    """

    def __init__(
        self,
        images: Tensor,
        values: Tensor,
        *,
        mirrors: Sequence[Axis] = (),
        source: str = "images",
        device: torch.device | str = "cpu",
    ):
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) == 0:
            raise ValueError(
                f"{source}: images must be bytes, torch.uint8, of shape (n, C, H, W) with n >= 1; got {images.dtype} "
                f"of shape {tuple(images.shape)}."
            )
        if values.ndim != 3 or (len(values), values.shape[2]) != (len(images), VALUE):
            raise ValueError(
                f"{source}: values must have shape ({len(images)}, M, {VALUE}), rows of boxes for each image; got "
                f"{tuple(values.shape)}."
            )
        score = values[..., 5]
        if not bool(((score == 0) | (score == 1)).all()):
            wrong = score[(score != 0) & (score != 1)][0].item()
            raise ValueError(f"{source}: scores of values must be 1 for a thing and 0 for nothing; got {wrong:g}.")
        if len(set(mirrors)) != len(mirrors) or not set(mirrors) <= {"x", "y"}:
            raise ValueError(f"mirrors must name different axes, x and y; got {list(mirrors)}.")
        try:
            check_things(values[score == 1])
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        self.source, self.mirrors = source, tuple(mirrors)
        self._images, self._values = images.to(device), values.to(device)

    @property
    def images(self) -> int:
        """The number of images, n."""
        return len(self._images)

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, rows and columns of an image."""
        channels, rows, columns = self._images.shape[1:]
        return channels, rows, columns

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._images.device

    def __len__(self) -> int:
        """The number of images and their mirror images."""
        return self.images * 2 ** len(self.mirrors)

    def batch(self, index: Tensor) -> Batch:
        """Images `(B, C, H, W)`, values `(B, M, 6)`, and that all is data, `(B, 1)`: empty rows say so themselves."""
        image, mirrored = index % self.images, index // self.images
        images, values = self._images[image], self._values[image]
        for place, axis in enumerate(self.mirrors):
            flipped = (mirrored >> place) & 1 == 1
            images, values = _mirrored(images, values, flipped, axis)
        return Batch(images, values, torch.ones(len(index), 1, dtype=torch.bool, device=index.device))

    def values(self) -> Tensor:
        """Values of all images, not mirrored."""
        return self._values.cpu()

    def observations(self) -> Tensor:
        """Mean colours of all images, 0..255, shape `(n, C)`."""
        return self._images.float().mean((2, 3)).cpu()

    def place(self, example: int) -> tuple[int, int]:
        """The number of an image, and of its mirror image."""
        return example % self.images, example // self.images

    def split(self, held_out: float, *, seed: int) -> tuple["BoxedImages", "BoxedImages | None"]:
        """Images to train on and images held out, which are not mirrored, chosen at random.

        Args:
            held_out: Share held out, in [0, 1); at least one image where positive.
            seed: Of the choice.

        Raises:
            ValueError: If no image is left to train on.
        """
        if held_out == 0:
            return self, None
        count = max(1, round(held_out * self.images))
        if count >= self.images:
            raise ValueError(
                f"{self.source} has {self.images} images, too few to hold out {count}. "
                "Take more, or set data.held_out to 0."
            )
        order = draws.permutation(self.images, generator=draws.generator(seed)).to(self.device)
        return self._some(order[count:].sort().values, self.mirrors), self._some(order[:count].sort().values, ())

    def to(self, device: torch.device | str) -> "BoxedImages":
        """The same examples on a device."""
        return BoxedImages(self._images, self._values, mirrors=self.mirrors, source=self.source, device=device)

    def with_mirrors(self, mirrors: Sequence[Axis]) -> "BoxedImages":
        """The same images, mirrored along other axes."""
        return BoxedImages(self._images, self._values, mirrors=mirrors, source=self.source, device=self.device)

    def digest(self) -> str:
        """A hash of the data, which tells whether a run can go on with them."""
        parts = (self._images, self._values)
        content = b"".join(part.cpu().contiguous().numpy().tobytes() for part in parts)
        return hashlib.sha256(content).hexdigest()

    def _some(self, index: Tensor, mirrors: Sequence[Axis]) -> "BoxedImages":
        images, values = self._images[index], self._values[index]
        return BoxedImages(images, values, mirrors=mirrors, source=self.source, device=self.device)


def values_of(boxes: Tensor, labels: Tensor, counts: Tensor, *, rows: int, columns: int) -> Tensor:
    """Values of boxes in pixels.

    Args:
        boxes: Corners (x0, y0, x1, y1) in pixels, cut off at the rim of the image, shape `(n, M, 4)`.
        labels: Classes from 0, integers, shape `(n, M)`.
        counts: Objects of each image, the first rows of its boxes, integers, shape `(n,)`.
        rows: Of an image [pixels].
        columns: Likewise.

    Returns:
        Rows (cx, cy, w, h, label, score) in shares of the image, zeros where there is no object, shape `(n, M, 6)`.

    Raises:
        ValueError: If shapes do not fit, or there are more objects than boxes.
    """
    n, most = len(boxes), boxes.shape[1] if boxes.ndim == 3 else 0
    shapes = tuple(tuple(part.shape) for part in (boxes, labels, counts))
    if shapes != ((n, most, 4), (n, most), (n,)):
        raise ValueError(
            f"boxes, labels and counts must have shapes (n, M, 4), (n, M) and (n,); got {', '.join(map(str, shapes))}."
        )
    if not bool(((counts >= 0) & (counts <= most)).all()):
        raise ValueError(
            f"counts must lie between 0 and the {most} rows of boxes; got {int(counts.min())} to {int(counts.max())}."
        )
    sides = torch.tensor([columns, rows, columns, rows], dtype=torch.float32, device=boxes.device)
    there = (torch.arange(most, device=boxes.device) < counts.to(boxes.device).unsqueeze(1)).unsqueeze(-1)
    label = labels.to(boxes.device).float().unsqueeze(-1)
    return torch.where(there, torch.cat([centred(boxes.float() / sides), label, there.float()], -1), 0.0)


def _mirrored(images: Tensor, values: Tensor, flipped: Tensor, axis: Axis) -> tuple[Tensor, Tensor]:
    """Images of which those that are `flipped`, bool `(B,)`, are mirrored along an axis."""
    channel = 0 if axis == "x" else 1
    images = torch.where(flipped[:, None, None, None], images.flip(3 - channel), images)
    other = values.clone()
    other[..., channel] = torch.where(values[..., 5] > 0, 1 - values[..., channel], values[..., channel])
    return images, torch.where(flipped[:, None, None], other, values)
