"""How uncertainty is modelled."""

from embodied_gen.heads.autoencoder import AutoencoderHead
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
from embodied_gen.heads.hierarchical import HierarchicalVAEHead
from embodied_gen.heads.joint_vae import JointVAEHead
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latent_diffusion import LatentDiffusionHead, LatentNet
from embodied_gen.heads.mixture import MixtureHead
from embodied_gen.heads.particles import Particles
from embodied_gen.heads.pullback import latent_event, pull_back
from embodied_gen.heads.regression import PointHead, RegressionHead, TwoStepHead
from embodied_gen.heads.scale import scale_for
from embodied_gen.heads.steering import settle, steer
from embodied_gen.heads.vae import VAEHead
from embodied_gen.heads.vqvae import VQVAEHead
from embodied_gen.heads.walk import Guidance, Steered

__all__ = [
    "AutoencoderHead",
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
    "HierarchicalVAEHead",
    "JointVAEHead",
    "LatentChain",
    "LatentDiffusionHead",
    "LatentNet",
    "MixtureHead",
    "NoisyClassifier",
    "Particles",
    "PointHead",
    "RegressionHead",
    "RowGuide",
    "Steered",
    "TwoStepHead",
    "VAEHead",
    "VQVAEHead",
    "check_head",
    "fit_classifier",
    "latent_event",
    "propose",
    "pull_back",
    "scale_for",
    "settle",
    "steer",
    "variational_bound",
]
