"""Blocks of normalizing flows."""

import abc
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.chain import ChainBlock
from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import FlowHead, Head, flows, ode
from embodied_gen.heads.flows.continuous import ABSOLUTE, RELATIVE


class AffineTransform(Block):
    """A scale and a shift: RealNVP."""

    kind: Literal["affine"] = "affine"
    limit: float = Field(3.0, gt=0, description="Largest logarithm of a scale.")

    def build(self) -> flows.Elementwise:
        """The map."""
        return flows.Affine(self.limit)


class SplineTransform(Block):
    """A monotone rational-quadratic spline: neural spline flow."""

    kind: Literal["spline"] = "spline"
    bins: int = Field(8, ge=2, le=64, description="Pieces.")
    bound: float = Field(4.0, gt=0, description="Where the tails begin, deviations of the data.")

    def build(self) -> flows.Elementwise:
        """The map."""
        return flows.Spline(self.bins, self.bound)


TransformBlock = Annotated[AffineTransform | SplineTransform, Field(discriminator="kind")]

TABLEAUS = {"euler": ode.EULER, "midpoint": ode.MIDPOINT, "heun": ode.HEUN, "kutta": ode.KUTTA}


class FixedSolver(Block):
    """Equal steps."""

    kind: Literal["fixed"] = "fixed"
    method: Literal["euler", "midpoint", "heun", "kutta"] = Field("kutta", description="Runge-Kutta method.")
    steps: int = Field(8, ge=1, description="Steps from data to noise.")

    def build(self) -> ode.Solver:
        """The solver."""
        return ode.Fixed(self.steps, TABLEAUS[self.method])


class DormandPrinceSolver(Block):
    """Steps of estimated error."""

    kind: Literal["dormand_prince"] = "dormand_prince"
    relative: float = Field(1e-5, gt=0, description="Relative tolerance of a step.")
    absolute: float = Field(1e-6, gt=0, description="Absolute tolerance of a step.")

    def build(self) -> ode.Solver:
        """The solver."""
        return ode.DormandPrince(self.relative, self.absolute)


SolverBlock = Annotated[FixedSolver | DormandPrinceSolver, Field(discriminator="kind")]


class FirstTerms(Block):
    """A fixed number of terms, which is biased."""

    kind: Literal["first"] = "first"
    terms: int = Field(10, ge=1, description="Terms.")

    def build(self) -> flows.Truncation:
        """The truncation."""
        return flows.First(self.terms)


class GeometricTerms(Block):
    """A geometric number of further terms."""

    kind: Literal["geometric"] = "geometric"
    terms: int = Field(4, ge=1, description="Terms that are always taken.")
    more: float = Field(0.65, ge=0, lt=1, description="Probability of each further term.")

    def build(self) -> flows.Truncation:
        """The truncation."""
        return flows.Geometric(self.terms, self.more)


class PoissonTerms(Block):
    """A Poisson number of further terms."""

    kind: Literal["poisson"] = "poisson"
    terms: int = Field(4, ge=1, description="Terms that are always taken.")
    mean: float = Field(2.0, gt=0, description="Mean number of further terms.")

    def build(self) -> flows.Truncation:
        """The truncation."""
        return flows.Poisson(self.terms, self.mean)


TruncationBlock = Annotated[FirstTerms | GeometricTerms | PoissonTerms, Field(discriminator="kind")]


def _alternating(layers: Iterable[flows.Layer]) -> list[flows.Layer]:
    """Layers with the order of entries reversed between them."""
    first, *others = layers
    return [first, *(part for layer in others for part in (flows.Reverse(), layer))]


class FlowBlock(Block, abc.ABC):
    """What blocks of flows share."""

    chain: ChainBlock = ChainBlock()

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return FlowHead(event, self.stack(event.shape, make_net), chain=self.chain.build())

    @abc.abstractmethod
    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """The layers, from data to noise."""


