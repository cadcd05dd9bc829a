"""Sets of futures: no order of people is learned, and who is who is found out afterwards."""

from pathlib import Path

import pytest
import torch
from crowds import crowd, observed

from embodied_gen import draws, experiment
from embodied_gen.events import SetEvent
from embodied_gen.forecasting.check import check_forecaster
from embodied_gen.forecasting.examples import SetExamples
from embodied_gen.forecasting.frames import frames_of
from embodied_gen.forecasting.groups import groups_of
from embodied_gen.forecasting.things import named
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of

CONFIG = Path(__file__).parents[2] / "configs" / "eth_ucy_set.yaml"


@pytest.fixture(scope="module")
def windows():
    return windows_of([crowd(3, 26)], SOCIAL_GAN)


def test_values_are_where_everybody_will_be_in_the_frame_of_the_first(windows):
    batch = (examples := SetExamples(windows, neighbours=3)).batch(torch.arange(len(examples)))
    own = windows.tracks.float()
    ways = batch.value[..., :-1].unflatten(-1, (12, 2))
    torch.testing.assert_close(frames_of(own[:, :8]).outwards(ways[:, 0]), own[:, 8:], atol=1e-4, rtol=0)
    assert batch.value[..., -1].equal(torch.tensor([1.0, 1, 1, 0]).expand(len(own), -1))
    assert not batch.value[:, 3].any() and batch.valid.all()


def test_the_loss_does_not_know_in_which_order_people_are(windows):
    config = experiment.read(CONFIG)
    examples = config.control.varied(windows, config.data)
    predictor = experiment.build(config, examples)
    batch = examples.batch(torch.arange(5))
    event = predictor.head.event
    assert isinstance(event, SetEvent) and event.shape == (5, 25)
    x, guess = event.encode(batch.value), torch.randn(5, 5, 25, generator=draws.generator(0))
    torch.testing.assert_close(event.error(guess, x), event.error(guess, x[:, [3, 1, 4, 0, 2]]))
    loss = predictor.loss(batch.observations, batch.value, generator=draws.generator(0), valid=batch.valid)
    loss.mean().backward()
    assert loss.isfinite().all()


def test_things_are_named_by_where_they_begin_and_absent_ones_are_nobodys():
    seen = observed(1, 3)
    groups = groups_of(seen, 4)
    tracks = groups.tracks(seen)
    going = 2 * tracks[:, :, -1] - tracks[:, :, -2]
    order = [2, 3, 0, 1]  # the thing at each place is that of this member
    noise = 0.05 * draws.normal((1, 1, 4, 2), generator=draws.generator(1), like=going)
    places = going[:, None, order] + noise
    there = torch.tensor([[[True, False, True, True]]])  # the second thing is that of the member who is not there
    index = named(places, there, tracks, groups)
    members = groups.there[0].nonzero().squeeze(1).tolist()
    assert [index[0, 0, m].item() for m in members] == [order.index(m) for m in members]
    gone = torch.tensor([[[False, True, True, True]]])  # what begins where the third is going is said to be absent
    assert named(places, gone, tracks, groups)[0, 0, 2] != 0


def test_it_keeps_the_laws_of_forecasters(windows):
    config = experiment.read(CONFIG)
    with torch.random.fork_rng():
        predictor = experiment.build(config, config.control.examples(windows, config.data)).eval()
        torch.manual_seed(0)
        with torch.no_grad():
            for part in predictor.parameters():
                part.add_(0.05 * torch.randn_like(part))
    check_forecaster(config.control.forecaster(predictor), observed(3, 7))
