"""Imitation by a discriminator: its best logit, its rewards, what steps are kept, and that a policy learns."""

import random
import sys

import gymnasium
import numpy as np
import pytest
import torch

from embodied_gen import draws
from embodied_gen.demos.episodes import Episodes
from embodied_gen.imitation import Airl, Gail, LearnedReward, Moves, imitate, moves_of

WANTED = 0.5


class Line(gymnasium.Env):
    """A point on a line that is moved by up to 0.2; an episode has 16 steps, or ends beyond the edge."""

    observation_space = gymnasium.spaces.Box(-9.0, 9.0, (1,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, edge=1.0):
        self.edge = edge

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.count = np.float32(self.np_random.uniform(-0.8, 0.8)), 0
        return np.array([self.place]), {}

    def step(self, action):
        self.place, self.count = np.float32(self.place + 0.2 * float(action[0])), self.count + 1
        over = bool(abs(self.place) > self.edge)
        return np.array([self.place]), -1.0, over, self.count == 16, {}


def demonstrations(count=20):
    """Straight to the wanted place, and there to stay."""
    observations, actions = [], []
    for number in range(count):
        place = -0.8 + 1.6 * number / (count - 1)
        for _ in range(16):
            action = float(np.clip((WANTED - place) / 0.2, -1, 1))
            observations.append([place])
            actions.append([action])
            place += 0.2 * action
    starts = torch.arange(count + 1) * 16
    return Episodes(torch.tensor(observations), torch.tensor(actions), starts, "the test")


def moves(seed, shift=0.0, count=4000):
    x = draws.normal((count, 3), generator=draws.generator(seed), like=torch.zeros(())) + shift
    return Moves(x[:, :1], x[:, 1:2], x[:, 2:])


def test_steps_of_demonstrations_are_those_whose_end_is_seen():
    steps = moves_of(demonstrations(3))
    assert len(steps) == 3 * 15
    torch.testing.assert_close(steps.following, steps.observations + 0.2 * steps.actions)
    short = Episodes(torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([0, 1, 2]), "the test")
    with pytest.raises(ValueError, match="every episode has a single step"):
        moves_of(short)


def test_the_best_logit_is_the_logarithm_of_the_ratio_of_densities():
    own, theirs = moves(1, 0.5), moves(2, -0.5)
    net = Gail(own, width=16)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    none = torch.zeros(len(own))
    for _ in range(80):
        optimizer.zero_grad()
        net.loss(own, none, theirs, none).mean().backward()
        optimizer.step()
    some = moves(3, count=500)
    ratio = (some.observations + some.actions)[:, 0]  # of normals at +-1/2 in two of the numbers
    assert (net.logit(some, none) - ratio).abs().median().item() < 0.3
    assert (net.reward(some) > 0).all()


def test_the_slope_of_the_loss_is_a_difference_of_visits():
    own, theirs = moves(1, 0.5), moves(2, -0.5)
    net, none = Gail(own), torch.zeros(len(own))
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    net.loss(own, none, theirs, none).mean().backward()
    assert net.net[-1].bias.grad.item() == pytest.approx(0, abs=1e-6)  # as many of both, at logits of zero


def test_shaping_without_discount_telescopes_and_log_pi_enters_the_logit():
    steps = moves_of(demonstrations(2)).at(torch.arange(15))
    net = Airl(steps, discount=1.0)
    own = net.own(net._standard(steps.observations))[:, 0]
    ends = torch.cat([steps.observations[:1], steps.following[-1:]])
    shaping = net.shaping(net._standard(ends))[:, 0]
    torch.testing.assert_close(net.reward(steps).sum(), own.sum() + shaping[1] - shaping[0])
    log_pi = torch.full((len(steps),), -2.0)
    torch.testing.assert_close(net.logit(steps, log_pi), net.reward(steps) + 2)


def test_rewards_are_learned_and_steps_that_end_an_episode_are_not_kept():
    net = Gail(moves_of(demonstrations(3)))
    env = LearnedReward(Line(), net)
    observation, _ = env.reset(seed=0)
    terminated = truncated = False
    count = 0
    while not terminated and not truncated:
        count += 1
        there, reward, terminated, truncated, info = env.step(np.array([1.0], np.float32))
        assert info["reward"] == -1.0
        step = Moves(*(torch.as_tensor(part, dtype=torch.float32)[None] for part in (observation, [1.0], there)))
        assert reward == pytest.approx(net.reward(step).item())
        observation = there
    assert terminated and len(env.taken()) == count - 1
    with pytest.raises(ValueError, match="no step was taken that did not end its episode"):
        env.taken()
    with pytest.raises(ValueError, match=r"observations must be flat vectors of real numbers .*; got Discrete"):
        LearnedReward(gymnasium.make("FrozenLake-v1"), net)


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ImportError, match=r"needs stable-baselines3.*pip install 'embodied-gen\[rl\]'"):
        imitate(Line(), demonstrations(), Gail(moves_of(demonstrations())))


def test_the_global_random_states_are_put_back():
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    episodes = demonstrations()
    net = Airl(moves_of(episodes))
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    imitate(Line(), episodes, net, rounds=1, steps=64, updates=1, batch=8)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert (before[2] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(("kind", "own"), [(Gail, 0.0), (Airl, 1.0)])
def test_the_entropy_of_the_policy_has_the_weight_of_the_discriminators_objective(kind, own):
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    episodes = demonstrations()
    net = kind(moves_of(episodes))
    for given, weight in ((None, own), (0.3, 0.3)):
        ppo = imitate(Line(), episodes, net, rounds=1, steps=64, updates=0, batch=8, entropy=given)
        assert ppo.ent_coef == weight


def test_the_objective_of_airls_policy_is_the_logit_of_its_steps():
    some = moves(2)
    net, log_pi = Airl(some), torch.linspace(-3.0, 0.0, len(some))
    entropy = -net.entropy * log_pi  # of which the mean is the entropy
    torch.testing.assert_close(net.reward(some) + entropy, net.logit(some, log_pi))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Gail, Airl])
def test_a_policy_learns_to_go_where_demonstrations_go(kind):
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    episodes = demonstrations()
    # Without an edge: where rewards are below zero, a policy is paid for ending its episode.
    ppo = imitate(Line(9.0), episodes, kind(moves_of(episodes)), rounds=25, steps=512, updates=12, batch=128)
    ends = []
    for seed in range(10):
        env = Line(9.0)
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            action, _ = ppo.predict(observation, deterministic=True)
            observation, _, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
        ends.append(abs(float(observation[0]) - WANTED))
    assert np.mean(ends) < 0.2  # at random starts alone it would be 0.5


def test_numbers_and_spaces_that_do_not_fit_are_named():
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    episodes = demonstrations()
    with pytest.raises(ValueError, match="steps a multiple of 64; got 1, 1, 0 and 100"):
        imitate(Line(), episodes, Gail(moves_of(episodes)), rounds=1, steps=100, updates=0, batch=1)
    wide = Episodes(episodes.observations.expand(-1, 2), episodes.actions, episodes.starts, "the test")
    with pytest.raises(ValueError, match=r"\(\(1,\), \(1,\)\); got .*2.*1"):
        imitate(Line(), wide, Gail(moves_of(wide)))
