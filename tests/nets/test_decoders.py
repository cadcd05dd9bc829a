"""Networks that read in order: nothing is seen before its turn, and reading step by step changes nothing."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.heads.decoding import Uncached, unroll
from embodied_gen.nets import CausalTransformer, RecurrentDecoder

KINDS = {
    "transformer": lambda **sizes: CausalTransformer(**sizes, width=16, depth=2, heads=2),
    "recurrent": lambda **sizes: RecurrentDecoder(**sizes, width=16, depth=2),
}
grid = pytest.mark.parametrize("kind", KINDS)
LENGTH, IN, OUT = 6, 3, 4
LONG = 20  # where attention to what was read is by batched products


def decoder(kind, context=2, dtype=torch.float64, length=LENGTH):
    """A decoder whose last layer has moved from zero, as after training."""
    net = KINDS[kind](length=length, channels_in=IN, channels_out=OUT, context=context).to(dtype)
    with torch.no_grad():
        net.output.weight.normal_(generator=draws.generator(1))
    return net


def inputs(context=2, rows=5, length=LENGTH, dtype=torch.float64):
    like = torch.zeros((), dtype=dtype)
    g = draws.generator(2)
    return tuple(draws.normal((rows, length, size), generator=g, like=like) for size in (IN, context))


@grid
def test_a_position_sees_itself_and_those_before_it_and_no_later_one(kind):
    net, (x, c) = decoder(kind), inputs(rows=1)
    slopes = torch.autograd.functional.jacobian(net, (x, c))
    for slope in slopes:
        seen = slope[0, :, :, 0].abs().amax((1, 3)) > 0
        assert torch.equal(seen, torch.ones(LENGTH, LENGTH).tril().bool())


@grid
@pytest.mark.parametrize("length", [LENGTH, LONG])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reading_step_by_step_gives_what_reading_at_once_gives(kind, dtype, length):
    net, (x, c) = decoder(kind, dtype=dtype, length=length), inputs(dtype=dtype, length=length)
    state, outputs = net.start(len(x), x), []
    with torch.no_grad():
        for position in range(length):
            output, state = net.step(x[:, position], c[:, position], position, state)
            outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), net(x, c), rtol=1e-5, atol=1e-5)


@grid
@pytest.mark.parametrize("length", [1, LENGTH, LONG])
def test_sequences_drawn_with_a_state_are_those_drawn_without(kind, length):
    net, (_, c) = (
        decoder(kind, dtype=torch.float32, length=max(length, LENGTH)),
        inputs(length=length, dtype=torch.float32),
    )

    def drawn(way):
        stream = draws.generator(3)

        def draw(output, position):
            value = output[:, :1] + draws.normal((len(output), 1), generator=stream, like=output)
            return value, value

        return unroll(way, c, draw)

    with torch.no_grad():
        kept, again = drawn(net), drawn(Uncached(net))
    torch.testing.assert_close(kept, again, rtol=0, atol=1e-5)
    assert kept.shape == (5, length, 1)


@grid
@pytest.mark.parametrize("length", [2, LONG])
def test_the_second_axis_of_a_state_is_that_of_the_rows(kind, length):
    net, (x, c) = decoder(kind, length=length), inputs(length=length)
    index, last = torch.tensor([3, 0, 3]), length - 1
    state = net.start(len(x), x)
    with torch.no_grad():
        for position in range(last):
            _, state = net.step(x[:, position], c[:, position], position, state)
        picked, _ = net.step(x[index, last], c[index, last], last, state[:, index])
    torch.testing.assert_close(picked, net(x, c)[index, last])


@grid
def test_shorter_sequences_and_no_context_are_read_too(kind):
    net, (x, c) = decoder(kind, context=0), inputs(context=0)
    torch.testing.assert_close(net(x[:, :2], c[:, :2]), net(x, c)[:, :2])


def test_the_transformer_is_that_of_torch_with_the_same_weights():
    net, (x, c) = decoder("transformer"), inputs()
    layer = torch.nn.TransformerEncoderLayer(
        16,
        2,
        64,
        dropout=0.0,
        activation=lambda h: torch.nn.functional.gelu(h, approximate="tanh"),
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
        dtype=torch.float64,
    )
    h = net.input(torch.cat([x, c], -1)) + net.positions
    mask = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH, dtype=torch.float64)
    for block in net.blocks:
        names = {"self_attn.in_proj_weight": block.attend.weight, "self_attn.in_proj_bias": torch.zeros(48)}
        parts = {"self_attn.out_proj": block.merge, "linear1": block.mlp[0], "linear2": block.mlp[2]}
        names |= {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
        layer.load_state_dict(layer.state_dict() | names)
        h = layer(h, mask)
    theirs = net.output(torch.nn.functional.layer_norm(h, h.shape[-1:], eps=1e-6))
    torch.testing.assert_close(net(x, c), theirs)


@grid
def test_rows_do_not_see_each_other(kind):
    net, (x, c) = decoder(kind), inputs()
    torch.testing.assert_close(net(x[2:3], c[2:3]), net(x, c)[2:3])


@grid
def test_it_starts_at_the_zero_map(kind):
    net = KINDS[kind](length=LENGTH, channels_in=IN, channels_out=OUT, context=2).double()
    assert (net(*inputs()) == 0).all()


@grid
def test_it_learns_to_repeat_what_it_read_three_positions_ago(kind):
    torch.manual_seed(0)
    net = KINDS[kind](length=8, channels_in=2, channels_out=2, context=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    tokens = (draws.uniform((64, 8), generator=draws.generator(4), like=torch.zeros(())) < 0.5).long()
    x, none = torch.nn.functional.one_hot(tokens, 2).float(), torch.zeros(64, 8, 0)
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x, none)[:, 3:].flatten(0, 1), tokens[:, :-3].flatten())
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1  # of log 2 = 0.69


@grid
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(5, 7, 3), (5, 7, 2)], r"x must have shape \(M, S, 3\) with S from 1 to 6; got \(5, 7, 3\)"),
        ([(5, 6, 4), (5, 6, 2)], "x must have shape"),
        ([(5, 3), (5, 6, 2)], "x must have shape"),
        ([(5, 6, 3), (5, 2)], r"c must have shape \(5, 6, 2\); got \(5, 2\)"),
    ],
)
def test_sequences_of_another_shape_are_refused(kind, shapes, message):
    with pytest.raises(ValueError, match=message):
        decoder(kind)(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))


@grid
@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"length": 0}, "length must be >= 1; got 0"), ({"context": -1}, "context must be >= 0")],
)
def test_impossible_sizes_are_refused(kind, sizes, message):
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**({"length": 4, "channels_in": 2, "channels_out": 2, "context": 1} | sizes))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width must be a multiple of heads=4; got 30"):
        CausalTransformer(length=4, channels_in=2, channels_out=2, context=1, width=30)
