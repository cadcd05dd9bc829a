import pytest
import torch
from scipy import stats
from torch import distributions

from embodied_gen import draws
from embodied_gen.heads import (
    AutoencoderHead,
    DenoisingHead,
    Guide,
    LatentDiffusionHead,
    LatentNet,
    VAEHead,
    latent_event,
    pull_back,
)
from embodied_gen.heads.analytic import Exact
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.latent_diffusion import _mended
from embodied_gen.heads.parametrisation import V
from embodied_gen.heads.schedules import Cosine, Rectified
from tests.heads.analytic import normal, unit_event
from tests.heads.test_vae import Linear, Nothing, Small, net, none, perturbed, train, vague

pytestmark = pytest.mark.usefixtures("double")


def head():
    event = unit_event(2)
    denoiser = DenoisingHead(latent_event(2), LatentNet(event, Small(), latent=2), clip=4.0, steps=10)
    return LatentDiffusionHead(VAEHead(event, Small(), Small(), latent=2), denoiser)


def test_a_pulled_back_guide_is_the_guide_of_the_events():
    linear = Linear()
    decoder = linear.head()
    guide = Guide(cost=lambda y: y.square().sum((2, 3)), margins=lambda y: 1 - y[..., 0], scale=3.0)
    rows, c = RowGuide(guide, decoder.event, 2), torch.zeros(2, 1)
    pulled = pull_back(rows, lambda z, c: decoder.decode(z[:, 0], c), 2, c, like=c)
    z = torch.randn(6, 1, 2, generator=draws.generator(0)).requires_grad_()
    x = decoder.decode(z[:, 0], none(6))
    torch.testing.assert_close(pulled.potential(z), rows.potential(x))
    torch.testing.assert_close(pulled.margins(z), rows.margins(x))
    torch.testing.assert_close(pulled.margin(z), rows.margin(x))
    (slope,) = torch.autograd.grad(pulled.potential(z).sum(), z)
    torch.testing.assert_close(slope[:, 0], (6 * x[:, 0] @ linear.weight).detach())


def test_codes_that_break_a_constraint_are_mended_and_others_left_alone():
    guide = RowGuide(Guide(margins=lambda z: z[..., 0] - 1, cost=lambda z: 1e3 * z[..., 0].sum(2)), latent_event(2), 1)
    z = torch.randn(50, 1, 2, generator=draws.generator(0))
    mended, held = _mended(z, guide), z[:, 0, 0] >= 1
    assert held.any() and (guide.margin(mended) >= 0).all()
    assert mended[held].equal(z[held])


def test_the_denoiser_does_not_move_the_codes():
    model, x = head(), torch.randn(4, 1, 2, generator=draws.generator(0))
    together = model.loss(x, none(4), generator=draws.generator(1))
    own = model.autoencoder.loss(x, none(4), generator=draws.generator(1))
    parameters = list(model.autoencoder.parameters())
    theirs, mine = (torch.autograd.grad(loss.sum(), parameters, allow_unused=True) for loss in (together, own))
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(theirs, mine, strict=True))


def test_training_finds_two_narrow_modes_and_a_guide_chooses_one():
    places = torch.tensor([[-0.6, -0.4], [0.6, 0.4]])

    def events(rows, g):
        mode = (torch.rand(rows, generator=g) < 0.7).long()
        return (places[mode] + 0.08 * torch.randn(rows, 2, generator=g)).unsqueeze(1)

    model = train(head(), events)
    x = model.sample(none(1), 1000, generator=draws.generator(1))[0, :, 0]
    distance, nearest = torch.cdist(x, places).min(1)
    assert (distance < 0.4).double().mean() > 0.8
    assert nearest.double().mean().item() == pytest.approx(0.7, abs=0.1)
    guide = Guide(margins=lambda y: -0.2 - y[..., 0])
    told = model.certified(none(4), 16, generator=draws.generator(1), guide=guide)
    assert told.feasible.all()
    assert torch.cdist(told.x.flatten(0, 2), places[:1]).mean() < 0.3


def test_a_denoiser_of_another_latent_is_named():
    event = unit_event(2)
    denoiser = DenoisingHead(latent_event(3), LatentNet(event, Small(), latent=3))
    with pytest.raises(ValueError, match=r"must have shape \(1, 2\).*got \(1, 3\). Build it on latent_event\(2\)"):
        LatentDiffusionHead(VAEHead(event, Small(), Small(), latent=2), denoiser)


def linear_head(mean, deviation, schedule, **options):
    """Linear events of codes that an exact denoiser draws from N(mean, deviation^2), and their exact density."""
    linear = Linear()
    codes = normal(mean, deviation, channels=2)
    denoiser = DenoisingHead(latent_event(2), Exact(codes, schedule, V()), schedule=schedule, parametrisation=V())
    centre = linear.mean + linear.weight @ torch.full((2,), mean)
    spread = linear.covariance + (deviation**2 - 1) * linear.weight @ linear.weight.T
    return LatentDiffusionHead(linear.head(), denoiser, **options), distributions.MultivariateNormal(centre, spread)


