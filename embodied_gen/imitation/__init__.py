"""Imitation by a discriminator: rewards learned against the steps of a policy that is trained on them."""

from embodied_gen.imitation.adversary import imitate
from embodied_gen.imitation.discriminator import Airl, Discriminator, Gail, Moves, moves_of
from embodied_gen.imitation.learned_reward import LearnedReward

__all__ = [
    "Airl",
    "Discriminator",
    "Gail",
    "LearnedReward",
    "Moves",
    "imitate",
    "moves_of",
]
