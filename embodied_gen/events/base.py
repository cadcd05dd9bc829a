"""Events: what is predicted.

An event x lives in model units, shape `(B, *E)`, about [-1, 1]; the same value in physical units is y. The map
between them is affine and invertible, x = scale(y) and y = unscale(x), and is fixed by bounds of the data.

An event knows the shape, the bounds, how a structure becomes a tensor and back, and what an error between two
of them means. It knows nothing of probability.
"""

import abc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from embodied_gen import draws


class Event(nn.Module, abc.ABC):
    """A kind of structured output. Its bounds are buffers: they move and are saved with the model.

    Attributes:
        shape: The axes `*E` of one event; the last is the axis of channels.
        low, high: Bounds of each channel in physical units, float, shape `(D,)`.
    """

    low: Tensor
    high: Tensor

    def __init__(self, shape: tuple[int, ...], low: Sequence[float] | Tensor, high: Sequence[float] | Tensor):
        super().__init__()
        self.shape = shape
        self.low, self.high = self._bounds("low", "high", low, high)

    def _bounds(
        self, below: str, above: str, low: Sequence[float] | Tensor, high: Sequence[float] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Checked buffers of the given names with one bound for each channel."""
        lower, upper = (torch.as_tensor(bound, dtype=torch.get_default_dtype()) for bound in (low, high))
        if lower.shape != self.shape[-1:] or upper.shape != self.shape[-1:]:
            raise ValueError(
                f"{below} and {above} must have one entry for each of the {self.shape[-1]} channels; "
                f"got shapes {tuple(lower.shape)} and {tuple(upper.shape)}."
            )
        if not bool((lower < upper).all()):
            raise ValueError(
                f"{below} must be below {above} in every channel; got {lower.tolist()} and {upper.tolist()}. "
                "Widen the bounds of a constant channel."
            )
        self.register_buffer(below, lower)
        self.register_buffer(above, upper)
        return lower, upper

    @property
    def centre(self) -> Tensor:
        """Middle of the bounds, physical units, shape `(D,)`."""
        return (self.high + self.low) / 2

    @property
    def half_width(self) -> Tensor:
        """Half of the width of the bounds, physical units, shape `(D,)`."""
        return (self.high - self.low) / 2

    @abc.abstractmethod
    def scale(self, y: Tensor) -> Tensor:
        """Physical units to model units, affine; shape `(..., *E)`."""

    @abc.abstractmethod
    def unscale(self, x: Tensor) -> Tensor:
        """Model units to physical units, the inverse of `scale`; shape `(..., *E)`."""

    def unscaling(self) -> Callable[[Tensor], Tensor]:
        """`unscale` as it is now, with what does not depend on x computed once: for many calls in a row."""
        return self.unscale

    @property
    def own(self) -> tuple[int, ...]:
        """Axes of what each entry has for itself, such as a deviation: `*E`, or 1 along parts that are alike."""
        return self.shape

    def filled(self, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """The event as noise is added to it: what stands where there is nothing is drawn. Model units, `(B, *E)`."""
        return x

    def confined(self, x_hat: Tensor, bound: float) -> Tensor:
        """Estimates no further out than a bound on model units, or than what an event may be; `(B, *E)`."""
        return x_hat.clamp(-bound, bound)

    def residual(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """What an estimate lacks of the event, entry by entry, as `error` compares them; model units, `(B, *E)`."""
        return x - x_hat

    def recovery(self, x: Tensor, own: Tensor) -> Tensor:
        """What leads on from where other entries have come to, back to the event; model units, `(B, *E)` each.

        Entry by entry it is what `x` would be at this entry, had all before it been those of `own`: the same as `x`
        where entries stand on their own, and where each is a step from the one before, the step from where `own` is.
        """
        return x

    def check(self, x: Tensor, name: str = "x") -> None:
        """Raises `ValueError` unless `x` has shape `(B, *E)`."""
        if x.ndim != len(self.shape) + 1 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"{name} must have shape (B, {', '.join(map(str, self.shape))}); got {tuple(x.shape)}. "
                "Encode values with event.encode first."
            )

    @abc.abstractmethod
    def encode(self, value: Tensor) -> Tensor:
        """A batch of structures in physical units as a tensor in model units, shape `(B, *E)`."""

    @abc.abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """The inverse of `encode`."""

    @abc.abstractmethod
    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """How far a clean estimate is from the event: differentiable, zero at equality.

        Args:
            x_hat: Estimate, model units, shape `(B, *E)`.
            x: Event, model units, shape `(B, *E)`.
            valid: Which parts of `x` are data and which are padding, bool; all where absent.

        Returns:
            One error for each example, dimensionless, shape `(B,)`.
        """


def bounds_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of each channel over the leading axes of `values`, shape `(..., D)`.

    A channel that never varies gets bounds one unit to either side, so that it maps to zero.
    """
    flat = values.reshape(-1, values.shape[-1])
    low, high = flat.amin(0), flat.amax(0)
    constant = (high - low) <= 1e-6 * torch.maximum(low.abs(), high.abs())
    return torch.where(constant, low - 1, low), torch.where(constant, high + 1, high)
