"""What is read in training and what is asked for then: the truth, mixtures, and the way back from own draws."""

import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.blocks.autoregressive import AutoregressiveBlock
from embodied_gen.events import Path, Scene, Trajectory, Walk
from embodied_gen.heads.emissions import Bins, Mixtures
from embodied_gen.heads.orders import Given, InStep, InTurn, Learned, Shuffled
from embodied_gen.heads.teaching import ClosedLoop, ScheduledSampling, TeacherForcing
from embodied_gen.training.progress import listeners
from tests.heads.batches import CONTEXT, batch
from tests.heads.builders import autoregressive
from tests.heads.networks import causal

pytestmark = pytest.mark.usefixtures("double")

EVENTS = {
    "trajectory": Trajectory(5, [-1.0, 0.0], [1.0, 4.0]),
    "path": Path(5, [-1.0, 0.0], [1.0, 4.0], [-0.2, -0.1], [0.3, 0.3]),
    "walk": Walk(5, [-1.0, 0.0], [1.0, 4.0], [-0.2, -0.1], [0.3, 0.3]),
    "scene": Scene(3, 5, [-1.0, 0.0], [1.0, 4.0], [-0.2, -0.1], [0.3, 0.3]),
}


def two(event, rows=4):
    return (draws.normal((rows, *event.shape), generator=draws.generator(seed), like=event.low) for seed in (1, 2))


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_the_way_back_leads_from_where_own_steps_have_come_to_onto_the_truth(event):
    event = event.double()
    x, own = two(event)
    back, truth = event.recovery(x, own), event.decode(x)
    for step in range(event.shape[-2]):
        mixed = own.clone()
        mixed[..., step, :] = back[..., step, :]
        torch.testing.assert_close(event.decode(mixed)[..., step, :], truth[..., step, :])


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_the_way_back_from_the_truth_is_the_truth_and_reads_nothing_later(event):
    event = event.double()
    x, own = two(event)
    torch.testing.assert_close(event.recovery(x, x), x)
    later = own.clone()
    later[..., 3:, :] += 1
    assert event.recovery(x, own)[..., :4, :].equal(event.recovery(x, later)[..., :4, :])


