"""How uncertainty is modelled."""

from embodied_gen.heads.base import (
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
from embodied_gen.heads.guidance import Guide, RowGuide, propose, steer
from embodied_gen.heads.mixture import MixtureHead
from embodied_gen.heads.regression import PointHead, RegressionHead, TwoStepHead

__all__ = [
    "Bound",
    "DenoisingHead",
    "Guide",
    "HasCostMap",
    "HasDenoiser",
    "HasEnergy",
    "HasLatent",
    "HasLogProb",
    "Head",
    "MixtureHead",
    "PointHead",
    "RegressionHead",
    "RowGuide",
    "TwoStepHead",
    "check_head",
    "propose",
    "steer",
    "variational_bound",
]
