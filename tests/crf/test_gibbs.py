"""Gibbs sampling against enumeration, and mean field against Gibbs sampling."""

import itertools

import pytest
import torch

from embodied_gen import draws
from embodied_gen.crf.gibbs import gibbs
from embodied_gen.crf.mean_field import mean_field
from tests.crf.pictures import one_hot

pytestmark = pytest.mark.usefixtures("double")


def model(strength, seed=0, points=4, classes=3):
    g = draws.generator(seed)
    like = torch.zeros(())
    logits = draws.normal((1, points, classes), generator=g, like=like)
    place = draws.normal((1, points, 2), generator=g, like=like)
    couplings = (-torch.cdist(place, place).square() / 2).exp()
    scores = draws.normal((classes, classes), generator=g, like=like)
    return logits, couplings, strength * (torch.eye(classes) + 0.2 * (scores + scores.T))


def enumerated(logits, couplings, scores):
    points, classes = logits.shape[1:]
    states = one_hot(torch.tensor(list(itertools.product(range(classes), repeat=points))), classes)
    pairs = couplings[0].triu(1)
    score = (states * logits).sum((1, 2)) + torch.einsum("sik,ij,kl,sjl->s", states, pairs, scores, states)
    return torch.einsum("s,sik->ik", score.softmax(0), states)


def long_run(logits, couplings, scores, chains=400):
    many = [part.expand(chains, *part.shape[1:]) for part in (logits, couplings)]
    g = draws.generator(1)
    start = torch.zeros(chains, logits.shape[1], dtype=torch.long)
    state, _ = gibbs(*many, scores, start, sweeps=20, generator=g)
    return gibbs(*many, scores, state, sweeps=20, generator=g)[1].mean(0)


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_marginals_are_those_of_enumeration(strength):
    parts = model(strength)
    assert (long_run(*parts) - enumerated(*parts)).abs().max() < 0.02


def test_mean_field_is_near_where_couplings_are_weak_and_exact_where_there_are_none():
    errors = []
    for strength in (0.0, 0.1, 1.0):
        logits, couplings, scores = model(strength)
        others = couplings - torch.eye(4)
        found = mean_field(logits, lambda q, k=others, s=scores: k @ q @ s.T, iterations=50).softmax(-1)[0]
        errors.append((found - enumerated(logits, couplings, scores)).abs().max().item())
    assert errors[0] < 1e-12 and errors[0] < errors[1] < 0.01 < errors[2]


def test_bad_starts_are_named():
    logits, couplings, scores = model(1.0)
    start = torch.full((1, 4), 3)
    with pytest.raises(ValueError, match="labels must be from 0 to 2; got 3 to 3"):
        gibbs(logits, couplings, scores, start, sweeps=1, generator=draws.generator(0))
    with pytest.raises(ValueError, match="sweeps must be at least 1; got 0"):
        gibbs(logits, couplings, scores, start - 1, sweeps=0, generator=draws.generator(0))
