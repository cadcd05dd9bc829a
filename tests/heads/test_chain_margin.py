"""Structured SVM over chains: the hinge by enumeration, learning pairs, and draws."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import LabelMap
from embodied_gen.events.labels import UNLABELLED
from embodied_gen.heads import ChainMarginHead, Guide
from tests.heads.paths import numbers

pytestmark = pytest.mark.usefixtures("double")
LENGTH, CLASSES = 4, 3


class Given(torch.nn.Module):
    """Scores that are the context."""

    def forward(self, x, t, c):
        return c.view(x.shape)


def head_of(**options):
    head = ChainMarginHead(LabelMap(1, LENGTH, CLASSES), Given(), **options)
    with torch.no_grad():
        head.pairs.copy_(numbers(1, CLASSES, CLASSES))
    return head


def every_labels():
    return torch.cartesian_prod(*[torch.arange(CLASSES)] * LENGTH)


def scores(head, c):
    """Of all labels, by their definition, `(B, K^L)`."""
    labels = every_labels()
    unary = c.view(-1, LENGTH, CLASSES)
    own = torch.stack([unary[:, i, labels[:, i]] for i in range(LENGTH)]).sum(0)
    return own + sum(head.pairs[labels[:, i], labels[:, i + 1]] for i in range(LENGTH - 1))


def test_the_hinge_and_the_best_labels_are_those_of_all_labels():
    head, c, every = head_of(weight=0.7), numbers(2, 5, LENGTH * CLASSES), every_labels()
    truth = every[torch.tensor([0, 7, 30, 55, 80])]
    x = head.event.encode(truth[:, None])
    score = scores(head, c)
    wrong = 0.7 * (every[None] != truth[:, None]).sum(-1)
    own = score.gather(1, (every[None] == truth[:, None]).all(-1).int().argmax(1, keepdim=True))[:, 0]
    hinge = head.loss(x, c, generator=draws.generator(0))
    torch.testing.assert_close(hinge, (score + wrong).amax(1) - own)
    torch.testing.assert_close(head.energy(x, c), -own)
    best = head.event.decode(head.sample(c, generator=draws.generator(0))[:, 0])
    assert torch.equal(best[:, 0], every[score.argmax(1)])


def test_slopes_are_finite_differences():
    head, c = head_of(), numbers(2, 3, LENGTH * CLASSES)
    x = head.event.encode(every_labels()[torch.tensor([0, 30, 80])][:, None])

    slope = torch.autograd.grad(head.loss(x, c, generator=draws.generator(0)).sum(), head.pairs)[0]
    for i, j in ((0, 0), (1, 2), (2, 1)):
        values = []
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                head.pairs[i, j] += shift
                values.append(head.loss(x, c, generator=draws.generator(0)).sum().item())
                head.pairs[i, j] -= shift
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope[i, j].item(), abs=1e-7)


def test_the_hinge_falls_to_zero_where_pairs_explain_the_labels():
    # Labels never change along a chain, though single scores are noisy: what explains it is learned in the pairs.
    head = ChainMarginHead(LabelMap(1, LENGTH, CLASSES), Given(), weight=0.2)
    label = torch.arange(30) % CLASSES
    c = 0.4 * numbers(3, 30, LENGTH, CLASSES)
    c = (c + torch.nn.functional.one_hot(label, CLASSES)[:, None]).flatten(1)
    x = head.event.encode(label[:, None, None].expand(-1, 1, LENGTH))
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1, weight_decay=0.0)
    before = head.loss(x, c, generator=draws.generator(0)).mean().item()
    for step in range(60):
        optimizer.zero_grad()
        head.loss(x, c, generator=draws.generator(step)).mean().backward()
        optimizer.step()
    assert before > 0.02 and head.loss(x, c, generator=draws.generator(0)).mean().item() < 0.05 * before
    same = torch.eye(CLASSES, dtype=torch.bool)
    assert head.pairs[same].min() > head.pairs[~same].max()


def test_guides_find_labels_that_hold_and_noise_gives_others():
    head, c = head_of(), numbers(2, 2, LENGTH * CLASSES)
    first = Guide(margins=lambda y: 0.5 - y[..., 0, :1, 2])  # the first cell has not class 2
    assert head.certified(c, 8, generator=draws.generator(0), guide=first).feasible.all()
    noisy = head_of(temperature=2.0)
    drawn = noisy.event.decode(noisy.sample(c, 50, generator=draws.generator(0))[0])
    assert len(drawn.flatten(1).unique(dim=0)) > 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ChainMarginHead(LabelMap(2, 3, 2), Given()), "a chain is one row of cells; got 2 rows"),
        (lambda: head_of(weight=0.0), "weight must be positive.*got 0.0, 0.0, 1.0 and 32"),
        (lambda: head_of(candidates=0), "candidates at least 1; got"),
    ],
)
def test_numbers_out_of_range_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_chain_of_which_a_cell_has_no_label_is_refused():
    head = head_of()
    x = head.event.encode(torch.tensor([[[0, UNLABELLED, 1, 2]]]))
    with pytest.raises(ValueError, match=r"got a cell without one. Drop such chains, or take head.kind chain_crf"):
        head.loss(x, numbers(2, 1, LENGTH * CLASSES), generator=draws.generator(0))
