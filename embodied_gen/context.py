"""Contexts: what a prediction is conditioned on.

A context c is a tensor, or a mapping from names to tensors; every leaf starts with the axis B of contexts.
A head that draws n samples repeats each context n times, so that rows of one context lie together.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Context = Tensor | Mapping[str, Tensor]


def apply(function: Callable[[Tensor], Tensor], c: Context) -> Context:
    """The context with `function` applied to every leaf."""
    if isinstance(c, Tensor):
        return function(c)
    return {name: function(leaf) for name, leaf in c.items()}


def leaves(c: Context) -> list[Tensor]:
    """The tensors of a context."""
    return [c] if isinstance(c, Tensor) else list(c.values())


def size(c: Context) -> int:
    """The number B of contexts.

    Raises:
        ValueError: If there is no leaf, or the leaves disagree.
    """
    leaves = {"c": c} if isinstance(c, Tensor) else dict(c)
    sizes = {name: leaf.shape[0] if leaf.ndim else 0 for name, leaf in leaves.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(
            f"every leaf of a context must start with the same number of contexts; got {sizes}. "
            "Give the leaves a common first axis."
        )
    return next(iter(sizes.values()))


def require_size(c: Context, rows: int) -> None:
    """Refuses contexts that are not one for each of some events.

    Raises:
        ValueError: Naming both numbers.
    """
    if size(c) != rows:
        raise ValueError(
            f"there must be one context for each of the {rows} events; got {size(c)}. Repeat contexts with "
            "context.repeat."
        )


def repeat(c: Context, n: int) -> Context:
    """Each context n times in a row: leaves `(B, ...)` become `(B * n, ...)`."""
    return c if n == 1 else apply(lambda leaf: leaf.repeat_interleave(n, dim=0), c)


def every(c: Context, n: int) -> Context:
    """The inverse of `repeat`: leaves `(B * n, ...)` become `(B, ...)`."""
    return c if n == 1 else apply(lambda leaf: leaf[::n], c)


def of_type(c: Context, dtype: torch.dtype) -> Context:
    """The context with real numbers of a type; encoders under autocast give narrower ones."""
    return apply(lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, c)


def blank(c: Context, where: Tensor) -> Context:
    """The context with zeros in every leaf of the rows `where` (bool, shape `(B,)`): "no condition".

    Encoders give standardised leaves, for which exact zeros in every leaf do not occur as an observation.
    """
    return apply(lambda leaf: leaf.masked_fill(aligned(where, leaf), 0), c)


def concatenate(parts: list[Context]) -> Context:
    """Contexts of the same structure one after another."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    return {name: torch.cat([part[name] for part in parts]) for name in first}  # type: ignore[index]


def aligned(numbers: Tensor, like: Tensor) -> Tensor:
    """Numbers of rows, or of rows and some axes after them, with axes of size one up to those of `like`."""
    return numbers.view(*numbers.shape, *[1] * (like.ndim - numbers.ndim))
