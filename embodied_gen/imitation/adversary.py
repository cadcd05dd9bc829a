r"""The loop of imitation by a discriminator: a policy learns from its rewards, and it learns from the policy's steps.

Each round the policy takes steps under the present rewards and is improved by proximal policy optimisation, that of
stable-baselines3; then the discriminator is trained on as many demonstrations as steps of this round. The two play a
game: it need not settle, and rewards of an early round are worth little. Behaviour cloning is the cheaper choice where
demonstrations are many.

The policy's entropy is weighted as proximal policy optimisation does it: at the states that were visited, beside
advantages of deviation one. The weight 1 of AIRL's objective is meant beside rewards, and is only nearly the same.

stable-baselines3 draws from the global random states of torch, numpy and python; they are set from the seed and put
back afterwards.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.demos.episodes import Episodes
from embodied_gen.imitation.discriminator import Discriminator, Moves, moves_of
from embodied_gen.imitation.learned_reward import LearnedReward


def imitate(
    env: gymnasium.Env,
    episodes: Episodes,
    discriminator: Discriminator,
    *,
    rounds: int = 50,
    steps: int = 2048,
    updates: int = 32,
    batch: int = 256,
    rate: float = 1e-3,
    entropy: float | None = None,
    seed: int = 0,
) -> Any:
    """Trains a policy and a discriminator against each other.

    Args:
        env: With flat observations and actions of real numbers, those of the demonstrations.
        episodes: Demonstrations.
        discriminator: Is trained.
        rounds: Of both, >= 1.
        steps: Of the policy in a round, >= 1, a multiple of 64.
        updates: Of the discriminator in a round, >= 0.
        batch: Demonstrations, and steps of the policy, of an update, >= 1.
        rate: Of the discriminator's optimiser.
        entropy: Weight of the policy's entropy in its objective; the discriminator's own where None, 1 for `Airl` and 0
            for `Gail`.
        seed: Of everything.

    Returns:
        The trained `stable_baselines3.PPO`; its `predict(observation)` gives actions.

    Raises:
        ImportError: If stable-baselines3 is missing.
        ValueError: If a number is out of range, or spaces and demonstrations do not fit.
    """
    if rounds < 1 or steps < 64 or steps % 64 or updates < 0 or batch < 1:
        raise ValueError(
            "rounds and batch must be at least 1, updates at least 0 and steps a multiple of 64; got "
            f"{rounds}, {batch}, {updates} and {steps}."
        )
    learner, expert, learned = _learner(), moves_of(episodes), LearnedReward(env, discriminator)
    _require_same_sizes(learned, expert)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=rate)
    weight = discriminator.entropy if entropy is None else entropy
    with _global_states():
        ppo = learner("MlpPolicy", learned, n_steps=steps, ent_coef=weight, seed=seed, device="cpu")
        for number in range(rounds):
            ppo.learn(steps, reset_num_timesteps=number == 0)
            taken = learned.taken()
            for update in range(updates):
                generator = draws.generator(seed, number, update)
                own, theirs = (_some(moves, batch, generator) for moves in (expert, taken))
                optimizer.zero_grad()
                discriminator.loss(own, _log_pi(ppo, own), theirs, _log_pi(ppo, theirs)).mean().backward()
                optimizer.step()
    return ppo


def _some(moves: Moves, count: int, generator: torch.Generator) -> Moves:
    u = draws.uniform((count,), generator=generator, like=moves.actions)
    return moves.at((u * len(moves)).long())


@torch.no_grad()
def _log_pi(ppo: Any, moves: Moves) -> Tensor:
    """Log pi(a | s) of the present policy, shape `(M,)`."""
    _, log_prob, _ = ppo.policy.evaluate_actions(moves.observations, moves.actions)
    return log_prob


def _require_same_sizes(env: gymnasium.Env, expert: Moves) -> None:
    sizes = (expert.observations.shape[1:], expert.actions.shape[1:])
    spaces = (env.observation_space.shape, env.action_space.shape)
    if sizes != spaces:
        raise ValueError(f"demonstrations must have the environment's observations and actions, {spaces}; got {sizes}.")


@contextmanager
def _global_states() -> Iterator[None]:
    """Puts the global random states back."""
    before, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numbers)  # noqa: NPY002


def _learner() -> Any:
    try:
        from stable_baselines3 import PPO
    except ImportError as error:
        raise ImportError(
            "imitation by a discriminator needs stable-baselines3. Install the extra: pip install 'embodied-gen[rl]'."
        ) from error
    return PPO
