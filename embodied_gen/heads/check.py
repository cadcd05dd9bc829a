"""A public check of the contract of heads, for ours and for yours.

`check_head` states the laws that every head obeys whatever its family: one loss for each example, gradients for
every parameter that is learned, draws that are functions of the generator and of nothing else, rows that do not
depend on their neighbours, guides that are obeyed and never break anything at any scale, constraints of which it is
told for every sample whether they hold, and a state that can be saved.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.heads.base import HasEnergy, Head
from embodied_gen.heads.guidance import Guide


def check_head(head: Head, x: Tensor, c: Context, *, seed: int = 0) -> None:
    """Checks the laws of the contract on a batch.

    Args:
        head: A head in the dtype of `x`. It is left as it was.
        x: Two or more different events, model units, shape `(B, *E)`.
        c: Their contexts, not all equal.
        seed: Of every draw.

    Raises:
        AssertionError: With a sentence that names the law that is broken.
    """
    head = copy.deepcopy(head)
    laws: list[Callable[[Head, Tensor, Context, int], None]] = [
        _loss_has_one_value_for_each_example,
        _wrong_shapes_are_named,
        _every_parameter_receives_a_gradient,
        _draws_are_functions_of_the_generator,
        _contexts_do_not_depend_on_their_neighbours,
        _guides_are_obeyed,
        _constraints_are_certified,
        _state_restores_the_draws,
    ]
    before = torch.get_rng_state()
    for law in laws:
        law(head, x, c, seed)
    _require(torch.equal(before, torch.get_rng_state()), "the global random state must not be touched")


def _require(condition: bool, law: str) -> None:
    if not condition:
        raise AssertionError(f"check_head: {law}.")


def _streams(seed: int, count: int) -> list[torch.Generator]:
    return [draws.generator(seed, index) for index in range(count)]


def _loss_has_one_value_for_each_example(head: Head, x: Tensor, c: Context, seed: int) -> None:
    loss = head.loss(x, c, generator=draws.generator(seed))
    _require(loss.shape == (len(x),), f"loss must have shape ({len(x)},), got {tuple(loss.shape)}")
    _require(bool(loss.isfinite().all()), "loss must be finite")
    _require(loss.dtype == x.dtype, f"loss must have the dtype of the event, got {loss.dtype}")
    again = head.loss(x, c, generator=draws.generator(seed))
    _require(torch.equal(loss, again), "the same generator state must give the same loss")


def _wrong_shapes_are_named(head: Head, x: Tensor, c: Context, seed: int) -> None:
    try:
        head.loss(x[..., :-1], c, generator=draws.generator(seed))
    except ValueError as error:
        _require("shape" in str(error), "a wrong shape must be named in the error")
    else:
        _require(False, "an event of a wrong shape must raise ValueError")
    try:
        head.sample(c, 0, generator=draws.generator(seed))
    except ValueError:
        return
    _require(False, "n = 0 must raise ValueError")


def _every_parameter_receives_a_gradient(head: Head, x: Tensor, c: Context, seed: int) -> None:
    trained = copy.deepcopy(head)
    optimizer = torch.optim.SGD(trained.parameters(), lr=1e-2)
    seen = {name: False for name, parameter in trained.named_parameters() if parameter.requires_grad}
    # Layers that start at zero hide those before them for a step or two.
    for step in range(4):
        optimizer.zero_grad()
        trained.loss(x, c, generator=draws.generator(seed, step)).mean().backward()
        for name in seen:
            slope = trained.get_parameter(name).grad
            seen[name] |= slope is not None and bool((slope != 0).any())
        optimizer.step()
    missing = [name for name, reached in seen.items() if not reached]
    missing = [name for name in missing if not _is_a_free_constant(head, x, c, name)]
    _require(not missing, f"every parameter must receive a gradient, not so {missing}")


def _is_a_free_constant(head: Head, x: Tensor, c: Context, name: str) -> bool:
    """Whether a parameter shifts the energies of all events of a context by the same amount, which is not zero.

    An energy is known up to a constant of the context. A loss that sees densities alone, or slopes, is right to ignore
    such a parameter, and only such a one: draws do not depend on it.
    """
    if not isinstance(head, HasEnergy):
        return False
    moved = copy.deepcopy(head)
    with torch.no_grad():
        moved.get_parameter(name).add_(1)
        events = x.repeat(len(x), *[1] * (x.ndim - 1))
        contexts = context.repeat(c, len(x))
        shift = (moved.energy(events, contexts) - head.energy(events, contexts)).view(len(x), -1)
    return bool((shift != 0).any()) and torch.allclose(shift, shift[:, :1], rtol=1e-4, atol=1e-5)


def _draws_are_functions_of_the_generator(head: Head, x: Tensor, c: Context, seed: int) -> None:
    first = head.sample(c, 3, generator=draws.generator(seed))
    expected = (len(x), 3, *head.event.shape)
    _require(tuple(first.shape) == expected, f"samples must have shape {expected}, got {tuple(first.shape)}")
    _require(bool(first.isfinite().all()), "samples must be finite")
    _require(not first.requires_grad, "samples must not carry a graph")
    again = head.sample(c, 3, generator=draws.generator(seed))
    _require(torch.equal(first, again), "the same generator state must give the same samples")


def _contexts_do_not_depend_on_their_neighbours(head: Head, x: Tensor, c: Context, seed: int) -> None:
    together = head.sample(c, 2, generator=_streams(seed, len(x)))
    last = context.apply(lambda leaf: leaf[-1:], c)
    alone = head.sample(last, 2, generator=_streams(seed, len(x))[-1:])
    tolerance = 1e-6 if x.dtype == torch.float64 else 1e-3
    _require(
        torch.allclose(together[-1:], alone, rtol=tolerance, atol=tolerance),
        "with one generator for each context a draw must not depend on the other contexts",
    )


def _guides_are_obeyed(head: Head, x: Tensor, c: Context, seed: int) -> None:
    def cost(y: Tensor) -> Tensor:
        return (y - head.event.low).square().flatten(2).sum(2)

    bound = head.event.centre

    def project(y: Tensor) -> Tensor:
        return torch.minimum(y, bound)

    free = head.sample(c, 8, generator=_streams(seed, len(x)))
    slack = 1e-4 * float(head.event.half_width.max())
    unasked = head.sample(c, 8, generator=_streams(seed, len(x)), guide=Guide(cost=cost, scale=0.0))
    _require(torch.equal(unasked, free), "a guide of scale 0 must change nothing")
    for scale in (1.0, 1000.0):
        guide = Guide(cost=cost, scale=scale)
        guided = head.sample(c, 8, generator=_streams(seed, len(x)), guide=guide)
        _require(bool(guided.isfinite().all()), f"samples must stay finite at scale {scale:g}")
        limit = 2 * max(1.0, float(free.abs().max()))
        _require(float(guided.abs().max()) <= limit, f"samples must stay in range at scale {scale:g}")
        lower = cost(head.event.unscale(guided)).mean() <= cost(head.event.unscale(free)).mean() + slack
        _require(bool(lower), f"a guide of scale {scale:g} must not raise the cost")
    projected = head.event.unscale(head.sample(c, 4, generator=_streams(seed, len(x)), guide=Guide(project=project)))
    _require(bool((projected <= bound + slack).all()), "samples must be left unchanged by the projection")


def _constraints_are_certified(head: Head, x: Tensor, c: Context, seed: int) -> None:
    event = head.event
    free = event.unscale(head.sample(c, 8, generator=_streams(seed, len(x))))
    wall = free.flatten(0, 1)[..., 0].flatten().quantile(0.6)  # some free samples are beyond it

    def margins(y: Tensor) -> Tensor:
        return wall - y[..., 0].flatten(2)

    def cost(y: Tensor) -> Tensor:
        return (y - event.low).square().flatten(2).sum(2)

    def holds(y: Tensor) -> Tensor:
        return margins(y).amin(2) >= 0

    limit = 2 * max(1.0, float(event.scale(free).abs().max()))
    for guide in (Guide(margins=margins), Guide(margins=margins, cost=cost, scale=1000.0)):
        told = head.certified(c, 8, generator=_streams(seed, len(x)), guide=guide)
        truth = holds(event.unscale(told.x))
        some = truth.any(1).to(told.weight.dtype)
        _require(bool(told.x.isfinite().all()), "samples must stay finite under constraints")
        _require(float(told.x.abs().max()) <= limit, "samples must stay in range under constraints")
        _require(torch.equal(told.feasible, told.margin >= 0), "feasible must say where the margin is not negative")
        _require(torch.equal(told.feasible, truth), "certified must say of every sample whether the constraints hold")
        _require(bool((told.weight[~told.feasible] == 0).all()), "what is not feasible must have no weight")
        _require(torch.allclose(told.weight.sum(1), some), "weights of a context must add up to one")
        _require(bool(truth.sum() >= holds(free).sum()), "constraints must not make fewer samples feasible")


def _state_restores_the_draws(head: Head, x: Tensor, c: Context, seed: int) -> None:
    expected = head.sample(c, 1, generator=draws.generator(seed))
    restored = copy.deepcopy(head)
    with torch.no_grad():
        for parameter in restored.parameters():
            parameter.add_(1)
    restored.load_state_dict(head.state_dict())
    _require(
        torch.equal(expected, restored.sample(c, 1, generator=draws.generator(seed))),
        "state_dict must hold all that draws depend on",
    )
