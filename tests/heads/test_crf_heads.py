"""Label maps by dense CRFs and by trees: exact laws of small maps, guides, training through the steps, images."""

import itertools

import pytest
import torch
from scipy import stats
from torch import nn

from embodied_gen import draws
from embodied_gen.blocks.crf import ChainCRFBlock, CRFBlock
from embodied_gen.crf import DenseCRF, Exact, Kernel, Nystroem, Permutohedral
from embodied_gen.events import LabelMap
from embodied_gen.events.labels import UNLABELLED
from embodied_gen.graphs.inference import Tree
from embodied_gen.heads import CRFHead, Guide, Leaf, Made, Stacked, TreeCRFHead
from tests.crf.pictures import channels, noisy_logits, picture
from tests.heads.analytic import unit_event
from tests.heads.batches import CONTEXT, maps
from tests.heads.builders import cellwise, crf
from tests.heads.networks import over_cells, stirred

C = torch.ones(1, CONTEXT)


BRANCHES = {4: [-1, 0, 0, 0], 6: [2, 2, -1, 2, 3, 3], 16: [-1, *((i - 1) // 3 for i in range(1, 16))]}


def chain(event, tree=None):
    head = TreeCRFHead(event, stirred(over_cells(event, event.classes)), tree)
    with torch.no_grad():
        head.transitions.add_(draws.normal(head.transitions.shape, generator=draws.generator(3), like=head.transitions))
    return head


def branches(event):
    """A tree of which some cell has two children or more."""
    return chain(event, Tree(BRANCHES[event.shape[0] * event.shape[1]]))


HEADS = {"dense": lambda event: crf(Exact(), event), "chain": chain, "branches": branches}
trees = pytest.mark.parametrize("make", [chain, branches])
heads = pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)


def law(head):
    height, width, classes = head.event.shape
    labels = torch.tensor(list(itertools.product(range(classes), repeat=height * width)))
    x = head.event.encode(labels.view(-1, height, width))
    return x, head.log_prob(x, C.expand(len(x), -1)).exp().detach()


def counts_of(drawn, x):
    return (drawn.unsqueeze(1) == x).flatten(2).all(2).sum(0)


@heads
@pytest.mark.parametrize("sizes", [(2, 2, 3), (1, 4, 2), (2, 3, 2)])
def test_probabilities_of_all_maps_sum_to_one_and_marginals_are_their_sums(make, sizes):
    head = make(LabelMap(*sizes))
    x, mass = law(head)
    assert mass.sum().item() == pytest.approx(1, abs=1e-5)
    sums = torch.einsum("s,shwl->hwl", mass, head.event.unscale(x))
    torch.testing.assert_close(head.marginals(C)[0].detach(), sums, rtol=1e-4, atol=1e-5)


@heads
def test_draws_are_maps_as_often_as_enumeration_says(make):
    head = make(LabelMap(2, 2, 2))
    x, mass = law(head)
    counts = counts_of(head.sample(C, 4000, generator=draws.generator(3))[0], x)
    assert counts.sum() == 4000
    assert stats.chisquare(counts.numpy(), 4000 * (mass / mass.sum()).numpy(), sum_check=False).pvalue > 0.01


GUIDES = {
    "a sum over cells": lambda y: 3 * y[..., 1].sum((2, 3)),
    "neighbours": lambda y: 3 * (y[..., 0, :] * y[..., 1, :]).sum((2, 3)),
}


@heads
@pytest.mark.parametrize("cost", GUIDES.values(), ids=GUIDES)
@pytest.mark.parametrize("constrained", [False, True])
def test_guided_draws_tend_to_the_exact_conditional(make, cost, constrained):
    head = make(LabelMap(2, 2, 2))
    head.candidates = 64

    def margins(y):
        return y[..., 0, 0, 1:] - 0.5  # the first cell must be of class 1

    x, mass = law(head)
    y = head.event.unscale(x).unsqueeze(0)
    tilted = mass * torch.exp(-cost(y)[0])
    if constrained:
        tilted = tilted * (margins(y)[0, :, 0] > 0)
    guide = Guide(cost=cost, margins=margins if constrained else None)
    counts = counts_of(head.sample(C, 600, generator=draws.generator(3), guide=guide)[0], x)
    expected = 600 * tilted / tilted.sum()
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert stats.chisquare(counts[kept].numpy(), expected[kept].numpy(), sum_check=False).pvalue > 0.005


@heads
def test_few_candidates_find_what_hardly_any_free_draw_has(make):
    # Sixteen cells all of one class: one free map in millions.
    event = LabelMap(4, 4, 3)
    head = make(event)
    guide = Guide(margins=lambda y: (y[..., 2] - 0.5).flatten(2))
    assert head.certified(C, 8, generator=draws.generator(0), guide=guide).feasible.all()


@trees
def test_the_best_map_of_a_tree_is_the_most_probable_one(make):
    head = make(LabelMap(2, 3, 3))
    x, mass = law(head)
    assert torch.equal(head.event.encode(head.best(C)), x[mass.argmax()].unsqueeze(0))


@trees
def test_the_weight_of_a_map_is_that_of_its_cells_and_of_every_cell_with_its_parent(make):
    head = make(LabelMap(2, 3, 3))
    x, mass = law(head)
    logits, pairs = head._logits(C)[0].flatten(0, 1), head.transitions
    weights = torch.zeros(len(x))
    for number, labels in enumerate(head.event.decode(x).flatten(1).tolist()):
        for cell, (label, above) in enumerate(zip(labels, head.tree.parents, strict=True)):
            weights[number] += (logits[cell, label] + (pairs[labels[above], label] if above >= 0 else 0)).detach()
    torch.testing.assert_close(mass, weights.softmax(0), rtol=1e-4, atol=1e-6)


@trees
def test_a_map_with_cells_without_a_label_is_as_probable_as_all_maps_that_it_may_be(make):
    head = make(LabelMap(2, 3, 3))
    x, mass = law(head)
    labels = head.event.decode(x)
    for told in ([[0, UNLABELLED, 2], [UNLABELLED, 1, UNLABELLED]], [[UNLABELLED] * 3] * 2, [[0, 1, 2], [2, 1, 0]]):
        told = torch.tensor([told])
        like = ((labels == told) | (told == UNLABELLED)).flatten(1).all(1)
        some = head.event.encode(told)
        torch.testing.assert_close(head.log_prob(some, C).exp(), mass[like].sum().view(1), rtol=1e-4, atol=1e-6)
        loss = head.loss(some, C, generator=draws.generator(0))
        assert loss.isfinite() and loss.item() == pytest.approx(
            -mass[like].sum().log().item() / max(1, int((told != UNLABELLED).sum())), rel=1e-3, abs=1e-5
        )
        slopes = torch.autograd.grad(loss, list(head.parameters()), allow_unused=True)
        assert all(slope.isfinite().all() for slope in slopes if slope is not None)


class Given(nn.Module):
    """Logits that lie in the context, sharpened by a learned factor."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x, t, c):
        return self.factor * c["logits"]


def scenes(seeds, classes=3):
    """Images, logits that are wrong in many cells, and true labels."""
    images = [picture(24, 32, seed) for seed in seeds]
    truth = torch.stack([torch.tensor((image.astype(int).sum(-1) * classes) // 766) for image in images])
    logits = torch.stack([noisy_logits(image, classes, seed) for seed, image in zip(seeds, images, strict=True)])
    return truth, {"logits": 0.7 * logits, "image": torch.cat([channels(image) for image in images])}


@pytest.mark.parametrize("method", [Permutohedral(), Nystroem(32)], ids=lambda m: type(m).__name__)
def test_training_through_the_steps_beats_the_network_alone_and_the_untrained_crf(method):
    event = LabelMap(24, 32, 3)
    layer = DenseCRF(3, [Kernel(1.5), Kernel(8.0, (40.0,) * 3)], [0.5, 0.5], method=method)
    head = CRFHead(event, Given(), layer, Leaf("image"))
    (truth, c), (other, unseen) = scenes(range(4)), scenes(range(10, 14))

    def right():
        return (head.marginals(unseen).argmax(-1) == other).float().mean().item()

    alone, before = (unseen["logits"].argmax(-1) == other).float().mean().item(), right()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(15):
        optimizer.zero_grad()
        head.loss(event.encode(truth), c, generator=draws.generator(0)).mean().backward()
        optimizer.step()
    assert alone < before < right()
    head.iterations = 5
    longer, head.iterations = right(), 10
    assert abs(longer - right()) < 0.02


def test_stacked_channels_are_those_of_their_parts_one_after_the_other():
    c = {"image": torch.rand(2, 3, 4, 5), "depth": torch.rand(2, 1, 4, 5)}
    stacked = Stacked([Leaf("depth"), Leaf("image"), Stacked([Leaf("depth")])])
    assert torch.equal(stacked(c), torch.cat([c["depth"], c["image"], c["depth"]], 1))
    with pytest.raises(ValueError, match="stacked guide channels need at least one part; got none"):
        Stacked([])


GUIDING = {"image": (10.0,) * 3, "depth": (0.01,), "normals": (0.2,) * 3}


def guided_by(*names, method="exact"):
    """A head whose guide are leaves of these names."""
    parts = [{"kind": "leaf", "name": name, "widths": GUIDING[name]} for name in names]
    block = {"guide": {"kind": "stacked", "parts": parts}, "method": {"kind": method}, "smooth_weight": 0.0, "near": 8}
    return CRFBlock.model_validate(block | {"alike_weight": 5.0}).build(LabelMap(16, 24, 2), lambda channels: Given())


def uncertain(leaf, values):
    """Logits that are wrong in many pixels, of two areas that differ in one leaf alone; and the areas."""
    areas = (torch.arange(24) >= 12).long().expand(1, 16, 24)
    noise = draws.normal((1, 16, 24, 2), generator=draws.generator(0), like=torch.zeros(()))
    c = {"logits": nn.functional.one_hot(areas, 2) + 1.5 * noise}
    c |= {name: torch.full((1, len(widths), 16, 24), 0.5) for name, widths in GUIDING.items()}
    c[leaf] = torch.tensor(values).T[None, :, None, :].expand(-1, -1, 16, -1).repeat_interleave(12, 3)
    return c, areas


@pytest.mark.parametrize(
    ("leaf", "values"),
    [
        ("depth", [[0.6], [0.65]]),
        ("normals", [[0.0, -0.4, -0.9], [0.0, 0.0, -1.0]]),
        ("image", [[60.0] * 3, [120.0] * 3]),
    ],
)
@pytest.mark.parametrize("method", ["exact", "nystroem", "permutohedral"])
def test_areas_that_differ_in_colour_depth_or_normal_alone_are_told_apart_by_that_leaf(leaf, values, method):
    c, areas = uncertain(leaf, values)
    others = [name for name in GUIDING if name != leaf]

    def right(*names):
        return (guided_by(*names, method=method).marginals(c).argmax(-1) == areas).float().mean().item()

    alone = (c["logits"].argmax(-1) == areas).float().mean().item()
    assert alone < 0.8 and right(leaf) > 0.95 and right(*GUIDING) > 0.95
    assert right(*others) < right(leaf) - 0.1


def test_the_loss_is_the_cross_entropy_after_the_steps_of_training():
    head = crf(Exact(), LabelMap(3, 4, 3))
    x, c = maps()
    head.iterations = head.trained
    torch.testing.assert_close(head.loss(x, c, generator=draws.generator(0)), -head.log_prob(x, c) / 12)
    head.iterations = 0
    assert not torch.allclose(head.loss(x, c, generator=draws.generator(0)), -head.log_prob(x, c) / 12)


class Never(nn.Module):
    """Logits of a network but for a class that is impossible in some cells."""

    def __init__(self, net, cells):
        super().__init__()
        self.net, self.cells = net, cells

    def forward(self, x, t, c):
        return self.net(x, t, c).masked_fill(self.cells, -torch.inf)


@pytest.mark.parametrize("make", [cellwise, *HEADS.values()], ids=["cellwise", *HEADS])
def test_impossible_classes_have_no_probability_and_leave_the_others_theirs(make):
    head = make(LabelMap(2, 2, 3))
    never = torch.zeros(2, 2, 3).bool()
    never[0, :, 1] = never[1, 0, 2] = True
    head.net = Never(head.net, never)
    x, mass = law(head)
    excluded = ((x > 0) & never).flatten(1).any(1)
    assert (mass[excluded] == 0).all() and mass[~excluded].sum().item() == pytest.approx(1, abs=1e-5)
    kept, some = x[~excluded], head.event.encode(torch.tensor([[[UNLABELLED, 2], [1, 0]]]))
    losses = [head.loss(part, C.expand(len(part), -1), generator=draws.generator(0)) for part in (kept, some)]
    learned = [parameter for parameter in head.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(torch.cat(losses).sum(), learned, allow_unused=True)
    assert all(part.isfinite().all() for part in [*losses, *(slope for slope in slopes if slope is not None)])
    drawn = head.sample(C, 50, generator=draws.generator(0), guide=Guide(cost=lambda y: -3 * y[..., 1].sum((2, 3))))
    assert not ((drawn > 0) & never).any()


def test_padded_cells_may_have_labels_that_are_impossible():
    head = cellwise(LabelMap(2, 2, 3))
    head.net = Never(head.net, torch.tensor([False, True, False]).expand(2, 2, 3))
    x, valid = head.event.encode(torch.tensor([[[0, 2], [2, 1]]])), torch.tensor([[[True, True], [True, False]]])
    of_valid = head.loss(x, C, generator=draws.generator(0), valid=valid)
    assert of_valid.isfinite() and head.loss(x, C, generator=draws.generator(0)) == torch.inf


@pytest.mark.parametrize("method", ["by_device", "permutohedral", "nystroem", "exact"])
def test_its_block_builds_it(method):
    event = LabelMap(3, 4, 3)
    block = CRFBlock.model_validate({"method": {"kind": method}, "guide": {"kind": "made", "channels": 2}, "near": 4})
    head = block.build(event, lambda channels: over_cells(event, channels))
    assert head.crf.channels == 2
    assert head.loss(*maps(), generator=draws.generator(0)).shape == (5,)


def test_a_block_learns_widths_where_it_is_told_to_and_its_method_can():
    event = LabelMap(3, 4, 3)

    def built(**fields):
        return CRFBlock.model_validate({"near": 4} | fields).build(event, lambda channels: over_cells(event, channels))

    def moved(head):
        head.loss(*maps(), generator=draws.generator(0)).mean().backward()
        return [each.grad is not None and bool(each.grad.any()) for each in head.crf.log_widths]

    assert moved(built()) == [False, False]
    assert moved(built(method={"kind": "nystroem"}, learn_widths=True)) == [True, True]
    with pytest.raises(ValueError, match="widths are learned by method Nystroem or Exact; got ByDevice"):
        built(learn_widths=True)


def test_blocks_name_leaves_and_refuse_other_events():
    event = LabelMap(3, 4, 3)
    head = CRFBlock.model_validate({"guide": {"kind": "leaf"}}).build(
        event, lambda channels: over_cells(event, channels)
    )
    with pytest.raises(ValueError, match="reads the leaf 'image' of a mapping context; got a tensor"):
        head.sample(C, generator=draws.generator(0))
    with pytest.raises(ValueError, match=r"the leaf 'depth' of a mapping context; got leaves \['image'\]"):
        Leaf("depth")({"image": C})
    for block in (CRFBlock(), ChainCRFBlock()):
        with pytest.raises(ValueError, match=f"head.kind {block.kind} predicts label maps; got Trajectory"):
            block.build(unit_event(2), lambda channels: None)
    assert isinstance(ChainCRFBlock().build(event, lambda channels: over_cells(event, channels)), TreeCRFHead)


def test_parts_that_do_not_fit_are_refused():
    event = LabelMap(2, 2, 3)
    net, layer = over_cells(event, 3), DenseCRF(3, [Kernel(1.0)], [1.0])
    made = Made(event, over_cells(event, 2), 2)
    with pytest.raises(ValueError, match="must have the 3 classes of the event; got 4"):
        CRFHead(event, net, DenseCRF(4), made)
    with pytest.raises(ValueError, match="candidates must be at least 2; got 1"):
        CRFHead(event, net, layer, made, candidates=1)
    with pytest.raises(
        ValueError, match=r"must return shape \(1, 2, 2, 3\), a logit for each class; got \(1, 2, 2, 2\)"
    ):
        TreeCRFHead(event, over_cells(event, 2)).marginals(C)
    with pytest.raises(ValueError, match=r"\(B, H, W, C\) = \(1, 2, 2, 4\); got \(1, 2, 2, 2\)"):
        Made(event, over_cells(event, 2), 4)(C)
    with pytest.raises(ValueError, match="channels must be at least 1; got 0"):
        Made(event, net, 0)
    with pytest.raises(ValueError, match="the tree must have the 4 cells of the event; got 3"):
        TreeCRFHead(event, net, Tree.chain(3))
    with pytest.raises(ValueError, match="candidates must be at least 2; got 1"):
        TreeCRFHead(event, net, candidates=1)
    with pytest.raises(ValueError, match=r"labels must be integers from 0 to 2; got torch\.int64 from 3 to 3"):
        event.encode(torch.full((1, 2, 2), 3))
