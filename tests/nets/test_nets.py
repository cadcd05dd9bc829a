"""One grid of laws over every network."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from embodied_gen.nets.base import Net
from embodied_gen.nets.experts import LinearExperts
from embodied_gen.nets.mlp import ResidualMLP
from embodied_gen.nets.transformer import Transformer
from embodied_gen.nets.unet import TemporalUNet


@dataclass(frozen=True)
class Case:
    kind: type[Net]
    horizon: int
    channels_in: int
    channels_out: int
    context: int
    options: dict[str, Any]

    def __str__(self):
        sizes = f"T{self.horizon}-D{self.channels_in}-{self.channels_out}-C{self.context}"
        return f"{self.kind.__name__}-{sizes}" + "".join(f"-{k}{v}" for k, v in self.options.items())

    def build(self, dtype=torch.float64):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = self.kind(
                horizon=self.horizon,
                channels_in=self.channels_in,
                channels_out=self.channels_out,
                context=self.context,
                **self.options,
            )
        return net.to(dtype)

    def perturbed(self, dtype=torch.float64):
        """A net whose zero-initialised layers have moved, as after training."""
        net, generator = self.build(dtype), torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in net.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(0.05 * noise.to(dtype))
        return net

    def inputs(self, rows=5, dtype=torch.float64):
        generator = torch.Generator().manual_seed(2)
        x = torch.randn(rows, self.horizon, self.channels_in, generator=generator, dtype=torch.float64)
        t = torch.rand(rows, generator=generator, dtype=torch.float64)
        c = torch.randn(rows, self.context, generator=generator, dtype=torch.float64)
        return x.to(dtype), t.to(dtype), c.to(dtype)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Nets this small only wait for a second thread, for long where the cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SMALL = {
    ResidualMLP: {"width": 32, "depth": 2},
    TemporalUNet: {"width": 8, "groups": 4},
    Transformer: {"width": 32, "depth": 2, "heads": 2},
    LinearExperts: {"width": 32, "depth": 2, "experts": 3},
}
CASES = [
    Case(kind, horizon, channels_in, channels_out, context, options)
    for kind, options in SMALL.items()
    for horizon, channels_in, channels_out, context in [(16, 4, 4, 7), (4, 2, 3, 0), (10, 3, 6, 5)]
] + [
    Case(ResidualMLP, 3, 2, 2, 4, {"width": 32, "depth": 1, "expansion": 2.0}),
    Case(ResidualMLP, 1, 2, 2, 4, {"width": 32, "depth": 1}),
    Case(TemporalUNet, 9, 2, 2, 4, {"width": 16, "multipliers": (1, 2, 2, 4), "kernel": 3}),
    Case(TemporalUNet, 5, 2, 2, 4, {"width": 16, "multipliers": (1,)}),
    Case(TemporalUNet, 1, 2, 2, 4, {"width": 16}),
    Case(Transformer, 1, 2, 2, 4, {"width": 16, "heads": 1, "expansion": 1}),
]
grid = pytest.mark.parametrize("case", CASES, ids=str)


@grid
def test_output_has_one_row_per_input_row_and_the_requested_channels(case):
    y = case.build()(*case.inputs())
    assert y.shape == (5, case.horizon, case.channels_out)
    assert y.dtype == torch.float64
    assert y.isfinite().all()


@grid
def test_every_parameter_receives_a_gradient_after_two_optimiser_steps(case):
    net, (x, t, c) = case.build(), case.inputs(rows=8)
    target = torch.randn(8, case.horizon, case.channels_out, generator=torch.Generator().manual_seed(3))
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-1)
    for step in range(3):
        optimiser.zero_grad()
        (net(x, t, c) - target).square().mean().backward()
        if step < 2:
            optimiser.step()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    idle = [name for name, grad in gradients.items() if grad is None or grad.abs().max() < 1e-10]
    assert not idle


@grid
def test_rows_are_independent_of_each_other(case):
    net, (x, t, c) = case.perturbed(), case.inputs()
    y = net(x, t, c)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(net(x[order], t[order], c[order]), y[order])
    torch.testing.assert_close(net(x[2:3], t[2:3], c[2:3]), y[2:3])
    other = x.clone()
    other[2] += 1
    changed = (net(other, t, c) - y).abs().amax(dim=(1, 2)) > 1e-9
    assert changed.tolist() == [False, False, True, False, False]


@grid
def test_output_depends_on_input_on_time_and_on_context(case):
    net, (x, t, c) = case.perturbed(), case.inputs()
    y = net(x, t, c)
    for moved in [(x + 0.1, t, c), (x, 1 - t, c)] + ([(x, t, c + 0.1)] if case.context else []):
        assert ((net(*moved) - y).abs().amax(dim=(1, 2)) > 1e-6).all()


@grid
def test_every_step_of_the_input_matters(case):
    net, (x, t, c) = case.perturbed(), case.inputs(rows=1)
    y = net(x, t, c)
    for step in range(case.horizon):
        moved = x.clone()
        moved[:, step] += 1
        assert (net(moved, t, c) - y).abs().max() > 1e-9


@grid
def test_bfloat16_autocast_stays_close_to_float32(case):
    net, inputs = case.perturbed(torch.float32), case.inputs(dtype=torch.float32)
    exact = net(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(*inputs)
    assert rough.isfinite().all()
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()


@grid
def test_state_survives_a_round_trip(case):
    net, inputs = case.perturbed(), case.inputs()
    copy = case.build()
    copy.load_state_dict(net.state_dict())
    assert torch.equal(copy(*inputs), net(*inputs))


@grid
def test_training_and_evaluation_modes_agree(case):
    net, inputs = case.perturbed(), case.inputs()
    assert torch.equal(net.eval()(*inputs), net.train()(*inputs))


@grid
def test_graph_is_captured_without_a_break(case):
    net, inputs = case.perturbed(), case.inputs()
    torch.compiler.reset()
    captured = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(captured(*inputs), net(*inputs))


@pytest.mark.parametrize("kind", SMALL)
def test_export_keeps_the_number_of_rows_free(kind):
    case = Case(kind, 8, 3, 3, 5, SMALL[kind])
    net, rows = case.perturbed(), torch.export.Dim("rows", min=2, max=64)
    program = torch.export.export(net, case.inputs(), dynamic_shapes=({0: rows}, {0: rows}, {0: rows}))
    inputs = case.inputs(rows=9)
    torch.testing.assert_close(program.module()(*inputs), net(*inputs))


@pytest.mark.parametrize("kind", SMALL)
def test_zero_initialised_nets_start_at_the_zero_map(kind):
    case = Case(kind, 8, 3, 3, 5, SMALL[kind])
    assert (case.build()(*case.inputs()) == 0).all() == (kind is not TemporalUNet)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"horizon": 0}, "horizon must be >= 1; got 0"),
        ({"channels_in": 0}, "channels_in must be >= 1"),
        ({"channels_out": -1}, "channels_out must be >= 1"),
        ({"context": -1}, "context must be >= 0"),
        ({"width": 0}, "width must be >= 1"),
    ],
)
def test_impossible_sizes_are_refused_at_construction(kind, sizes, message):
    with pytest.raises(ValueError, match=message):
        kind(**({"horizon": 8, "channels_in": 2, "channels_out": 2, "context": 3} | sizes))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ResidualMLP, {"depth": 0}, "depth must be >= 1"),
        (ResidualMLP, {"expansion": 0.0}, "expansion must leave a block"),
        (TemporalUNet, {"kernel": 4}, "kernel must be odd"),
        (TemporalUNet, {"multipliers": ()}, "at least one level"),
        (TemporalUNet, {"width": 12}, "multiple of groups=8"),
        (TemporalUNet, {"groups": 0}, "groups must be >= 1"),
        (LinearExperts, {"experts": 0}, "experts must be >= 1"),
        (Transformer, {"width": 30}, "multiple of heads=4"),
        (Transformer, {"heads": 0}, "heads must be >= 1"),
    ],
)
def test_impossible_options_are_refused_at_construction(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(horizon=8, channels_in=2, channels_out=2, context=3, **options)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(5, 7, 3), (5,), (5, 2)], r"x must have shape \(M, 8, 3\); got \(5, 7, 3\)"),
        ([(5, 24), (5,), (5, 2)], r"x must have shape"),
        ([(5, 8, 3), (5, 1), (5, 2)], r"t must have shape \(5,\)"),
        ([(5, 8, 3), (), (5, 2)], r"t must have shape \(5,\)"),
        ([(5, 8, 3), (5,), (5, 3)], r"c must have shape \(5, 2\); got \(5, 3\)"),
        ([(5, 8, 3), (5,), (1, 2)], r"c must have shape \(5, 2\)"),
    ],
)
def test_inputs_of_another_shape_are_refused(kind, shapes, message):
    net = Case(kind, 8, 3, 3, 2, SMALL[kind]).build()
    with pytest.raises(ValueError, match=message):
        net(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))


def test_the_default_mlp_has_about_a_million_parameters():
    net = ResidualMLP(horizon=16, channels_in=4, channels_out=4, context=78)
    assert 0.8e6 < sum(parameter.numel() for parameter in net.parameters()) < 1.2e6


def test_linear_experts_learn_to_copy_from_few_examples_what_a_perceptron_does_not():
    """A step is one of two goals, by a sign: 200 examples in 24 dimensions."""
    c = torch.randn(600, 25, generator=torch.Generator().manual_seed(0))
    y = torch.where(c[:, :1] > 0, c[:, 1:13], c[:, 13:]).unsqueeze(1)
    errors = {}
    for kind in (LinearExperts, ResidualMLP):
        net = Case(kind, 1, 12, 12, 25, {"width": 64, "depth": 2}).build(torch.float32)
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
        x, t = torch.zeros(600, 1, 12), torch.zeros(600)
        for _ in range(400):
            optimiser.zero_grad()
            (net(x[:200], t[:200], c[:200]) - y[:200]).square().mean().backward()
            optimiser.step()
        errors[kind] = (net(x[200:], t[200:], c[200:]) - y[200:]).square().mean().item()
    assert errors[LinearExperts] < 0.5 * errors[ResidualMLP]
