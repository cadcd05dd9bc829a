r"""Autoencoder: for reference beside its variational relatives.

    loss = error(decode(encode(x, c), c), x) - log N(sg encode(x, c); m(c), (W W^T)^-1) over the event's size

The code z has no distribution of its own. To draw, a normal is fitted to the codes by maximum likelihood, with a full
covariance that all contexts share, and a mean m that is constant or read from the context; sg stops its gradient, so
that it learns from the codes and they do not learn from it. Where codes are not normal, draws are of poor quality: that
is the reason for the variational families. There is no density, and a draw has no noise but that of its code.

Sources: Hinton and Salakhutdinov 2006; Ghosh et al. 2020 (arXiv:1903.12436) for densities fitted to codes.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import LatentHead, Lift, Read, only, require, through
from embodied_gen.rounding import product


@final
class AutoencoderHead(LatentHead):
    """Codes and a normal that is fitted to them; implements `HasLatent`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the decoder, called with lifted codes and t = 0; keeps the shape of an event.
        encoder: Another such network, called with events.
        prior: Another, called with zeros, for a mean of the codes that depends on c; a constant where None.
        latent: Numbers Z of a code, >= 1.
        chain: How a guide is followed; may be replaced on a trained head.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        encoder: nn.Module,
        prior: nn.Module | None = None,
        *,
        latent: int = 8,
        chain: LatentChain | None = None,
    ):
        require({"latent": latent})
        super().__init__(event, numbers=latent, chain=chain)
        self.net, self.encoder, self.prior = net, encoder, prior
        self.lift, self.read = Lift(latent, event), Read(event, latent)
        self.read.invert(self.lift, latent)
        self.read_prior = None if prior is None else Read(event, latent)
        self.centre = nn.Parameter(torch.zeros(latent))
        self.log_scale = nn.Parameter(torch.zeros(latent))  # logarithms of W's diagonal
        self.below = nn.Parameter(torch.zeros(latent, latent))  # W below its diagonal

    def encode(self, x: Tensor, c: Context, valid: Tensor | None = None) -> Tensor:
        """The code of an event, of its valid parts alone; `(B, *E)` to `(B, Z)`."""
        return self.read(through(self.encoder, only(x, valid), 0.0, c))

    def decode(self, z: Tensor, c: Context) -> Tensor:
        """The event of a code; `(M, Z)` to `(M, *E)`."""
        return through(self.net, self.lift(z), 0.0, c)

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The event of a code drawn with noise z; `(M, Z)` to `(M, *E)`, model units."""
        apart = torch.linalg.solve_triangular(self._root().T, z.unsqueeze(-1), upper=True).squeeze(-1)
        return self.decode(self._mean(c) + apart, c)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The event's error of the reconstruction and what fits the normal to the codes, shape `(B,)`."""
        self.event.check(x)
        code = self.encode(x, c, valid)
        error = self.event.error(self.decode(code, c), x, valid)
        return error - self._log_prior(code.detach(), c) / x[0].numel()

    def _mean(self, c: Context) -> Tensor:
        if self.prior is None or self.read_prior is None:
            return self.centre.expand(size(c), -1)
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        return self.centre + self.read_prior(through(self.prior, zeros, 0.0, c))

    def _root(self) -> Tensor:
        """W, a lower triangle, with W W^T the precision of the codes."""
        return self.below.tril(-1) + self.log_scale.exp().diag()

    def _log_prior(self, code: Tensor, c: Context) -> Tensor:
        standard = product(code - self._mean(c), self._root())
        return self.log_scale.sum() - standard.square().sum(1) / 2 - code.shape[1] * math.log(2 * math.pi) / 2
