"""Boltzmann machines, restricted ones and belief networks against enumeration."""

import pytest
import torch
from scipy import stats
from torch import nn

from embodied_gen import draws
from embodied_gen.blocks.binary import BeliefBlock, BoltzmannBlock, HopfieldBlock, RBMBlock
from embodied_gen.events import Binary
from embodied_gen.heads import BeliefHead, BoltzmannHead, Guide, HopfieldHead, RBMHead, binary
from embodied_gen.heads.gibbs import every_state
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import Constant

pytestmark = pytest.mark.usefixtures("double")
NONE = torch.zeros(1, 0)


def states(units):
    return every_state(units, torch.zeros(())).unsqueeze(1)


def index_of(x):
    """The number of each state in `states`."""
    return ((x.flatten(1) > 0).long() * 2 ** torch.arange(x[0].numel())).sum(1)


def boltzmann(visible=3, hidden=2, low=0.0, seed=0):
    head = BoltzmannHead(Binary(visible, low=low), Constant(1, visible + hidden), hidden=hidden)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.normal_(generator=draws.generator(seed, number))
    return head


def restricted(visible=4, hidden=3, low=0.0, seed=0, **options):
    head = RBMHead(Binary(visible, low=low), Constant(1, visible + hidden), hidden=hidden, **options)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.normal_(generator=draws.generator(seed, number))
    return head


def textbook():
    """Units v1, v2, h1, h2 of 0 and 1, with weights 2, 1 and -1 of v1 h1, v2 h2 and h1 h2."""
    head = BoltzmannHead(Binary(2), Constant(1, 4), hidden=2, sweeps=40)
    with torch.no_grad():
        head.raw.zero_()
        for i, j, weight in ((0, 2, 2.0), (1, 3, 1.0), (2, 3, -1.0)):
            head.raw[i, j] = head.raw[j, i] = weight
    return head


EXPECTED = {(1, 1): 0.466, (1, 0): 0.305, (0, 1): 0.144, (0, 0): 0.084}


def test_the_textbooks_machine_has_its_partition_sum_and_probabilities():
    head = textbook()
    s = every_state(4, head.raw) / 2 + 0.5
    terms = (((s @ head.weights) * s).sum(1) / 2).exp()
    assert head.log_partition(NONE).exp().item() == pytest.approx(terms.sum().item())
    assert terms.detach().numpy().round(2).sum() == pytest.approx(39.70)  # as is printed, of rounded terms
    for value, probability in EXPECTED.items():
        x = head.event.encode(torch.tensor([[value]]).double())
        assert head.log_prob(x, NONE).exp().item() == pytest.approx(probability, abs=0.001)


def test_gibbs_sampling_of_the_textbooks_machine_finds_its_probabilities():
    y = textbook().event.decode(textbook().sample(NONE, 8000, generator=draws.generator(0))[0]).squeeze(1)
    for value, probability in EXPECTED.items():
        share = (y == torch.tensor(value)).all(1).double().mean().item()
        assert share == pytest.approx(probability, abs=0.02)


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("make", [boltzmann, restricted])
def test_enumerated_probabilities_add_up_to_one_and_are_those_of_the_machine(make, low, monkeypatch):
    head = make(low=low)
    every = states(head.units)
    c = torch.zeros(len(every), 0)
    found = head.enumerated(every, c)
    assert found.exp().sum().item() == pytest.approx(1)
    expected = head.log_prob(every, c) if make is boltzmann else (-head.energy(every, c)).log_softmax(0)
    torch.testing.assert_close(found, expected.detach())
    monkeypatch.setattr(binary, "_AT_ONCE", 1)  # one context after another
    torch.testing.assert_close(head.enumerated(every, c), found)


def test_many_units_are_not_enumerated():
    head = restricted(17)
    with pytest.raises(ValueError, match=r"at most 16 units are enumerated; got 17. Compare"):
        head.enumerated(torch.ones(1, 1, 17), NONE)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_probabilities_add_up_to_one_and_differ_by_energies(low):
    head, every = boltzmann(low=low), states(3)
    c = torch.zeros(8, 0)
    log_prob = head.log_prob(every, c)
    assert log_prob.exp().sum().item() == pytest.approx(1)
    shift = log_prob + head.energy(every, c)
    torch.testing.assert_close(shift, shift[:1].expand(8))
    torch.testing.assert_close(-head.log_partition(NONE), shift[:1])


def test_hidden_units_are_summed_out():
    head, (v, h) = boltzmann(2, 2), (states(2), states(2))
    joint = torch.cat([v.repeat_interleave(4, 0), h.repeat(4, 1, 1)], 2).squeeze(1) / 2 + 0.5
    weights, bias = head.weights, head.net.output[0]
    free = torch.logsumexp((((joint @ weights) * joint).sum(1) / 2 + joint @ bias).view(4, 4), 1)
    torch.testing.assert_close(-head.energy(v, torch.zeros(4, 0)), free)


