"""How uncertainty is modelled."""

from embodied_gen.heads.autoregressive import AutoregressiveHead
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
from embodied_gen.heads.classifier import ClassifierGuidance, NoisyClassifier, fit_classifier
from embodied_gen.heads.denoising import DenoisingHead
from embodied_gen.heads.guidance import Guide, RowGuide, propose
from embodied_gen.heads.mixture import MixtureHead
from embodied_gen.heads.particles import Particles
from embodied_gen.heads.pixelcnn import PixelCNNHead
from embodied_gen.heads.polygon import PolygonHead
from embodied_gen.heads.regression import PointHead, RegressionHead, TwoStepHead
from embodied_gen.heads.scale import scale_for
from embodied_gen.heads.steering import settle, steer
from embodied_gen.heads.walk import Guidance, Steered

__all__ = [
    "AutoregressiveHead",
    "Bound",
    "Certified",
    "ClassifierGuidance",
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
    "NoisyClassifier",
    "Particles",
    "PixelCNNHead",
    "PointHead",
    "PolygonHead",
    "RegressionHead",
    "RowGuide",
    "Steered",
    "TwoStepHead",
    "check_head",
    "fit_classifier",
    "propose",
    "scale_for",
    "settle",
    "steer",
    "variational_bound",
]
