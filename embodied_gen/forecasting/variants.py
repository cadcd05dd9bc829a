r"""Variants: the same walks in a mirror, and in other sizes.

A street in a mirror is another street, and people of another size would walk alike with other steps. In the frame of a
pedestrian (see `frames`), whose first axis is its heading,

    (x, y) -> s (x, m y),    m = 1 or -1,

of all positions of an example. Turned and shifted ones are the same example already. Sizes stretch distances between
people along with their steps, which is not quite true of the gaps that they keep; they teach that speeds differ between
recordings. How an observation is stretched and mirrored is known to the examples (`Around.stretched`).
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.forecasting.examples import Around


@final
class Varied(Examples):
    """Every example of `examples` in each size, and mirrored; example i is a variant of i modulo their number.

    Args:
        examples: Whose values are in the frames of pedestrians.
        sizes: Factors s, one or more, positive.

    Raises:
        ValueError: If there is no size or one is not positive.
    """

    def __init__(self, examples: Around, *, sizes: Sequence[float]):
        if not sizes or not min(sizes) > 0:
            raise ValueError(f"sizes must be one or more positive factors; got {list(sizes)}.")
        self.examples, self.source = examples, examples.source
        size = torch.tensor(sizes, device=examples.device).repeat_interleave(2)
        mirrored = torch.tensor([1.0, -1.0], device=examples.device).repeat(len(sizes))
        self._factors = torch.stack([size, size * mirrored], -1).to(torch.get_default_dtype())

    def __len__(self) -> int:
        """The number of variants of all examples."""
        return len(self.examples) * len(self._factors)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self.examples.device

    def batch(self, index: Tensor) -> Batch:
        """Variants, shaped as the examples are."""
        found = self.examples.batch(index % len(self.examples))
        factors = self._factors[index // len(self.examples)]
        seen = self.examples.stretched(found.observations, factors)
        return Batch(seen, self.examples.stretched_values(found.value, factors), found.valid)

    def values(self) -> Tensor:
        """Values of every variant."""
        values = self.examples.values()
        factors = self._factors.cpu().repeat_interleave(len(values), 0)
        return self.examples.stretched_values(values.repeat(len(self._factors), *[1] * (values.ndim - 1)), factors)

    def observations(self) -> Tensor:
        """Observations of every variant."""
        seen = self.examples.observations()
        factors = self._factors.cpu().repeat_interleave(len(seen), 0)
        return self.examples.stretched(seen.repeat(len(self._factors), 1)[:, None], factors)[:, 0]

    def place(self, example: int) -> tuple[int, int]:
        """That of the example of which this is a variant."""
        return self.examples.place(example % len(self.examples))
