"""How uncertainty is modelled."""

from embodied_gen.heads.base import (
    Certified,
    HasCostMap,
    HasDenoiser,
    HasEnergy,
    HasLatent,
    HasLogProb,
    Head,
)
from embodied_gen.heads.bound import Bound, variational_bound
from embodied_gen.heads.check import check_head
from embodied_gen.heads.denoising import DenoisingHead
from embodied_gen.heads.guidance import Guide, RowGuide, propose
from embodied_gen.heads.mixture import MixtureHead
from embodied_gen.heads.particles import Particles
from embodied_gen.heads.regression import PointHead, RegressionHead, TwoStepHead
from embodied_gen.heads.steering import settle, steer
from embodied_gen.heads.walk import Guidance, Steered

__all__ = [
    "Bound",
    "Certified",
    "DenoisingHead",
    "Guidance",
    "Guide",
    "HasCostMap",
    "HasDenoiser",
    "HasEnergy",
    "HasLatent",
    "HasLogProb",
    "Head",
    "MixtureHead",
    "Particles",
    "PointHead",
    "RegressionHead",
    "RowGuide",
    "Steered",
    "TwoStepHead",
    "check_head",
    "propose",
    "settle",
    "steer",
    "variational_bound",
]
