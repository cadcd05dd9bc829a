"""Networks u(x, t, c) over event chunks, all of one signature."""

from embodied_gen.nets.base import Net
from embodied_gen.nets.lipschitz import LipschitzMLP
from embodied_gen.nets.masked import MaskedMLP
from embodied_gen.nets.mlp import ResidualMLP
from embodied_gen.nets.monotone import MonotoneMLP
from embodied_gen.nets.scene import SceneTransformer
from embodied_gen.nets.transformer import Transformer
from embodied_gen.nets.unet import TemporalUNet

__all__ = [
    "LipschitzMLP",
    "MaskedMLP",
    "MonotoneMLP",
    "Net",
    "ResidualMLP",
    "SceneTransformer",
    "TemporalUNet",
    "Transformer",
]
