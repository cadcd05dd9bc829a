"""Conditional random fields: dense ones by mean field, filters for them, chains and trees; Gibbs sampling."""

from embodied_gen.crf.dense import Agreement, DenseCRF, Learned, Potts
from embodied_gen.crf.filters import Filter, Normalisation, Rows, Symmetric
from embodied_gen.crf.kernels import Kernel, Points
from embodied_gen.crf.mean_field import free_energy, mean_field
from embodied_gen.crf.methods import ByDevice, Exact, Method, Nystroem, Permutohedral, Smooth

__all__ = [
    "Agreement",
    "ByDevice",
    "DenseCRF",
    "Exact",
    "Filter",
    "Kernel",
    "Learned",
    "Method",
    "Normalisation",
    "Nystroem",
    "Permutohedral",
    "Points",
    "Potts",
    "Rows",
    "Smooth",
    "Symmetric",
    "free_energy",
    "mean_field",
]
