"""Heads of units, label maps, objects, outlines and paths follow a strong guide to one of two modes that they learned.

Events are one of two, equally often, and vary a little: a unit or a label is another with a chance of 1/20, a vertex is
moved by a tenth. Objects are one, or two; paths go along one side of a map or along the other. A guide asks for one of
the two, at scale 1,000, and lowers the squared distance to it thirty-fold, over both.

Margins are the exception. A hinge wants a rival to be worse by as much as it is wrong, and of two demonstrations that
contradict each other neither can be better than the other: what takes some steps or cells from each of them ties with
both. So margins know two modes by their parts alone, and of the candidates of a guide few have all parts of one mode.
"""

from functools import partial

import pytest
import torch

from embodied_gen import draws
from tests.heads.batches import CONTEXT
from tests.heads.cases import CASES
from tests.heads.kinds import OF_OTHER_EVENTS
from tests.heads.two_modes import costs, trained

HEADS = {case.name: case.head for case in CASES}
FOLD = {"chain_margin": 1.5, "margin": 5.0}
CHANCE = 0.05


def changes(shape, generator):
    return draws.uniform(shape, generator=generator, like=torch.zeros(())) < CHANCE


def units(event, side, generator=None):
    pattern = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0]).view(event.shape)
    x = side.view(-1, 1, 1) * pattern
    return x if generator is None else torch.where(changes(x.shape, generator), -x, x)


def labels(event, side, generator=None):
    height, width, classes = event.shape
    first = torch.arange(height * width).view(height, width) % classes
    label = torch.where(side.view(-1, 1, 1) > 0, first, (first + 1) % classes)
    if generator is not None:
        label = torch.where(changes(label.shape, generator), (first + 2) % classes, label)
    return event.encode(label)


def objects(event, side, generator=None):
    one = torch.zeros(event.shape[:2], dtype=torch.long)
    one[2:6, :3] = 1
    both = one.clone()
    both[2:6, 5:] = 2
    return event.encode(torch.where(side.view(-1, 1, 1) > 0, one, both))


def outlines(event, side, generator=None):
    square = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    corners = square + side.view(-1, 1, 1) * torch.tensor([1.0, 0.0])
    if generator is not None:
        corners = corners + 0.1 * draws.normal(corners.shape, generator=generator, like=corners)
    value = torch.zeros(len(side), *event.shape)
    value[:, :4] = torch.cat([corners, torch.ones(len(side), 4, 1)], 2)
    return event.encode(value)


def paths(event, side, generator=None):
    above, below = torch.tensor([0, 1, 2, 3, 7, 11, 11]), torch.tensor([0, 4, 8, 9, 10, 11, 11])  # of 3 x 4 cells
    return event.coded(torch.where(side.view(-1, 1) > 0, above, below))


PROBLEMS = {
    **dict.fromkeys(("hopfield", "boltzmann", "rbm", "rbm_persistent", "belief"), (units, 150, 64, 3e-2)),
    **dict.fromkeys(("pixelcnn", "pixelcnn_rows"), (labels, 150, 64, 1e-2)),
    **dict.fromkeys(("cellwise", "crf", "chain_crf", "chain_margin"), (labels, 50, 64, 1e-2)),
    "recurrent_attention": (objects, 100, 16, 3e-2),
    **dict.fromkeys(("polygon", "polygon_recurrent"), (outlines, 100, 64, 1e-2)),
    **dict.fromkeys(("max_ent", "max_ent_until_goal", "margin", "learch"), (paths, 100, 64, 1e-2)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_strong_guide_lowers_the_cost_thirtyfold(name):
    torch.manual_seed(0)
    events, steps, rows, rate = PROBLEMS[name]
    head = HEADS[name]()
    head = trained(head, partial(events, head.event), context=CONTEXT, steps=steps, rows=rows, rate=rate)
    modes = head.event.unscale(events(head.event, torch.tensor([1.0, -1.0])))
    free, guided = costs(head, modes, context=CONTEXT)
    assert free.mean() > 0 and guided.mean() <= free.mean() / FOLD.get(name, 30), (free, guided)


def test_every_kind_of_head_of_another_event_is_asked():
    assert OF_OTHER_EVENTS.keys() <= PROBLEMS.keys()
