"""How uncertainty is modelled."""

from embodied_gen.heads.adversarial import AdversarialHead
from embodied_gen.heads.autoencoder import AutoencoderHead
from embodied_gen.heads.autoregressive import AutoregressiveHead
from embodied_gen.heads.average_velocity import AverageVelocityHead
from embodied_gen.heads.base import (
    Certified,
    HasBound,
    HasChains,
    HasCostMap,
    HasDenoiser,
    HasDrawnBound,
    HasEnergy,
    HasLatent,
    HasLogProb,
    HasMarginals,
    Head,
)
from embodied_gen.heads.belief import BeliefHead
from embodied_gen.heads.binary import BinaryHead
from embodied_gen.heads.boltzmann import BoltzmannHead
from embodied_gen.heads.bound import Bound, variational_bound
from embodied_gen.heads.chain_margin import ChainMarginHead
from embodied_gen.heads.chains import Hamiltonian, Langevin, RandomWalk, Resampling
from embodied_gen.heads.check import check_head
from embodied_gen.heads.classifier import ClassifierGuidance, NoisyClassifier, fit_classifier
from embodied_gen.heads.crf import Channels, CRFHead, Leaf, Made, Stacked
from embodied_gen.heads.denoising import DenoisingHead
from embodied_gen.heads.energy import EnergyHead
from embodied_gen.heads.flows import FlowHead
from embodied_gen.heads.guidance import Guide, RowGuide, choose, propose
from embodied_gen.heads.hierarchical import HierarchicalVAEHead
from embodied_gen.heads.hopfield import HopfieldHead, associate, association_energy
from embodied_gen.heads.importance import ImportanceSampling
from embodied_gen.heads.joint_vae import JointVAEHead
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latent_diffusion import LatentDiffusionHead, LatentNet
from embodied_gen.heads.likelihood import log_likelihood
from embodied_gen.heads.margin import LearchHead, MarginHead, functional_step
from embodied_gen.heads.marginals import CellwiseHead, MarginalHead
from embodied_gen.heads.maxent import MaxEntHead
from embodied_gen.heads.mixture import MixtureHead
from embodied_gen.heads.objectives import (
    ContrastiveDivergence,
    InfoNCE,
    MaximumLikelihood,
    MaxMargin,
    PersistentContrastiveDivergence,
)
from embodied_gen.heads.particles import Particles
from embodied_gen.heads.persistent import PersistentChains
from embodied_gen.heads.pixelcnn import PixelCNNHead
from embodied_gen.heads.polygon import PolygonHead
from embodied_gen.heads.pullback import latent_event, pull_back
from embodied_gen.heads.rbm import RBMHead
from embodied_gen.heads.recurrent_attention import RecurrentAttentionHead, Segmentation
from embodied_gen.heads.regression import PointHead, RegressionHead, TwoStepHead
from embodied_gen.heads.scale import scale_for
from embodied_gen.heads.score_matching import DenoisingScoreMatching, ImplicitScoreMatching, SlicedScoreMatching
from embodied_gen.heads.steering import settle, steer
from embodied_gen.heads.tree_crf import TreeCRFHead
from embodied_gen.heads.vae import VAEHead
from embodied_gen.heads.vqvae import VQVAEHead
from embodied_gen.heads.walk import Guidance, Steered

__all__ = [
    "AdversarialHead",
    "AutoencoderHead",
    "AutoregressiveHead",
    "AverageVelocityHead",
    "BeliefHead",
    "BinaryHead",
    "BoltzmannHead",
    "Bound",
    "CRFHead",
    "CellwiseHead",
    "Certified",
    "ChainMarginHead",
    "Channels",
    "ClassifierGuidance",
    "ContrastiveDivergence",
    "DenoisingHead",
    "DenoisingScoreMatching",
    "EnergyHead",
    "FlowHead",
    "Guidance",
    "Guide",
    "Hamiltonian",
    "HasBound",
    "HasChains",
    "HasCostMap",
    "HasDenoiser",
    "HasDrawnBound",
    "HasEnergy",
    "HasLatent",
    "HasLogProb",
    "HasMarginals",
    "Head",
    "HierarchicalVAEHead",
    "HopfieldHead",
    "ImplicitScoreMatching",
    "ImportanceSampling",
    "InfoNCE",
    "JointVAEHead",
    "Langevin",
    "LatentChain",
    "LatentDiffusionHead",
    "LatentNet",
    "Leaf",
    "LearchHead",
    "Made",
    "MarginHead",
    "MarginalHead",
    "MaxEntHead",
    "MaxMargin",
    "MaximumLikelihood",
    "MixtureHead",
    "NoisyClassifier",
    "Particles",
    "PersistentChains",
    "PersistentContrastiveDivergence",
    "PixelCNNHead",
    "PointHead",
    "PolygonHead",
    "RBMHead",
    "RandomWalk",
    "RecurrentAttentionHead",
    "RegressionHead",
    "Resampling",
    "RowGuide",
    "Segmentation",
    "SlicedScoreMatching",
    "Stacked",
    "Steered",
    "TreeCRFHead",
    "TwoStepHead",
    "VAEHead",
    "VQVAEHead",
    "associate",
    "association_energy",
    "check_head",
    "choose",
    "fit_classifier",
    "functional_step",
    "latent_event",
    "log_likelihood",
    "propose",
    "pull_back",
    "scale_for",
    "settle",
    "steer",
    "variational_bound",
]
