r"""Scene transformer: attention over the agents of a scene, each in its own frame.

A context holds F numbers for each of A agents. The first five are its pose and presence (x, y, cos h, sin h, valid) in
any frame; the others are what it sees in its own frame. Tokens are agents: all T steps of a motion with what its agent
sees. Agents see one another only by where the one is in the other's frame,

    r_ij = (R(-h_i) (p_j - p_i) / L, cos(h_j - h_i), sin(h_j - h_i), 1 / (1 + |p_j - p_i| / L)),

from which a small network makes a bias of each attention head and a part of the values; so the network commutes with
turns and shifts of the scene and with the order of its agents. Agents that are not there are not attended to.

Blocks are those of `nets.transformer` with one conditioning vector for each agent. Sources: Peebles & Xie 2023
(arXiv:2212.09748) for the blocks; Shi et al. 2023 (arXiv:2306.17770) for relative poses between agents' own frames.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import layer_norm, modulate, require_heads, require_positive, zero_
from embodied_gen.nets.time import TimeEmbedding
from embodied_gen.softmax import softmax

POSE = 5
"""Numbers of an agent's context that are its pose and presence."""
_LENGTH = 20.0  # L, by which distances between agents are measured [m]
_RELATIVE = 5  # numbers of r_ij


@final
class SceneTransformer(nn.Module):
    """A network u(x, t, c) over motions of several agents.

    Args:
        agents: A, >= 1.
        horizon: Steps T of a motion, >= 1.
        channels_in: Channels D_in of each step of the input.
        channels_out: Channels D_out of each step of the output.
        context: Numbers F of each agent's context, >= 5.
        width: Features of a token, a multiple of `heads`.
        depth: Number of blocks, >= 1.
        heads: Attention heads, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        agents: int,
        horizon: int,
        channels_in: int,
        channels_out: int,
        context: int,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
    ) -> None:
        super().__init__()
        require_positive(agents=agents, horizon=horizon, channels_in=channels_in, channels_out=channels_out)
        require_positive(width=width, depth=depth, heads=heads)
        require_heads(width, heads)
        if context < POSE:
            raise ValueError(f"context must hold at least the {POSE} numbers of a pose for each agent; got {context}.")
        self.shape = (agents, horizon, channels_in)
        self.context, self.channels_out = context, channels_out
        self.embed = TimeEmbedding(width=width, context=context - POSE)
        self.input = nn.Linear(horizon * channels_in, width)
        self.relate = nn.Sequential(nn.Linear(_RELATIVE, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU())
        self.blocks = nn.ModuleList(_Block(width=width, heads=heads, related=32) for _ in range(depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, horizon * channels_out)
        zero_(self.modulation)
        zero_(self.output)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """Evaluates the network.

        Args:
            x: Motions, shape `(M, A, T, D_in)`, model units.
            t: Time in [0, 1], shape `(M,)`.
            c: Context, shape `(M, A, F)`.

        Returns:
            Output, shape `(M, A, T, D_out)`, model units.

        Raises:
            ValueError: If a shape is not the one above.
        """
        self._check(x, t, c)
        pose, seen = c[..., :POSE], c[..., POSE:]
        agents = self.shape[0]
        e = self.embed(t.repeat_interleave(agents), seen.flatten(0, 1)).unflatten(0, (-1, agents))
        e = functional.silu(e)
        related = self.relate(relative(pose))
        absent = (pose[..., 4] < 0.5)[:, None, None, :]
        absent = absent & ~torch.eye(agents, dtype=torch.bool, device=x.device)  # a row of none has no softmax
        h = self.input(x.flatten(2))
        for block in self.blocks:
            h = block(h, e, related, absent)
        scale, shift = self.modulation(e).chunk(2, dim=-1)
        return self.output(modulate(layer_norm(h), scale, shift)).unflatten(-1, (self.shape[1], self.channels_out))

    def _check(self, x: Tensor, t: Tensor, c: Tensor) -> None:
        expected = {"x": (len(x), *self.shape), "t": (len(x),), "c": (len(x), self.shape[0], self.context)}
        for name, value in (("x", x), ("t", t), ("c", c)):
            if tuple(value.shape) != expected[name]:
                raise ValueError(
                    f"{name} must have shape {expected[name]}; got {tuple(value.shape)}. Build the net for this scene."
                )


def relative(pose: Tensor) -> Tensor:
    """Where agent j is in the frame of agent i, r_ij; `(M, A, 5)` to `(M, A, A, 5)`."""
    position, direction = pose[..., :2] / _LENGTH, pose[..., 2:4]
    away = position.unsqueeze(-3) - position.unsqueeze(-2)  # p_j - p_i
    cos, sin = direction[..., 0:1], direction[..., 1:2]
    other = direction.unsqueeze(-3)
    parts = [
        cos * away[..., 0] + sin * away[..., 1],
        cos * away[..., 1] - sin * away[..., 0],
        cos * other[..., 0] + sin * other[..., 1],
        cos * other[..., 1] - sin * other[..., 0],
        1 / (1 + away.norm(dim=-1)),
    ]
    return torch.stack(parts, -1)


@final
class _Block(nn.Module):
    """Attention over agents and an MLP, each behind an adaptive layer norm and a gate that starts at zero."""

    def __init__(self, *, width: int, heads: int, related: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(width, 6 * width)
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.bias = nn.Linear(related, heads)
        self.value = nn.Linear(related, width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        zero_(self.modulation)

    def forward(self, h: Tensor, e: Tensor, related: Tensor, absent: Tensor) -> Tensor:
        """Tokens `(M, A, W)` from tokens, conditions `(M, A, W)`, relations `(M, A, A, R)` and a mask."""
        parts = self.modulation(e).chunk(6, dim=-1)
        h = h + parts[2] * self._attention(modulate(layer_norm(h), parts[0], parts[1]), related, absent)
        return h + parts[5] * self.mlp(modulate(layer_norm(h), parts[3], parts[4]))

    def _attention(self, h: Tensor, related: Tensor, absent: Tensor) -> Tensor:
        split = self.attend(h).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)  # (M, heads, A, W / heads)
        logits = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
        logits = logits + self.bias(related).permute(0, 3, 1, 2)
        weight = softmax(logits.masked_fill(absent, -math.inf))
        mixed = (weight @ values).transpose(1, 2).flatten(2)
        # sum_j w_ij V r_ij of each head, by weighing the relations before they become values.
        seen = torch.einsum("mhij,mijr->mihr", weight, related)
        weights = self.value.weight.unflatten(0, (self.heads, -1))
        mixed = mixed + (torch.einsum("mihr,hvr->mihv", seen, weights)).flatten(2) + self.value.bias
        return self.merge(mixed)
