"""Classifier guidance is the textbook's: Bayes' rule with a classifier of noisy events, nothing at strength zero."""

import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.heads import ClassifierGuidance, Guide, NoisyClassifier, fit_classifier
from embodied_gen.heads.classifier import labels
from embodied_gen.heads.samplers import DDIM, Ancestral
from embodied_gen.heads.schedules import Cosine, Rectified
from embodied_gen.nets import ResidualMLP, TemporalUNet
from tests.heads.analytic import normal, unit_event
from tests.heads.test_particles import CIRCLE, HALF, head_of, outside

pytestmark = pytest.mark.usefixtures("double")

SCHEDULES = {"cosine": lambda: Cosine(100), "rectified": Rectified}


def classifier_of(head):
    steps, channels = head.event.shape
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = ResidualMLP(horizon=steps, channels_in=channels, channels_out=1, context=1, width=64, depth=1)
        with torch.no_grad():
            for parameter in net.parameters():  # away from layers that start at zero
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return NoisyClassifier(head.event, net, head.schedule)


def trained(head, x, guide):
    classifier = classifier_of(head)
    fit_classifier(classifier, x, torch.zeros(len(x), 1), guide, steps=250, batch=256, rate=5e-3)
    return classifier


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_trained_classifier_lowers_violation_on_diffusion_and_on_flow_matching(name):
    x = CIRCLE.draw(20_000, draws.generator(1))[:, None]
    classifier = trained(head_of(None, schedule=SCHEDULES[name]()), x, Guide(margins=outside))
    rates = []
    for eta, strength in ((1.0, 0.0), (1.0, 3.0), (0.0, 3.0)):
        head = head_of(ClassifierGuidance(classifier, strength, eta=eta), schedule=SCHEDULES[name](), steps=50)
        y = HALF * head.sample(torch.zeros(1000, 1), generator=draws.generator(2), guide=Guide(margins=outside))
        assert y.isfinite().all()
        rates.append((outside(y.reshape(-1, 2)) < 0).double().mean().item())
    assert rates[0] > 0.15
    assert rates[1] < rates[0] / 3 and rates[2] < rates[0] / 3, rates


def test_a_classifier_learns_the_probability_of_its_label():
    # Normal data and a half line: x | x_t is normal, and the probability that it is positive is known.
    mean, deviation = 0.2, 0.5
    head = head_of(None, data=normal(mean, deviation), half=1.0, schedule=Rectified())
    x = normal(mean, deviation).draw(20_000, draws.generator(1))[:, None]
    classifier = trained(head, x, Guide(margins=lambda y: y[..., 0]))
    t = torch.tensor([0.2, 0.5, 0.8]).repeat_interleave(9)
    alpha, sigma = 1 - t, t
    spread = (alpha**2 * deviation**2 + sigma**2).sqrt()
    x_t = alpha * mean + spread * torch.linspace(-1.5, 1.5, 9).repeat(3)
    x_hat = mean + alpha * deviation**2 / spread**2 * (x_t - alpha * mean)
    exact = torch.distributions.Normal(0.0, 1.0).cdf(x_hat * spread / (deviation * sigma))
    with torch.no_grad():
        learned = classifier(x_t.view(-1, 1, 1), t, torch.zeros(27, 1)).sigmoid()
    assert (learned - exact).abs().max() < 0.12


@pytest.mark.parametrize("name", SCHEDULES)
def test_its_slope_is_the_derivative_of_the_log_probability(name):
    classifier = classifier_of(head_of(None, schedule=SCHEDULES[name]()))
    x_t, t = torch.randn(5, 1, 2, generator=draws.generator(4)), torch.linspace(0.1, 0.9, 5)
    c = torch.ones(5, 1)
    slope = classifier.slope(x_t, t, c)
    with torch.no_grad():
        for channel in range(2):
            step = torch.zeros(2)
            step[channel] = 1e-5
            ahead, behind = (classifier(x_t + sign * step, t, c).sigmoid().log() for sign in (1, -1))
            torch.testing.assert_close(slope[:, 0, channel], (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)
    assert not slope.requires_grad and slope.abs().max() > 0


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("eta", "sampler"), [(1.0, Ancestral()), (0.0, DDIM())])
def test_without_strength_it_is_the_free_sampler_draw_for_draw(name, eta, sampler):
    head = head_of(None, schedule=SCHEDULES[name](), steps=20)
    head.sampler = sampler
    free = head.sample(torch.zeros(50, 1), 2, generator=draws.generator(0))
    head.guidance = ClassifierGuidance(classifier_of(head), 0.0, eta=eta)
    torch.testing.assert_close(head.sample(torch.zeros(50, 1), 2, generator=draws.generator(0), guide=Guide()), free)


