"""Randomness: the only file that draws.

A `Generator` is one `torch.Generator` or one for each of B contexts. With one for each context, the rows of
context b are drawn from generator b alone, so that a draw does not depend on the batch that the context
happens to be in. Seeds are paths of integers (seed, step, rank, ...) mixed by `numpy.random.SeedSequence`:
a stream is a function of its path, and nothing but the path must be stored to continue it exactly.

The global random state is neither read nor written. Tensors are drawn on the generator's device and moved.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from embodied_gen.softmax import softmax

Generator = torch.Generator | Sequence[torch.Generator]


def generator(*path: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose stream is a function of `path`, integers in [0, 2^64)."""
    return reseed(torch.Generator(device), *path)


def reseed(stream: torch.Generator, *path: int) -> torch.Generator:
    """Sets `stream` to the beginning of the stream of `path`, integers in [0, 2^64), and returns it."""
    # Two words an entry, after the padded entropy: as entropy alone (1,) and (1, 0) would be the same path.
    words = [word for entry in path for word in divmod(entry, 2**32)]
    state = np.random.SeedSequence(0, spawn_key=words).generate_state(1, np.uint64)
    stream.manual_seed(int(state[0] >> np.uint64(1)))
    return stream


def split(stream: torch.Generator, count: int) -> list[torch.Generator]:
    """Streams that are functions of the next `count` numbers of `stream`, one of each."""
    seeds = torch.randint(2**63 - 1, (count,), generator=stream, device=stream.device)
    return [generator(seed, device=stream.device) for seed in seeds.tolist()]


def normal(shape: Sequence[int], *, generator: Generator, like: Tensor) -> Tensor:
    """Independent N(0, 1) entries of `shape`, with the dtype and device of `like`.

    Raises:
        ValueError: If there are several generators and they do not divide `shape[0]`.
    """
    return _draw(lambda g, s: torch.randn(s, generator=g, device=g.device, dtype=like.dtype), shape, generator, like)


def uniform(shape: Sequence[int], *, generator: Generator, like: Tensor) -> Tensor:
    """Independent entries of `shape`, uniform in [0, 1), with the dtype and device of `like`.

    Raises:
        ValueError: If there are several generators and they do not divide `shape[0]`.
    """
    return _draw(lambda g, s: torch.rand(s, generator=g, device=g.device, dtype=like.dtype), shape, generator, like)


def signs(shape: Sequence[int], *, generator: Generator, like: Tensor) -> Tensor:
    """Independent entries of `shape`, +1 or -1 equally often, with the dtype and device of `like`.

    Raises:
        ValueError: If there are several generators and they do not divide `shape[0]`.
    """
    return torch.where(uniform(shape, generator=generator, like=like) < 0.5, -1.0, 1.0).to(like.dtype)


def gumbel(shape: Sequence[int], *, generator: Generator, like: Tensor) -> Tensor:
    """Independent entries of `shape` after the standard Gumbel law exp(-exp(-g)), as `uniform` shapes them.

    The largest of a_i + g_i is entry i with probability proportional to exp(a_i).
    """
    u = uniform(shape, generator=generator, like=like)
    return -(-u.clamp(min=torch.finfo(u.dtype).tiny).log()).log()


def categorical(log_weights: Tensor, *, generator: Generator) -> Tensor:
    """One index for each row with probability proportional to exp(log_weights).

    Args:
        log_weights: Unnormalised, shape `(M, K)`; -inf is a weight of zero.
        generator: One, or as many as divide M.

    Returns:
        Indices, int64, shape `(M,)`. A row whose weights are all zero gives index 0.
    """
    cumulated = torch.nan_to_num(softmax(log_weights)).cumsum(-1)
    threshold = uniform((len(log_weights), 1), generator=generator, like=log_weights) * cumulated[:, -1:]
    index = torch.searchsorted(cumulated, threshold, right=True)[:, 0]
    return index.clamp(max=log_weights.shape[-1] - 1) * (cumulated[:, -1] > 0)


def permutation(length: int, *, generator: torch.Generator) -> Tensor:
    """A random order of `range(length)`, int64, on the generator's device."""
    return torch.randperm(length, generator=generator, device=generator.device)


def _draw(
    draw: Callable[[torch.Generator, list[int]], Tensor],
    shape: Sequence[int],
    generator: Generator,
    like: Tensor,
) -> Tensor:
    if isinstance(generator, torch.Generator):
        return draw(generator, list(shape)).to(like.device)
    rows, rest = divmod(shape[0], len(generator))
    if rest:
        raise ValueError(
            f"the first axis must be a multiple of the number of generators ({len(generator)}); "
            f"got {shape[0]}. Pass one generator, or one for each context."
        )
    return torch.cat([draw(g, [rows, *shape[1:]]) for g in generator]).to(like.device)