def test_gibbs_draws_of_a_guided_machine_are_those_of_enumeration():
    head, every = boltzmann(3, 2), states(3)
    value = torch.tensor([1.0, -1.0, 2.0])
    guide = Guide(cost=lambda y: (y * value).sum((-1, -2)), scale=0.7)
    x = head.sample(NONE, 4000, generator=draws.generator(2), guide=guide)[0]
    log_weight = head.log_prob(every, torch.zeros(8, 0)) - 0.7 * ((every.squeeze(1) + 1) / 2) @ value
    counts = torch.bincount(index_of(x), minlength=8)
    assert stats.chisquare(counts.numpy(), (4000 * log_weight.softmax(0)).detach().numpy()).pvalue > 0.01


def test_a_machine_learns_what_no_pair_of_units_tells():
    # Three units of which an even number is on: every pair is independent, and hidden units see the rule.
    head = boltzmann(3, 4, low=-1.0)
    even = states(3)[(states(3) > 0).sum((1, 2)) % 2 == 0]
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=150, line_search_fn="strong_wolfe")
    c = torch.zeros(4, 0)

    def closure():
        optimizer.zero_grad()
        loss = head.loss(even, c, generator=draws.generator(0)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(head.log_prob(even, c).exp(), torch.full((4,), 0.25), rtol=0, atol=0.02)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_the_free_energy_sums_over_hidden_units(low):
    head, v = restricted(3, 2, low), states(3)
    h = states(2).squeeze(1)
    value = v.squeeze(1) if low < 0 else v.squeeze(1) / 2 + 0.5
    hidden = h if low < 0 else h / 2 + 0.5
    b, a = head.net.output[0].split([3, 2])
    joint = (value @ head.layer.weights) @ hidden.T + (value @ b)[:, None] + hidden @ a
    torch.testing.assert_close(-head.energy(v, torch.zeros(8, 0)), torch.logsumexp(joint, 1))


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_annealed_importance_sampling_finds_the_partition_sum(low):
    head = restricted(6, 4, low)
    exact = torch.logsumexp(-head.energy(states(6), torch.zeros(64, 0)), 0).item()
    estimate = head.log_partition(torch.zeros(3, 0), generator=draws.generator(0), rungs=200, chains=100)
    assert estimate.shape == (3,)
    torch.testing.assert_close(estimate, torch.full((3,), exact), rtol=0, atol=0.1)


def test_without_weights_the_partition_sum_is_exact():
    head = restricted()
    with torch.no_grad():
        head.layer.weights.zero_()
    exact = torch.logsumexp(-head.energy(states(4), torch.zeros(16, 0)), 0)
    torch.testing.assert_close(head.log_partition(NONE, generator=draws.generator(0), rungs=1, chains=1)[0], exact)


def test_draws_of_whole_layers_are_as_probable_as_the_free_energy_says():
    head = restricted()
    probability = (-head.energy(states(4), torch.zeros(16, 0))).softmax(0).detach()
    x = head.sample(NONE, 4000, generator=draws.generator(1))[0]
    counts = torch.bincount(index_of(x), minlength=16)
    assert stats.chisquare(counts.numpy(), (4000 * probability).numpy()).pvalue > 0.01


def test_contrastive_divergence_of_many_steps_is_the_gradient_of_the_likelihood():
    head, every = restricted(3, 2, steps=40), states(3)
    x = every[[1, 3, 3, 6]].repeat(3000, 1, 1)
    c = torch.zeros(len(x), 0)
    head.loss(x, c, generator=draws.generator(0)).mean().backward()
    found = [parameter.grad.clone() for parameter in head.parameters()]
    head.zero_grad()
    energy = head.energy(every, torch.zeros(8, 0))
    likelihood = (energy[[1, 3, 3, 6]].mean() + torch.logsumexp(-energy, 0)) / 3
    likelihood.backward()
    for ours, parameter in zip(found, head.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=0, atol=0.01)


def rule(rows, seed):
    """Scenes of six objects: cup and saucer together, fork and knife together, and lamps as they like."""
    u = draws.uniform((rows, 4), generator=draws.generator(seed), like=torch.zeros(())) < 0.5
    return (2 * u[:, [0, 0, 1, 1, 2, 3]].double() - 1).unsqueeze(1)


def fitted(head, steps=150, rate=0.05):
    optimizer = torch.optim.Adam(head.parameters(), lr=rate)
    for step in range(steps):
        optimizer.zero_grad()
        head.loss(rule(64, step), torch.zeros(64, 0), generator=draws.generator(9, step)).mean().backward()
        optimizer.step()
    return head


def kept(x):
    """Shares of scenes in which each pair is together."""
    return (x[..., 0] == x[..., 1]).double().mean().item(), (x[..., 2] == x[..., 3]).double().mean().item()


def test_a_restricted_machine_learns_what_goes_together_and_says_what_is_missing_or_out_of_place():
    head = fitted(RBMHead(Binary(6), Constant(1, 6 + 8), hidden=8, steps=2))
    assert min(kept(head.sample(NONE, 500, generator=draws.generator(0)))) > 0.9
    scene = head.event.encode(torch.tensor([[[1.0, 0.0, 1.0, 1.0, 0.0, 0.0]]]))
    surprise = head.surprise(scene, NONE)[0, 0]
    assert surprise[:2].min() > 2 * surprise[2:].max()  # a cup without a saucer, or no cup
    seen = torch.tensor([[[True, False, True, False, False, False]]])
    scene = head.event.encode(torch.tensor([[[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]]))
    told = head.marginals(scene, seen, NONE, generator=draws.generator(0))[0, 0]
    assert told[1] > 0.85 and told[3] < 0.15 and (told[4:] - 0.5).abs().max() < 0.3


def test_a_belief_network_learns_what_goes_together():
    head = BeliefHead(Binary(6), Constant(1, BeliefHead.width(6, (8, 6))), layers=(8, 6), steps=2)
    before = min(kept(head.sample(NONE, 500, generator=draws.generator(0))))
    after = min(kept(fitted(head, 200).sample(NONE, 500, generator=draws.generator(0))))
    assert before < 0.65 and after > 0.85


def test_no_gradient_passes_from_one_machine_to_the_one_below():
    head = BeliefHead(Binary(4), Constant(1, BeliefHead.width(4, (3, 2))), layers=(3, 2), steps=1)
    single = RBMHead(Binary(4), Constant(1, 4 + 3), hidden=3, steps=1)
    single.layer.load_state_dict(head.layers[0].state_dict())
    x = states(4)
    for model in (head, single):
        model.loss(x, torch.zeros(16, 0), generator=draws.generator(0)).sum().backward()
    torch.testing.assert_close(head.layers[0].weights.grad, single.layer.weights.grad)


def test_a_belief_network_chooses_among_draws_that_hold():
    head = BeliefHead(Binary(4), Constant(1, BeliefHead.width(4, (3, 2))), layers=(3, 2))
    guide = Guide(margins=lambda y: y[..., 0, :1] - 0.5, cost=lambda y: y[..., 0, 1])
    told = head.certified(NONE, 50, generator=draws.generator(0), guide=guide)
    assert told.feasible.all() and (told.x[0, :, 0, 0] == 1).all()
    free = head.sample(NONE, 50, generator=draws.generator(0))
    assert told.x[..., 1].mean() < free[..., 1].mean()


def test_configs_build_every_model():
    event = Binary(3, steps=2)

    def make_net(channels_out):
        return ResidualMLP(horizon=2, channels_in=3, channels_out=channels_out, context=2, width=16, depth=1)

    blocks = (HopfieldBlock, BoltzmannBlock, RBMBlock, BeliefBlock)
    for block, family in zip(blocks, (HopfieldHead, BoltzmannHead, RBMHead, BeliefHead), strict=True):
        head = block().build(event, make_net)
        assert isinstance(head, family)
        x = head.sample(torch.zeros(2, 2), 3, generator=draws.generator(0))
        assert x.shape == (2, 3, 2, 3) and (x.abs() == 1).all()


def test_a_config_names_chains_that_persist():
    block = RBMBlock.model_validate({"chains": {"count": 40, "fresh": 0.5}})
    chains = block.build(Binary(3), lambda channels_out: Constant(1, channels_out)).chains
    assert chains is not None and (chains.count, chains.fresh) == (40, 0.5)
    assert RBMBlock().build(Binary(3), lambda channels_out: Constant(1, channels_out)).chains is None


@pytest.mark.parametrize(
    "build",
    [
        lambda event: RBMHead(event, Constant(1, 7), hidden=4),
        lambda event: BeliefHead(event, Constant(1, BeliefHead.width(3, (4, 2))), layers=(4, 2)),
    ],
    ids=["rbm", "belief"],
)
def test_values_that_are_loaded_are_those_of_the_units(build):
    saved, other = (build(Binary(3, low=low)) for low in (0.0, -1.0))
    other.load_state_dict(saved.state_dict())
    losses = [head.loss(states(3), torch.zeros(8, 0), generator=draws.generator(0)) for head in (saved, other)]
    assert torch.equal(*losses)


def net() -> nn.Module:
    return Constant(1, 40)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoltzmannHead(Binary(14), net(), hidden=3), r"got 14 visible and 3 hidden.*\(head.kind rbm\)"),
        (lambda: RBMHead(Binary(3), net(), hidden=0), "hidden and steps must be at least 1; got 0 and 5"),
        (
            lambda: BeliefHead(Binary(3), net(), layers=(4,)),
            r"layers must be at least two.*got \[4\]. One is head.kind rbm",
        ),
        (lambda: BeliefHead(Binary(3), net(), steps=0), "steps, sweeps and candidates must be at least 1; got 0, 50"),
        (lambda: restricted().log_partition(NONE, generator=draws.generator(0), rungs=0), "rungs and chains must be"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
