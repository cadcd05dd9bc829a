"""Normalizing flows: one head, and the layers that make its families."""

from embodied_gen.heads.flows.autoregressive import InverseAutoregressive, MaskedAutoregressive
from embodied_gen.heads.flows.base import FlowHead, Layer, Reverse
from embodied_gen.heads.flows.block import BlockAutoregressive
from embodied_gen.heads.flows.continuous import Continuous
from embodied_gen.heads.flows.coupling import Coupling, alternating
from embodied_gen.heads.flows.elementwise import Affine, Elementwise, Spline
from embodied_gen.heads.flows.planar import Planar
from embodied_gen.heads.flows.residual import First, Geometric, Poisson, Residual, Truncation

__all__ = [
    "Affine",
    "BlockAutoregressive",
    "Continuous",
    "Coupling",
    "Elementwise",
    "First",
    "FlowHead",
    "Geometric",
    "InverseAutoregressive",
    "Layer",
    "MaskedAutoregressive",
    "Planar",
    "Poisson",
    "Residual",
    "Reverse",
    "Spline",
    "Truncation",
    "alternating",
]
