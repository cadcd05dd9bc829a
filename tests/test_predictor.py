"""A predictor is its encoder, its head and its reduction, with physical units on the outside."""

import pytest
import tiny
import torch

from embodied_gen import draws, reduce
from embodied_gen.heads import Guide
from embodied_gen.predictor import Predictor


@pytest.fixture(params=["path", "trajectory"])
def predictor(request):
    return tiny.predictor_of(tiny.experiment_of(event={"kind": request.param}))


@pytest.fixture
def batch():
    return tiny.windows_of(tiny.experiment_of()).batch(torch.arange(6))


def test_the_loss_is_that_of_the_head_on_the_encoded_event(predictor, batch):
    loss = predictor.loss(batch.observations, batch.value, generator=draws.generator(3), valid=batch.valid)
    x = predictor.head.event.encode(batch.value)
    expected = predictor.head.loss(
        x, predictor.encoder(batch.observations), generator=draws.generator(3), valid=batch.valid
    )
    assert loss.shape == (6,) and loss.equal(expected)
    wrapped = predictor(batch.observations, batch.value, batch.valid, draws.generator(3))
    assert wrapped.equal(expected)


def test_padding_does_not_count_in_the_loss():
    predictor = tiny.predictor_of(tiny.experiment_of(event={"kind": "trajectory"}, head={"kind": "regression"}))
    windows = tiny.windows_of(tiny.experiment_of())
    batch = windows.batch(torch.tensor([7]))  # the last steps of an episode
    assert not batch.valid.all()
    other = torch.where(batch.valid[..., None], batch.value, batch.value + 5)
    first, second = (
        predictor.loss(batch.observations, actions, generator=draws.generator(0), valid=batch.valid)
        for actions in (batch.value, other)
    )
    torch.testing.assert_close(first, second)


def test_samples_are_those_of_the_head_in_physical_units(predictor, batch):
    samples = predictor.sample(batch.observations, 3, generator=draws.generator(3))
    x = predictor.head.sample(predictor.encoder(batch.observations), 3, generator=draws.generator(3))
    assert samples.shape == (6, 3, 8, 2)
    torch.testing.assert_close(samples, predictor.head.event.unscale(x))


def test_certified_samples_are_those_of_the_head_in_physical_units(predictor, batch):
    guide = Guide(margins=lambda y: y.flatten(2))
    answer = predictor.certified(batch.observations, 3, generator=draws.generator(3), guide=guide)
    head = predictor.head.certified(predictor.encoder(batch.observations), 3, generator=draws.generator(3), guide=guide)
    torch.testing.assert_close(answer.x, predictor.head.event.unscale(head.x))
    torch.testing.assert_close(answer.margin, answer.x.flatten(2).amin(2))
    assert answer.feasible.equal(head.feasible) and answer.weight.equal(head.weight)


@pytest.mark.parametrize("reduction", [reduce.first, reduce.mean, reduce.medoid])
def test_an_answer_is_the_reduction_of_the_samples_decoded(reduction, batch):
    trained = tiny.predictor_of(tiny.experiment_of())
    predictor = Predictor(trained.encoder, trained.head, reduction)
    answer = predictor.predict(batch.observations, 5, generator=draws.generator(3))
    x = predictor.head.sample(predictor.encoder(batch.observations), 5, generator=draws.generator(3))
    assert answer.shape == (6, 8, 2)
    torch.testing.assert_close(answer, predictor.head.event.decode(reduction(x)))


def test_the_first_sample_is_the_answer_unless_told_otherwise(predictor, batch):
    answer = predictor.predict(batch.observations, 4, generator=draws.generator(3))
    samples = predictor.sample(batch.observations, 4, generator=draws.generator(3))
    torch.testing.assert_close(answer, samples[:, 0])


def test_it_saves_encoder_and_head_and_nothing_else(predictor):
    assert {name.split(".")[0] for name in predictor.state_dict()} == {"encoder", "head"}
