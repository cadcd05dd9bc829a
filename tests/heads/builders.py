"""Small heads of every family."""

from collections.abc import Callable

import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.boxes import Hungarian
from embodied_gen.crf import DenseCRF, Kernel, Method
from embodied_gen.events import (
    BoxSet,
    Event,
    LabelMap,
    Trajectory,
)
from embodied_gen.heads import (
    AutoregressiveHead,
    CellwiseHead,
    CRFHead,
    DenoisingHead,
    EnergyHead,
    FlowHead,
    Head,
    Langevin,
    LatentChain,
    LatentDiffusionHead,
    LatentNet,
    Made,
    MixtureHead,
    PixelCNNHead,
    PolygonHead,
    RegressionHead,
    VAEHead,
    latent_event,
)
from embodied_gen.heads.chains import EnergySampler
from embodied_gen.heads.charges import Charge
from embodied_gen.heads.emissions import Emission
from embodied_gen.heads.flows import (
    Affine,
    Coupling,
    Layer,
    Spline,
    alternating,
)
from embodied_gen.heads.lengths import Length
from embodied_gen.heads.objectives import Objective
from embodied_gen.heads.orders import Given, Order
from embodied_gen.heads.parametrisation import Clean
from embodied_gen.heads.path_head import PathHead
from embodied_gen.heads.renewal import Renewal
from embodied_gen.heads.samplers import DDIM
from embodied_gen.heads.schedules import Cosine
from embodied_gen.heads.teaching import Teaching
from embodied_gen.nets import (
    BoxDecoder,
    BoxQueries,
    ConvMap,
    Decoder,
    Positive,
    RasterNet,
    ResidualMLP,
)
from tests.heads.batches import CHANNELS, CONTEXT, HORIZON, KINDS, LAYERS, SLOTS, outline, ways
from tests.heads.networks import FEATURES, DrawsImage, DrawsMap, mlp, over_cells, recurrent, stirred

SMALL = {"classes": KINDS, "width": 8, "depth": 2, "heads": 2, "dynamic": 4, "size": 2}


def mixture(event: Event) -> Head:
    return MixtureHead(event, mlp(MixtureHead.width(CHANNELS, 3)), components=3)


def couplings(make: Callable[[int], nn.Module], transform: Spline | Affine, layers: int = 4) -> list[Layer]:
    masks = alternating((HORIZON, CHANNELS), layers)
    width = transform.numbers * CHANNELS
    return [Coupling(make(width), transform, mask, time=i / layers) for i, mask in enumerate(masks)]


def flow(event: Trajectory, layers: list[Layer], steps: int = 2) -> Head:
    return FlowHead(event, layers, chain=LatentChain(4, steps=steps, iterations=steps))


def energy(event: Event, net: nn.Module, objective: Objective, sampler: EnergySampler | None = None) -> Head:
    return EnergyHead(event, net, objective=objective, sampler=sampler or Langevin(20))


def autoregressive(
    event: Event,
    emission: Emission,
    decoder: Callable[[int, int, int], Decoder] = recurrent,
    order: Callable[[int], Order] = Given,
    teaching: Teaching | None = None,
) -> Head:
    positions = AutoregressiveHead.positions(event, emission)
    net = ResidualMLP(
        horizon=event.shape[0],
        channels_in=event.shape[1],
        channels_out=AutoregressiveHead.width(event, emission, FEATURES),
        context=CONTEXT,
        width=32,
        depth=1,
    )
    reads = decoder(positions, emission.inputs + FEATURES, emission.width)
    return AutoregressiveHead(event, net, reads, emission, order=order(positions), teaching=teaching)


def pixelcnn(raster: Callable[..., RasterNet], event: LabelMap) -> Head:
    k = event.classes
    return PixelCNNHead(
        event, over_cells(event, FEATURES), raster(channels_in=k, channels_out=k, context=FEATURES, width=8, depth=1)
    )


def crf(method: Method, event: LabelMap, *, learn_widths: bool = False) -> Head:
    kernels = [Kernel(1.0), Kernel(2.0, (0.5, 0.5))]
    layer = DenseCRF(event.classes, kernels, [1.0, 1.0], method=method, learn_widths=learn_widths)
    channels = Made(event, over_cells(event, 2), 2)
    return CRFHead(event, stirred(over_cells(event, event.classes)), layer, channels)


def cellwise(event: LabelMap) -> Head:
    return CellwiseHead(event, stirred(over_cells(event, event.classes)))


def polygon(decoder: Callable[[int, int, int], Decoder]) -> Head:
    event = outline()
    net = ResidualMLP(horizon=6, channels_in=3, channels_out=2 * FEATURES, context=CONTEXT, width=32, depth=1)
    return PolygonHead(event, net, decoder(12, event.levels + 1 + FEATURES, event.levels + 1), candidates=64)


def over_maps(kind: type[PathHead], length: Length, charge: Charge | None = None) -> Head:
    channels = 1 if charge is None else charge.channels(ways().grid)
    net = Positive(ConvMap(channels_in=LAYERS, channels_out=channels, width=8, depth=1), floor=1.5)
    return kind(ways(), net, length=length, charge=charge, reader=DrawsMap())


def denoised_boxes(renewed: bool = False) -> Head:
    event = BoxSet(KINDS, SLOTS)
    return DenoisingHead(
        event,
        stirred(DrawsImage(BoxDecoder(**SMALL))),
        schedule=Cosine(50),
        parametrisation=Clean(),
        sampler=Renewal(event.likely, event.merged) if renewed else DDIM(1.0),
        steps=3,
        clip=2.0,
    )


def queried_boxes() -> Head:
    event = BoxSet(KINDS, SLOTS, matching=Hungarian())
    return RegressionHead(event, stirred(DrawsImage(BoxQueries(count=SLOTS, **SMALL))))


def latent_diffusion(event: Trajectory) -> Head:
    denoiser = DenoisingHead(latent_event(3), LatentNet(event, mlp(), latent=3), clip=4.0)
    return LatentDiffusionHead(VAEHead(event, mlp(), mlp(), latent=3), denoiser)


def as_after_training(head):
    """With weights away from zero."""
    stream = draws.generator(7)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * draws.normal(parameter.shape, generator=stream, like=parameter))
    return head
