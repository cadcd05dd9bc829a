"""The block of adversarial heads, with their games."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.chain import ChainBlock
from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import AdversarialHead, Head, games


class MinimaxGame(Block):
    """The zero-sum game of cross-entropies."""

    kind: Literal["minimax"] = "minimax"

    def build(self) -> games.Game:
        """The game."""
        return games.Minimax()


class NonSaturatingGame(Block):
    """Cross-entropies; the generator wants draws to be taken for data."""

    kind: Literal["non_saturating"] = "non_saturating"

    def build(self) -> games.Game:
        """The game."""
        return games.NonSaturating()


class RelativisticGame(Block):
    """Each draw is set against an event."""

    kind: Literal["relativistic"] = "relativistic"

    def build(self) -> games.Game:
        """The game."""
        return games.Relativistic()


class LeastSquaresGame(Block):
    """Squared errors of labels."""

    kind: Literal["least_squares"] = "least_squares"

    def build(self) -> games.Game:
        """The game."""
        return games.LeastSquares()


class WassersteinGame(Block):
    """The critic's slope is kept near 1."""

    kind: Literal["wasserstein"] = "wasserstein"
    penalty: float = Field(0.1, gt=0, description="Weight of the gradient penalty.")

    def build(self) -> games.Game:
        """The game."""
        return games.Wasserstein(self.penalty)


GameBlock = Annotated[
    MinimaxGame | NonSaturatingGame | RelativisticGame | LeastSquaresGame | WassersteinGame,
    Field(discriminator="kind"),
]


class AdversarialBlock(Block):
    """GAN: a generator and a critic; train it with `train.momentum: 0` and `train.rate: 3.0e-4`."""

    kind: Literal["adversarial"] = "adversarial"
    latent: int = Field(16, ge=1, description="Numbers of the latent.")
    game: GameBlock = RelativisticGame()
    r1: float = Field(0.1, ge=0, description="Weight of the gradient penalty on data.")
    r2: float = Field(0.1, ge=0, description="Weight of the gradient penalty on draws.")
    generator_weight: float = Field(1.0, gt=0, description="Weight of the generator's part of the loss.")
    chain: ChainBlock = ChainBlock()

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return AdversarialHead(
            event,
            make_net(event.shape[-1]),
            make_net(1),
            latent=self.latent,
            game=self.game.build(),
            r1=self.r1,
            r2=self.r2,
            generator_weight=self.generator_weight,
            chain=self.chain.build(),
        )
