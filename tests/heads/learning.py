"""Small heads that have learned."""

import torch

from embodied_gen import draws


def fitted(head, data, *, rate, steps, seed, context):
    """A head after some steps on what `data(generator)` draws, `(B, *E)`, with as many zeros of context each."""
    optimizer = torch.optim.Adam(head.parameters(), lr=rate)
    for step in range(steps):
        stream = draws.generator(seed, step)
        x = data(stream)
        optimizer.zero_grad()
        head.loss(x, x.new_zeros(len(x), context), generator=stream).mean().backward()
        optimizer.step()
    return head