class PlanarBlock(FlowBlock):
    """Planar flow."""

    kind: Literal["planar"] = "planar"
    layers: int = Field(8, ge=1, description="Layers, each with a network.")

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """Planar layers."""
        return [flows.Planar(shape, make_net(3 * shape[-1]), time=i / self.layers) for i in range(self.layers)]


class CouplingBlock(FlowBlock):
    """Coupling flow: RealNVP with affine maps, neural spline flow with splines."""

    kind: Literal["coupling"] = "coupling"
    layers: int = Field(6, ge=2, description="Layers, each with a network.")
    transform: TransformBlock = SplineTransform()

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """Couplings with alternating masks."""
        transform = self.transform.build()
        return [
            flows.Coupling(make_net(transform.numbers * shape[-1]), transform, mask, time=i / self.layers)
            for i, mask in enumerate(flows.alternating(shape, self.layers))
        ]


class MAFBlock(FlowBlock):
    """Masked autoregressive flow; needs net.kind masked."""

    kind: Literal["maf"] = "maf"
    layers: int = Field(3, ge=1, description="Layers, each with a network.")
    transform: TransformBlock = AffineTransform()

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """Layers in alternating orders."""
        transform = self.transform.build()
        return _alternating(
            flows.MaskedAutoregressive(make_net(transform.numbers * shape[-1]), transform, time=i / self.layers)
            for i in range(self.layers)
        )


class IAFBlock(FlowBlock):
    """Inverse autoregressive flow; needs net.kind masked."""

    kind: Literal["iaf"] = "iaf"
    layers: int = Field(3, ge=1, description="Layers, each with a network.")
    transform: TransformBlock = AffineTransform()

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """Layers in alternating orders."""
        transform = self.transform.build()
        return _alternating(
            flows.InverseAutoregressive(make_net(transform.numbers * shape[-1]), transform, time=i / self.layers)
            for i in range(self.layers)
        )


class BNAFBlock(FlowBlock):
    """Block neural autoregressive flow; needs net.kind monotone."""

    kind: Literal["bnaf"] = "bnaf"
    layers: int = Field(2, ge=1, description="Layers, each with a network.")
    iterations: int = Field(20, ge=1, description="Evaluations for the root of each entry, in sampling.")

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """Layers in alternating orders."""
        return _alternating(
            flows.BlockAutoregressive(shape, make_net(2 * shape[-1]), time=i / self.layers, iterations=self.iterations)
            for i in range(self.layers)
        )


class ResidualFlowBlock(FlowBlock):
    """Residual flow; needs net.kind lipschitz."""

    kind: Literal["residual_flow"] = "residual_flow"
    layers: int = Field(8, ge=1, description="Layers, each with a network.")
    truncation: TruncationBlock = GeometricTerms()
    iterations: int = Field(60, ge=1, description="Terms of the way back, in sampling.")

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """Residual layers."""
        truncation = self.truncation.build()
        return [
            flows.Residual(make_net(shape[-1]), time=i / self.layers, truncation=truncation, iterations=self.iterations)
            for i in range(self.layers)
        ]


class ContinuousFlowBlock(FlowBlock):
    """Continuous flow: a neural ordinary differential equation, trained by likelihood."""

    kind: Literal["continuous_flow"] = "continuous_flow"
    solver: SolverBlock = Field(
        DormandPrinceSolver(relative=RELATIVE, absolute=ABSOLUTE),
        description="Of densities and draws; exact as far as it is.",
    )
    training_solver: SolverBlock = Field(FixedSolver(steps=4), description="Of the loss; may be coarse.")
    roughness: float = Field(0.1, ge=0, description="Charged in training for speed and change of speed, nat.")

    def stack(self, shape: tuple[int, ...], make_net: MakeNet) -> list[flows.Layer]:
        """One layer."""
        solver, training = self.solver.build(), self.training_solver.build()
        net, roughness = make_net(shape[-1]), self.roughness
        return [flows.Continuous(net, solver=solver, training_solver=training, roughness=roughness)]