class Blank(torch.nn.Module):
    """Says nothing of a context, for events of any shape."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x, t, c):
        return x.new_zeros(len(x), *self.shape)


def lesson(teaching, event, order=Given, emission=None, rows=400):
    """What a head teaches itself of a batch, with what it was made of."""
    head = autoregressive(event, emission or Mixtures(event.shape[-1], components=2), causal, order)
    head.net = Blank((*event.shape[:-1], head.net.channels_out))
    x, _ = two(event.double(), rows)
    c = torch.zeros(rows, CONTEXT)
    places = head.order.draw(rows, generator=draws.generator(5), like=x)
    conditions = head._conditions(c).take_along_dim(places.unsqueeze(-1), 1)
    exercise = head._exercise(x, places, conditions, draws.generator(3))
    return head, exercise, teaching.lesson(exercise)


def test_teacher_forcing_reads_and_asks_for_the_truth():
    _, exercise, (heard, asked) = lesson(TeacherForcing(), EVENTS["trajectory"], Shuffled)
    assert heard.equal(exercise.values) and asked.equal(exercise.values)


@pytest.mark.parametrize(("done", "share"), [(0.0, 0.0), (0.2, 0.15), (0.4, 0.3), (1.0, 0.3)])
def test_own_draws_are_read_as_often_as_the_schedule_says(done, share):
    teaching = ScheduledSampling(0.3, ramp=0.4)
    teaching.progress(done)
    _, exercise, (heard, asked) = lesson(teaching, EVENTS["trajectory"])
    found = (heard != exercise.values).any(-1).double().mean().item()
    assert abs(found - share) <= 4 * math.sqrt(share * (1 - share) / 2000)
    assert asked.equal(exercise.values)
    assert listeners(teaching, torch.nn.Linear(1, 1)) == [teaching]


@pytest.mark.parametrize("teaching", [ScheduledSampling(1.0), ClosedLoop(1)], ids=lambda t: type(t).__name__)
def test_reading_own_draws_changes_nothing_for_a_decoder_that_does_not_listen_where_entries_stand_alone(teaching):
    head = autoregressive(Trajectory(4, [-1.0], [1.0]), Mixtures(1, components=2))
    with torch.no_grad():
        for part in head.parameters():
            part.add_(0.3 * draws.normal(part.shape, generator=draws.generator(1), like=part))
    x, c = batch()[0].double()[:, :, :1], batch()[1].double()

    def loss(teaching):
        head.teaching = teaching
        return head.loss(x, c, generator=draws.generator(0))

    assert not torch.allclose(loss(TeacherForcing()), loss(teaching))
    with torch.no_grad():
        head.decoder.input.weight[:, : head.emission.inputs] = 0
    torch.testing.assert_close(loss(TeacherForcing()), loss(teaching))


ORDERS = {
    "given": Given,
    "in turn": lambda positions: InTurn(Shuffled(3), positions // 3),
    "in step": lambda positions: InStep(Shuffled(3), positions // 3),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_closed_loop_asks_for_the_way_back_from_its_own_draws_in_every_order_that_is_in_time(order):
    event = EVENTS["scene"].double()
    head, exercise, (heard, asked) = lesson(ClosedLoop(1), event, order, rows=6)
    x, _ = two(event, 6)
    places = head.order.draw(6, generator=draws.generator(5), like=x)
    own = torch.empty_like(heard).scatter(1, places.unsqueeze(-1).expand_as(heard), heard).view_as(x)
    there = torch.empty_like(asked).scatter(1, places.unsqueeze(-1).expand_as(asked), asked).view_as(x)
    torch.testing.assert_close(there, event.recovery(x, own))
    assert not torch.allclose(heard, exercise.values)
    assert head.order.in_time
    for position in range(heard.shape[1]):  # of what is drawn from here on the decoder cannot know
        other = heard.clone()
        other[:, position:] += 1
        torch.testing.assert_close(exercise.recovery(other)[:, position], exercise.recovery(heard)[:, position])


@pytest.mark.parametrize("sequence", ["shuffled", "learned"])
@pytest.mark.parametrize("event", ["path", "walk", "scene"])
def test_closed_loop_of_steps_that_are_not_drawn_in_time_is_named(event, sequence):
    block = AutoregressiveBlock.model_validate(
        {
            "emission": {"kind": "mixtures"},
            "order": {"kind": "positions", "sequence": sequence},
            "teaching": {"kind": "closed_loop"},
        }
    )
    shape = EVENTS[event].shape[:-1]
    message = rf"as a {event.title()} is their sum; got the order {sequence.title()}\. Set head.order.sequence to given"
    with pytest.raises(ValueError, match=message):
        block.build(EVENTS[event], lambda width: Blank((*shape, width)))
    head = block.build(EVENTS["trajectory"], lambda width: Blank((5, width)))  # entries that stand alone
    assert isinstance(head.teaching, ClosedLoop)


def test_one_draw_a_position_is_a_draw_of_the_head():
    event = EVENTS["walk"]
    head, exercise, (heard, _) = lesson(ClosedLoop(1), event, rows=5)
    with torch.no_grad():
        drawn = head._draw(exercise.conditions, draws.generator(3))
    torch.testing.assert_close(heard.view_as(drawn), drawn)


def test_more_draws_a_position_stay_nearer_to_the_truth():
    event = EVENTS["walk"].double()
    truth = event.decode(next(iter(two(event, 400))))
    apart = [
        (event.decode(lesson(ClosedLoop(n), event)[2][0].view_as(truth)) - truth).square().mean().item()
        for n in (1, 4, 64)
    ]
    assert apart[0] > 2 * apart[1] > 4 * apart[2]


def test_what_is_asked_for_lies_in_the_bins():
    emission = Bins(4)
    _, _, (heard, asked) = lesson(ClosedLoop(1), EVENTS["walk"], emission=emission)
    assert heard.abs().max() <= 1 and asked.abs().max() == 1


def test_fine_tuning_in_closed_loop_learns_to_come_back():
    """Everybody stands still, and draws are noisy: after the truth alone nothing says what to do off the place."""
    torch.set_default_dtype(torch.float32)
    event, steps = Walk(8, [-1.0], [1.0], [-1.0], [1.0]), 300
    x, c = torch.zeros(64, 8, 1), torch.zeros(64, CONTEXT)
    errors = []
    for teaching in (TeacherForcing(), ClosedLoop(8)):
        torch.manual_seed(0)
        head = autoregressive(event, Mixtures(1, components=1, smallest=0.1), causal)
        optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
        decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        for step in range(steps):
            head.teaching = TeacherForcing() if 3 * step < steps else teaching
            optimizer.zero_grad()
            head.loss(x, c, generator=draws.generator(8, step)).mean().backward()
            optimizer.step()
            decay.step()
        ends = event.decode(head.sample(c[:1], 500, generator=draws.generator(9))[0])[:, -1]
        errors.append(ends.square().mean().sqrt().item())
    assert errors[1] < 0.7 * errors[0], errors  # a walk of 8 steps, and the last of them alone: 0.28 and 0.1


# --- Orders of agents ---------------------------------------------------------------------------------------------


def test_agents_come_in_turn_or_in_step():
    like, agents = torch.zeros(1), Learned(3)
    agents.scores.data = torch.tensor([0.0, 2.0, 1.0])
    assert InTurn(agents, 2).settled(like).tolist() == [2, 3, 4, 5, 0, 1]
    assert InStep(agents, 2).settled(like).tolist() == [2, 4, 0, 3, 5, 1]


@pytest.mark.parametrize("kind", [InTurn, InStep])
def test_orders_of_agents_are_permutations_in_which_time_goes_on(kind):
    order = kind(Shuffled(4), 5)
    drawn = order.draw(50, generator=draws.generator(0), like=torch.zeros(1))
    assert drawn.sort(1).values.equal(torch.arange(20).expand(50, -1))
    when = drawn.argsort(1).view(50, 4, 5)  # of each agent and step, when it is drawn
    assert (when.diff(dim=-1) > 0).all()
    assert len({tuple(row) for row in drawn.tolist()}) > 10


@pytest.mark.parametrize("kind", [InTurn, InStep])
def test_the_lesson_of_an_order_of_agents_is_that_of_the_agents(kind):
    agents = Learned(4)
    agents.scores.data = torch.tensor([0.5, -1.0, 1.0, 0.0])
    order, loss = kind(agents, 3), torch.tensor([1.0, 3.0, -2.0])
    inner = agents.draw(3, generator=draws.generator(1), like=loss)
    drawn = order.draw(3, generator=draws.generator(1), like=loss)
    slopes = [
        torch.autograd.grad(found.sum(), agents.scores)[0]
        for found in (agents.lesson(inner, loss), order.lesson(drawn, loss))
    ]
    assert slopes[0].equal(slopes[1]) and slopes[0].abs().sum() > 0


@pytest.mark.parametrize("order", ["given", "shuffled", "learned"])
@pytest.mark.parametrize("kind", ["in_turn", "in_step"])
def test_a_block_builds_them_over_a_scene(kind, order):
    block = AutoregressiveBlock.model_validate(
        {
            "emission": {"kind": "mixtures", "components": 2},
            "order": {"kind": kind, "sequence": order},
            "teaching": {"kind": "closed_loop", "draws": 2},
            "features": 3,
        }
    )
    event = EVENTS["scene"]
    head = block.build(event, lambda width: Blank((3, 5, width))).double()
    x, _ = two(event.double())
    head.loss(x, torch.zeros(4, 1), generator=draws.generator(0)).sum().backward()
    assert head.sample(torch.zeros(4, 1), 2, generator=draws.generator(0)).shape == (4, 2, 3, 5, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScheduledSampling(1.5), r"share and ramp must lie in \[0, 1\]; got 1.5 and 0.0"),
        (lambda: ScheduledSampling(0.5, ramp=-1.0), r"got 0.5 and -1.0"),
        (lambda: ClosedLoop(0), "draws must be at least 1; got 0"),
        (lambda: InTurn(Given(2), 0), "steps must be at least 1; got 0"),
        (
            lambda: AutoregressiveBlock.model_validate({"order": {"kind": "in_step"}}).build(
                EVENTS["walk"], lambda width: Blank((5, width))
            ),
            r"head.order.kind in_step is of the agents of a scene, of shape \(A, T, D\); the event has shape \(5, 2\)",
        ),
    ],
)
def test_impossible_lessons_and_orders_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
