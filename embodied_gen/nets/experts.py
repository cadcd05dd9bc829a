r"""Linear experts under gates: maps that copy and select, learned from few examples.

With z = [flatten(x), c], linear probes p_i = P_i z and log-distances between them,

    d_ij = log(mean (p_i - p_j)^2 + eps) / 4,                         i < j,
    u_s  = sum_k g_sk(x, t, [c, d]) (A_k z + b_k)_s,                  s = 1 .. T,

where the gates g are a residual MLP, any numbers. Much of what a robot predicts is a linear map of what it observes,
one of a few, and which of them is the hard part: a set-point is one goal until the robot is near, then the other. A
plain MLP learns each copy anew all over the cube of goals, and hardly sees a small distance among many coordinates;
here a copy is a matrix, and nearness an input of the gates. Gates start at zero, and so does u.

Source: mixtures of experts, Jacobs et al. 1991, with gates that are not normalised, so that they can scale with time.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import Net, require_positive
from embodied_gen.nets.mlp import ResidualMLP

_PROBES, _NUMBERS = 8, 32  # points between which distances are told, and numbers of each
_NEAREST = 1e-5  # eps: square of the smallest distance that is told from none, standardised units


@final
class LinearExperts(Net):
    """Gated sum of K linear maps.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D_in of the input.
        channels_out: Channels D_out of the output.
        context: Numbers C of the context, >= 0.
        experts: Linear maps K, >= 1.
        width: Features of the gates' network, >= 1.
        depth: Its residual blocks, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    pairs: Tensor

    def __init__(
        self,
        *,
        horizon: int,
        channels_in: int,
        channels_out: int,
        context: int,
        experts: int = 4,
        width: int = 128,
        depth: int = 2,
    ) -> None:
        super().__init__(horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(experts=experts)
        self.experts = experts
        numbers = horizon * channels_in + context
        self.register_buffer("pairs", torch.triu_indices(_PROBES, _PROBES, 1), persistent=False)
        self.probes = nn.Linear(numbers, _PROBES * _NUMBERS)
        self.gates = ResidualMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=experts,
            context=context + self.pairs.shape[1],
            width=width,
            depth=depth,
        )
        self.maps = nn.Linear(numbers, horizon * experts * channels_out)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """Evaluates the network.

        Args:
            x: Input chunk, shape `(M, T, D_in)`, model units.
            t: Time in [0, 1], shape `(M,)`.
            c: Context, shape `(M, C)`.

        Returns:
            Output chunk, shape `(M, T, D_out)`, model units.

        Raises:
            ValueError: If a shape is not the one above.
        """
        self.check(x, t, c)
        z = torch.cat([x.flatten(1), c], -1)
        gates = self.gates(x, t, torch.cat([c, self._distances(z)], -1))
        mapped = self.maps(z).unflatten(-1, (self.horizon, self.experts, -1))
        return torch.einsum("mtk,mtkd->mtd", gates, mapped)

    def _distances(self, z: Tensor) -> Tensor:
        """Distances d of all pairs of probes, shape `(M, P (P - 1) / 2)`."""
        probes = self.probes(z).unflatten(-1, (_PROBES, _NUMBERS))
        first, second = self.pairs.unbind(0)
        return ((probes[:, first] - probes[:, second]).square().mean(-1) + _NEAREST).log() / 4
