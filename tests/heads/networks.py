"""Small networks of every kind, and readers that make of a flat context what theirs look at."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from embodied_gen import context
from embodied_gen.events import (
    Event,
    InstanceMap,
)
from embodied_gen.nets import (
    BoxCascade,
    CausalTransformer,
    Decoder,
    GlimpseNet,
    LipschitzMLP,
    MaskedMLP,
    MonotoneMLP,
    OverCells,
    RecurrentDecoder,
    ResidualMLP,
    SetTransformer,
    TemporalUNet,
    Transformer,
)
from tests.heads.batches import CHANNELS, CONTEXT, GOAL, HORIZON, LAYERS, START, ways

SIZES = {"horizon": HORIZON, "channels_in": CHANNELS, "context": CONTEXT}
FEATURES = 6


def mlp(channels_out: int = CHANNELS, channels_in: int = CHANNELS) -> nn.Module:
    return ResidualMLP(
        horizon=HORIZON, channels_in=channels_in, channels_out=channels_out, context=CONTEXT, width=32, depth=1
    )


def unet(channels_out: int = CHANNELS) -> nn.Module:
    return TemporalUNet(
        horizon=HORIZON,
        channels_in=CHANNELS,
        channels_out=channels_out,
        context=CONTEXT,
        width=8,
        multipliers=(1, 2),
        groups=4,
    )


def transformer(channels_out: int = CHANNELS, channels_in: int = CHANNELS) -> nn.Module:
    return Transformer(
        horizon=HORIZON,
        channels_in=channels_in,
        channels_out=channels_out,
        context=CONTEXT,
        width=16,
        depth=1,
        heads=2,
    )


def set_transformer() -> nn.Module:
    return SetTransformer(
        horizon=HORIZON, channels_in=CHANNELS, channels_out=CHANNELS, context=CONTEXT, width=16, depth=1, heads=2
    )


def masked(numbers: int = 2) -> nn.Module:
    return MaskedMLP(**SIZES, channels_out=numbers * CHANNELS, width=24, depth=1)


def monotone() -> nn.Module:
    return MonotoneMLP(**SIZES, channels_out=2 * CHANNELS, block=3, depth=1)


def lipschitz() -> nn.Module:
    return LipschitzMLP(**SIZES, channels_out=CHANNELS, width=16, lipschitz=0.5)


def recurrent(length: int, channels_in: int, channels_out: int) -> Decoder:
    return RecurrentDecoder(
        length=length, channels_in=channels_in, channels_out=channels_out, context=FEATURES, width=16
    )


def causal(length: int, channels_in: int, channels_out: int) -> Decoder:
    return CausalTransformer(
        length=length, channels_in=channels_in, channels_out=channels_out, context=FEATURES, width=16, depth=1, heads=2
    )


def over_cells(event: Event, channels_out: int) -> nn.Module:
    height, width, channels = event.shape
    net = ResidualMLP(
        horizon=height * width,
        channels_in=channels,
        channels_out=channels_out,
        context=CONTEXT,
        width=32,
        depth=1,
    )
    return OverCells(net, height=height, width=width)


def stirred(net: nn.Module) -> nn.Module:
    """Away from layers that start at zero: every map would have the same loss."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=g))
    return net


class LooksAtDrawing(nn.Module):
    """Draws an image of a flat context, and looks for objects in it."""

    def __init__(self, event: InstanceMap):
        super().__init__()
        height, width = event.shape[:2]
        self.drawing = over_cells(event, 2)
        self.looking = GlimpseNet(height=height, width=width, channels_in=2, features=8, memory=8, cells=4)
        self.shape = event.shape

    def begin(self, c: context.Context) -> Mapping[str, Tensor]:
        zeros = self.looking.places.new_zeros(context.size(c), *self.shape)
        return self.looking.begin(self.drawing(zeros, zeros[:, 0, 0, 0], c).movedim(-1, 1))

    def look(self, state: Mapping[str, Tensor], canvas: Tensor) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        return self.looking.look(state, canvas)


class DrawsMap(nn.Module):
    """Reads a flat context as a map of features, with one start and one goal."""

    def __init__(self):
        super().__init__()
        self.event = ways()
        self.net = ResidualMLP(horizon=12, channels_in=1, channels_out=LAYERS, context=CONTEXT, width=32, depth=1)

    def forward(self, c: context.Context) -> dict[str, Tensor]:
        zeros = self.event.low.new_zeros(context.size(c), 12, 1)
        layers = self.net(zeros, zeros[:, 0, 0], c).transpose(1, 2).unflatten(2, (3, 4))
        ends = {"start": START, "goal": GOAL}
        return {"layers": layers} | {
            name: self.event.centres(torch.full((len(zeros),), state)) for name, state in ends.items()
        }


class DrawsImage(nn.Module):
    """Reads a flat context as the levels of a pyramid, for a network that looks at them."""

    def __init__(self, decoder: BoxCascade):
        super().__init__()
        self.decoder = decoder
        self.net = ResidualMLP(horizon=20, channels_in=1, channels_out=8, context=CONTEXT, width=32, depth=1)

    def stages(self, x: Tensor, t: Tensor, c: context.Context) -> Tensor:
        pixels = self.net(x.new_zeros(len(x), 20, 1), x.new_zeros(len(x)), c).transpose(1, 2)
        fine, coarse = pixels.split([16, 4], 2)
        levels = {"fine": fine.unflatten(2, (4, 4)), "coarse": coarse.unflatten(2, (2, 2))}
        return self.decoder.stages(x, t, levels)

    def forward(self, x: Tensor, t: Tensor, c: context.Context) -> Tensor:
        return self.stages(x, t, c)[-1]
