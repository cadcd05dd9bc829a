r"""Persistent chains: Markov chains that go on from one step of training to the next.

The slope of a likelihood asks for draws x' of the model,

    grad -log p(x | c) = grad E(x, c) - E_{x' ~ p(. | c)} grad E(x', c),

and a chain that starts anew at every step has to be long to give one. Weights change little in a step: a chain that
goes on from where it was is still close to p, and a few steps keep it there.

A chain keeps the context that it began with, as p of another context is another density. Of K chains a step of training
reads as many as its batch has examples, one part after another. After the step, with the weights of the next one,

    a share of those that were read begins anew, with contexts of the batch;
    those that come next go on by some steps of the chain.

Contexts of chains are thus contexts of the data, and no chain stays in a mode for ever. Without contexts the share may
be zero.

A loss reads chains and never moves them: it stays a function of its arguments, its generator and the state of the head.
Chains are buffers, made of the first batch that is seen, and are saved and loaded with the weights.

Sources: Tieleman 2008, "Training restricted Boltzmann machines using approximations to the likelihood gradient"; Du and
Mordatch 2019 (arXiv:1903.08689) for many chains of which a share begins anew.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context

_ROWS, _POSITION, _LEAF = "rows", "position", "leaf"  # names of buffers; those of a mapping are leaf_NAME
_LIKE = "like"  # of the dtype and device of the head; not saved


@final
class PersistentChains(nn.Module):
    """Rows and the contexts that they belong to; empty until `advance` is called for the first time.

    Args:
        count: Chains K, >= 1.
        fresh: Share of the chains of a batch that begin anew, in [0, 1]; rounded up to whole chains.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int = 1024, *, fresh: float = 0.05):
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        if not 0 <= fresh <= 1:
            raise ValueError(f"fresh must lie in [0, 1], as a share; got {fresh}.")
        self.count, self.fresh = count, fresh
        self.register_buffer(_LIKE, torch.zeros(()), persistent=False)

    @property
    def begun(self) -> bool:
        """Whether there are chains to read."""
        return _ROWS in self._buffers

    def read(self, c: Context) -> tuple[Tensor, Context]:
        """The chains that stand beside a batch: as many as it has contexts, all over again where K is smaller.

        Args:
            c: Contexts of the batch, every leaf `(B, ...)`.

        Returns:
            Rows `(B, *Z)` and their own contexts.

        Raises:
            ValueError: If contexts are learned: those of chains would stay what they were.
        """
        if any(leaf.requires_grad for leaf in context.leaves(c)):
            raise ValueError(
                "persistent chains keep the contexts that they began with, so that contexts must not be learned; got "
                "some that require a gradient. Take an encoder without weights, or the objective maximum_likelihood."
            )
        index = self._next(context.size(c))
        return self.get_buffer(_ROWS)[index], context.apply(lambda leaf: leaf[index], self._contexts())

    @torch.no_grad()
    def advance(
        self,
        c: Context,
        *,
        start: Callable[[Context], Tensor],
        move: Callable[[Tensor, Context], Tensor],
        generator: torch.Generator,
    ) -> None:
        """What follows a step of training; see the head of this file.

        Args:
            c: Contexts of the step's batch, every leaf `(B, ...)`.
            start: Rows with which chains of contexts begin, `(M, *Z)`.
            move: Rows of contexts some steps later.
            generator: Draws which chains begin anew.
        """
        size = min(context.size(c), self.count)
        c = context.apply(lambda leaf: leaf[:size].detach(), c)
        if not self.begun:
            self._begin(c, size, start)
        else:
            self._renew(c, size, start, generator)
            self.get_buffer(_POSITION).add_(size).remainder_(self.count)
        index = self._next(size)
        rows = self.get_buffer(_ROWS)
        rows[index] = move(rows[index], context.apply(lambda leaf: leaf[index], self._contexts()))

    def _begin(self, c: Context, size: int, start: Callable[[Context], Tensor]) -> None:
        """All chains, with the contexts of the first batch over and over."""
        every = context.apply(lambda leaf: leaf[torch.arange(self.count, device=leaf.device) % size], c)
        rows = start(every)
        self.register_buffer(_ROWS, rows)
        self.register_buffer(_POSITION, torch.zeros((), dtype=torch.long, device=rows.device))
        for name, leaf in _named(every).items():
            self.register_buffer(name, leaf)

    def _renew(self, c: Context, size: int, start: Callable[[Context], Tensor], generator: torch.Generator) -> None:
        """Some of the chains that were read last begin anew, with contexts of their batch."""
        chosen = draws.permutation(size, generator=generator)[: math.ceil(self.fresh * size)]
        if len(chosen) == 0:
            return
        some = context.apply(lambda leaf: leaf[chosen.to(leaf.device)], c)
        place = self._next(size)[chosen.to(self.get_buffer(_POSITION).device)]
        self.get_buffer(_ROWS)[place] = start(some)
        for name, leaf in _named(some).items():
            self.get_buffer(name)[place] = leaf

    def _next(self, size: int) -> Tensor:
        position = self.get_buffer(_POSITION)
        return (position + torch.arange(size, device=position.device)) % self.count

    def _contexts(self) -> Context:
        leaves = {name: leaf for name, leaf in self.named_buffers() if name not in (_ROWS, _POSITION, _LIKE)}
        return leaves[_LEAF] if _LEAF in leaves else {name.removeprefix(f"{_LEAF}_"): leaves[name] for name in leaves}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        """Chains are there or not as they are in what is loaded, of the dtype and device of this head.

        Raises:
            ValueError: If what is loaded has another number of chains.
        """
        saved = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        if _ROWS in saved and len(saved[_ROWS]) != self.count:
            raise ValueError(
                f"persistent chains must be {self.count}, as this head was built; the loaded state has "
                f"{len(saved[_ROWS])}. Build the head with as many."
            )
        for name in self._buffers.keys() - saved.keys() - {_LIKE}:
            delattr(self, name)
        like = self.get_buffer(_LIKE)
        for name in saved.keys() - self._buffers.keys():
            value = saved[name]
            dtype = like.dtype if value.is_floating_point() else value.dtype
            self.register_buffer(name, torch.empty_like(value, dtype=dtype, device=like.device))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _named(c: Context) -> dict[str, Tensor]:
    """The leaves of a context by the names of their buffers."""
    return {_LEAF: c} if isinstance(c, Tensor) else {f"{_LEAF}_{name}": leaf for name, leaf in c.items()}
