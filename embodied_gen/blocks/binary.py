"""Blocks of models of binary units."""

from typing import Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import BeliefHead, BoltzmannHead, Head, HopfieldHead, PersistentChains, RBMHead


class HopfieldBlock(Block):
    """Pairwise weights between all units, learned by pseudo-likelihood."""

    kind: Literal["hopfield"] = "hopfield"
    sweeps: int = Field(20, ge=1, description="Of Gibbs sampling for a draw.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return HopfieldHead(event, make_net(event.shape[-1]), sweeps=self.sweeps)


class BoltzmannBlock(Block):
    """Boltzmann machine of few units, exact."""

    kind: Literal["boltzmann"] = "boltzmann"
    hidden: int = Field(4, ge=0, description="Hidden units; at most 16 with those of the event.")
    sweeps: int = Field(30, ge=1, description="Of Gibbs sampling for a draw.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        net = make_net(event.shape[-1] + self.hidden)
        return BoltzmannHead(event, net, hidden=self.hidden, sweeps=self.sweeps)


class PersistentChainsBlock(Block):
    """Chains that go on from one step of training to the next."""

    count: int = Field(1024, ge=1, description="Chains.")
    fresh: float = Field(0.05, ge=0, le=1, description="Share of the chains of a batch that begin anew.")

    def build(self) -> PersistentChains:
        """The chains."""
        return PersistentChains(self.count, fresh=self.fresh)


class RBMBlock(Block):
    """Restricted Boltzmann machine."""

    kind: Literal["rbm"] = "rbm"
    hidden: int = Field(64, ge=1, description="Hidden units.")
    steps: int = Field(5, ge=1, description="k of contrastive divergence.")
    sweeps: int = Field(50, ge=1, description="Of Gibbs sampling for a draw.")
    chains: PersistentChainsBlock | None = Field(
        None, description="That persist, k steps for each step of training; null for k steps from the event."
    )

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        net = make_net(event.shape[-1] + self.hidden)
        chains = self.chains.build() if self.chains else None
        return RBMHead(event, net, hidden=self.hidden, steps=self.steps, sweeps=self.sweeps, chains=chains)


class BeliefBlock(Block):
    """Deep belief network."""

    kind: Literal["belief"] = "belief"
    layers: tuple[int, ...] = Field((64, 32), min_length=2, description="Hidden units of each layer, from below.")
    steps: int = Field(5, ge=1, description="k of contrastive divergence.")
    sweeps: int = Field(50, ge=1, description="Of Gibbs sampling for a draw.")
    candidates: int = Field(64, ge=1, description="Proposals for each draw under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return BeliefHead(
            event,
            make_net(BeliefHead.width(event.shape[-1], self.layers)),
            layers=self.layers,
            steps=self.steps,
            sweeps=self.sweeps,
            candidates=self.candidates,
        )
