"""Networks u(x, t, c) over events, all of one signature, and those that read their input in an order."""

from embodied_gen.nets.along_map import AlongMap
from embodied_gen.nets.base import Net
from embodied_gen.nets.box_decoder import BoxCascade, BoxDecoder, BoxQueries
from embodied_gen.nets.causal import CausalTransformer
from embodied_gen.nets.cells import OverCells
from embodied_gen.nets.decoder import Decoder
from embodied_gen.nets.dense_boxes import DenseBoxes
from embodied_gen.nets.experts import LinearExperts
from embodied_gen.nets.glimpse_net import GlimpseNet
from embodied_gen.nets.image_unet import ImageUNet
from embodied_gen.nets.lipschitz import LipschitzMLP
from embodied_gen.nets.map import CellMLP, ConvMap, LinearMap, MapNet, Positive
from embodied_gen.nets.masked import MaskedMLP
from embodied_gen.nets.masked_conv import MaskedConvNet
from embodied_gen.nets.mlp import ResidualMLP
from embodied_gen.nets.monotone import MonotoneMLP
from embodied_gen.nets.neighbours import NeighbourAttention
from embodied_gen.nets.pyramid import FeaturePyramid
from embodied_gen.nets.raster import RasterNet
from embodied_gen.nets.recurrent import RecurrentDecoder
from embodied_gen.nets.row_recurrent import RowRecurrentNet
from embodied_gen.nets.scene import SceneTransformer
from embodied_gen.nets.transformer import SetTransformer, TokenTransformer, Transformer
from embodied_gen.nets.unet import TemporalUNet

__all__ = [
    "AlongMap",
    "BoxCascade",
    "BoxDecoder",
    "BoxQueries",
    "CausalTransformer",
    "CellMLP",
    "ConvMap",
    "Decoder",
    "DenseBoxes",
    "FeaturePyramid",
    "GlimpseNet",
    "ImageUNet",
    "LinearExperts",
    "LinearMap",
    "LipschitzMLP",
    "MapNet",
    "MaskedConvNet",
    "MaskedMLP",
    "MonotoneMLP",
    "NeighbourAttention",
    "Net",
    "OverCells",
    "Positive",
    "RasterNet",
    "RecurrentDecoder",
    "ResidualMLP",
    "RowRecurrentNet",
    "SceneTransformer",
    "SetTransformer",
    "TemporalUNet",
    "TokenTransformer",
    "Transformer",
]