@pytest.mark.parametrize("schedule", [Rectified, Cosine], ids=lambda kind: kind.__name__)
def test_the_bound_of_exact_parts_is_the_exact_density(schedule):
    x, c = Linear().events(30), none(30)
    for importance in (1, 4):  # with the exact posterior of the codes every weight is the density itself
        model, exact = linear_head(0.0, 1.0, schedule(), importance=importance, noise=0.001)
        torch.testing.assert_close(model.log_prob(x, c), exact.log_prob(x[:, 0]), rtol=0, atol=0.02)
        own = model.bound(x, c, generator=draws.generator(0))
        torch.testing.assert_close(own, exact.log_prob(x[:, 0]), rtol=0, atol=0.02)


def test_the_bound_grows_with_its_draws_to_the_density_of_the_denoisers_codes_and_stays_below():
    # The posterior is that of codes N(0, 1), while the denoiser's are others.
    x, bounds = Linear().events(60), []
    for importance in (1, 4, 32):
        model, exact = linear_head(0.5, 0.7, Rectified(), importance=importance)
        over = [model.bound(x, none(60), generator=draws.generator(3, stream)).mean() for stream in range(5)]
        bounds.append(torch.stack(over).mean())
    exact = exact.log_prob(x[:, 0]).mean()
    assert all(low < high for low, high in zip(bounds, [*bounds[1:], exact], strict=True))
    assert exact - bounds[0] > 0.15 and exact - bounds[-1] < 0.2 * (exact - bounds[0])


def test_the_bound_is_a_function_of_its_row_alone_and_has_no_graph():
    model, x = head(), torch.randn(4, 1, 2, generator=draws.generator(0))
    together = model.log_prob(x, none(4))
    torch.testing.assert_close(torch.cat([model.log_prob(row[None], none(1)) for row in x]), together)
    own = model.bound(x, none(4), generator=[draws.generator(i) for i in range(4)])
    last = model.bound(x[3:], none(1), generator=[draws.generator(3)])
    torch.testing.assert_close(own[3:], last)
    assert not together.requires_grad and not own.requires_grad


def test_with_many_draws_the_bound_of_bent_parts_integrates_to_one():
    def build():
        auto = vague(perturbed(lambda: VAEHead(unit_event(1), net(1), net(1), latent=1)))
        denoiser = DenoisingHead(latent_event(1), LatentNet(unit_event(1), net(1), latent=1))
        return LatentDiffusionHead(auto, denoiser, importance=400)

    # Codes are neither normal nor where the posterior looks for them, and no weight is extreme.
    model, grid = perturbed(build, size=0.05), torch.linspace(-4, 4, 21)
    total = torch.trapezoid(model.log_prob(grid.view(-1, 1, 1), none(21)).exp(), grid)
    assert total.item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"importance": 0}, "importance must be at least 1; got 0"), ({"noise": 0.0}, "noise must be positive; got 0.0")],
)
def test_impossible_bounds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        linear_head(0.0, 1.0, Rectified(), **options)


def trained_autoencoder(x, steps=600):
    model = AutoencoderHead(unit_event(3), Nothing(), Nothing(), latent=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(x, none(len(x)), generator=draws.generator(0)).mean().backward()
        optimizer.step()
        schedule.step()
    return model


def test_a_linear_autoencoder_is_principal_components_with_a_normal_of_the_codes():
    x = Linear().events(400)
    model = trained_autoencoder(x)
    code = model.encode(x, none(400)).detach()
    rebuilt = model.decode(code, none(400)).detach()
    lost = torch.linalg.eigvalsh(x[:, 0].T.cov(correction=0))[0] / 3
    torch.testing.assert_close((rebuilt - x).square().mean(), lost, rtol=0.02, atol=0)
    root = model._root().detach()
    torch.testing.assert_close((root @ root.T).inverse(), code.T.cov(correction=0), atol=0.03, rtol=0.05)
    torch.testing.assert_close(model.centre.detach(), code.mean(0), atol=0.03, rtol=0)


def test_draws_of_an_autoencoder_have_the_normal_of_its_codes():
    x = Linear().events(400)
    model = trained_autoencoder(x, 100)
    drawn = model.sample(none(1), 20_000, generator=draws.generator(2))[0, :, 0]
    root, weight = model._root().detach(), model.lift.linear.weight.detach()
    torch.testing.assert_close(drawn.T.cov(), weight @ (root @ root.T).inverse() @ weight.T, atol=0.03, rtol=0.05)
    first = (drawn[:, 0] - drawn[:, 0].mean()) / drawn[:, 0].std()
    assert stats.kstest(first.numpy(), stats.norm.cdf).statistic < 0.02


def test_what_fits_the_normal_does_not_move_the_codes():
    x = Linear().events(4)
    model = AutoencoderHead(unit_event(3), Nothing(), Nothing(), latent=2)
    encoder = list(model.read.parameters())
    loss = model.loss(x, none(4), generator=draws.generator(0))
    error = model.event.error(model.decode(model.encode(x, none(4)), none(4)), x)
    mine, theirs = (torch.autograd.grad(part.sum(), encoder) for part in (loss, error))
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
