"""The block of chains: how heads with a latent follow a guide."""

from pydantic import Field

from embodied_gen.config import Block
from embodied_gen.heads import LatentChain


class ChainBlock(Block):
    """Proposals and a Langevin chain in the latent, under a guide."""

    candidates: int = Field(16, ge=1, description="Proposals for each draw.")
    steps: int = Field(30, ge=0, description="Langevin steps after them.")
    step: float = Field(0.1, gt=0, description="Length of the first steps.")

    def build(self) -> LatentChain:
        """The chain."""
        return LatentChain(self.candidates, steps=self.steps, step=self.step)