@pytest.mark.parametrize("name", SCHEDULES)
def test_both_algorithms_tend_to_the_tilted_normal_where_the_classifier_is_exact(name):
    # log p(label | x_t) is linear in x_t for a label that is exp(x) times a constant: the classifier is a line.
    mean, deviation, tilt = -0.2, 0.3, 2.0
    head = head_of(None, data=normal(mean, deviation), half=1.0, schedule=SCHEDULES[name](), steps=100)

    class Line(torch.nn.Module):
        def slope(self, x_t, t, c):
            at = head.schedule.coefficients(t)
            slope = tilt * at.alpha * deviation**2 / (at.alpha**2 * deviation**2 + at.sigma**2)
            return slope.view(-1, 1, 1).expand_as(x_t)

    for eta in (1.0, 0.0):
        head.guidance = ClassifierGuidance(Line(), eta=eta)
        x = head.sample(torch.zeros(4000, 1), generator=draws.generator(1), guide=Guide()).flatten()
        assert x.mean().item() == pytest.approx(mean + tilt * deviation**2, abs=0.03)
        assert x.std().item() == pytest.approx(deviation, rel=0.08)


def test_labels_are_the_weights_of_the_guides_meaning():
    event = unit_event(2)
    x = torch.randn(50, 1, 2, generator=draws.generator(1))
    guide = Guide(cost=lambda y: y.square().sum((-1, -2)), margins=lambda y: y[..., 0], scale=0.7)
    expected = (-0.7 * x.square().sum((1, 2))).exp() * (x[:, 0, 0] >= 0)
    torch.testing.assert_close(labels(event, x, guide), expected)
    assert labels(event, x, Guide(cost=lambda y: -y.square().sum((-1, -2)))).eq(1).all()


def test_training_is_a_function_of_the_seed_lowers_the_loss_and_tells_of_every_step():
    head = head_of(None)
    x = CIRCLE.draw(2000, draws.generator(1))[:, None]
    runs = []
    for seed in (0, 0, 1):
        classifier, losses = classifier_of(head), []
        fit_classifier(
            classifier,
            x,
            torch.zeros(len(x), 1),
            Guide(margins=outside),
            steps=40,
            batch=128,
            seed=seed,
            advance=lambda step, loss, losses=losses: losses.append((step, loss)),
        )
        runs.append((losses, classifier.state_dict()))
    assert [step for step, _ in runs[0][0]] == list(range(1, 41))
    assert runs[0][0] == runs[1][0] and runs[0][0] != runs[2][0]
    assert sum(loss for _, loss in runs[0][0][-10:]) < 0.95 * sum(loss for _, loss in runs[0][0][:10])


def test_any_network_with_one_channel_will_do_and_another_is_refused():
    event = unit_event(2)
    for channels in (1, 3):
        net = TemporalUNet(horizon=1, channels_in=2, channels_out=channels, context=1, width=8, multipliers=(1,))
        classifier = NoisyClassifier(event, net, Rectified())
        ask = lambda: classifier(torch.zeros(4, 1, 2), torch.full((4,), 0.5), torch.zeros(4, 1))  # noqa: B023, E731
        if channels == 1:
            assert ask().shape == (4,)
        else:
            with pytest.raises(ValueError, match=r"must return shape \(4, 1, 1\); got \(4, 1, 3\). Build it with"):
                ask()


@pytest.mark.parametrize(("margin", "share"), [(1.0, "every"), (-1.0, "no")])
def test_examples_of_one_label_are_refused(margin, share):
    classifier = classifier_of(head_of(None))
    guide = Guide(margins=lambda y: 0 * y[..., 0] + margin)
    with pytest.raises(ValueError, match=f"needs examples of both labels; got 7 of which {share} one is wanted"):
        fit_classifier(classifier, torch.zeros(7, 1, 2), torch.zeros(7, 1), guide)


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match="strength must be at least 0; got -1"):
        ClassifierGuidance(classifier_of(head_of(None)), -1)


def test_pure_noise_is_not_shifted():
    # The first level of a rectified path has no signal, where the deterministic walk would divide by zero.
    head = head_of(None, schedule=Rectified(), steps=1)
    head.guidance = ClassifierGuidance(classifier_of(head), math.pi, eta=0.0)
    x = head.sample(torch.zeros(3, 1), generator=draws.generator(0), guide=Guide())
    assert x.isfinite().all()
