"""Chunks are predicted and executed as the definitions say, each episode on its own."""

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.control import Memory, Policy, RecedingHorizon, filled
from embodied_gen.evaluate import BLOCK
from embodied_gen.heads import Guide

CPU = torch.device("cpu")
OBSERVATION, ACTION, HORIZON = 4, 2, 6


class Script:
    """A predictor whose chunk number k is k + 0.1 i at its i-th action, and which notes what it was asked."""

    def __init__(self):
        self.asked, self.calls = [], []
        self.head = type("Head", (), {"event": type("Event", (), {"shape": (HORIZON, 1), "low": torch.zeros(1)})})
        self.number = {}

    def eval(self):
        return self

    def predict(self, observations, n, *, generator, guide):
        self.calls.append((observations.clone(), n, list(generator), guide))
        chunks = []
        for row in range(len(observations)):
            k = self.number[id(generator[row])] = self.number.get(id(generator[row]), -1) + 1
            chunks.append(k + 0.1 * torch.arange(HORIZON))
        return torch.stack(chunks)[..., None]


def drive(agent, steps, seed=0):
    """The observations and actions of an agent in a world whose observation is the number of the step."""
    agent.reset(seed)
    return np.array([agent.act(np.array([float(t)])) for t in range(steps)])[:, 0]


@pytest.mark.parametrize("actions", range(1, HORIZON + 1))
def test_exactly_n_actions_of_each_chunk_are_executed(actions):
    script = Script()
    done = drive(RecedingHorizon(Policy(script, history=1, actions=actions)), 20)
    expected = [t // actions + 0.1 * (t % actions) for t in range(20)]
    np.testing.assert_allclose(done, expected, rtol=1e-6)
    assert len(script.calls) == -(-20 // actions)


@pytest.mark.parametrize("history", [1, 2, 5])
def test_a_prediction_sees_the_last_observations_and_the_first_one_before_them(history):
    script = Script()
    drive(RecedingHorizon(Policy(script, history=history, actions=3)), 13)
    seen = [call[0][0, :, 0].tolist() for call in script.calls]
    assert seen == [[max(t - back, 0) for back in reversed(range(history))] for t in range(0, 13, 3)]


def test_a_reset_forgets_the_chunk_and_the_history():
    script = Script()
    agent = RecedingHorizon(Policy(script, history=2, actions=4))
    drive(agent, 6)
    drive(agent, 2)
    assert script.calls[-1][0][0, :, 0].tolist() == [0, 0]


def by_definition(m, actions, steps):
    """Temporal ensembling of the script's chunks, written out."""
    done = []
    for t in range(steps):
        planned = [k for k in range(t // actions + 1) if k * actions <= t < k * actions + HORIZON]  # oldest first
        values = [k + 0.1 * (t - k * actions) for k in planned]
        weights = np.exp([-m * i for i in range(len(planned))])
        done.append(np.sum(weights * values) / np.sum(weights))
    return done


@pytest.mark.parametrize("actions", range(1, HORIZON + 1))
@pytest.mark.parametrize("m", [0.0, 0.01, 0.7])
def test_temporal_ensembling_equals_the_average_over_all_chunks_that_cover_a_step(m, actions):
    done = drive(RecedingHorizon(Policy(Script(), history=1, actions=actions, ensemble=m)), 25)
    np.testing.assert_allclose(done, by_definition(m, actions, 25), rtol=1e-5)


def test_ensembling_chunks_that_never_overlap_changes_nothing():
    plain = drive(RecedingHorizon(Policy(Script(), history=1, actions=HORIZON)), 20)
    blended = drive(RecedingHorizon(Policy(Script(), history=1, actions=HORIZON, ensemble=0.5)), 20)
    np.testing.assert_array_equal(plain, blended)


def test_episodes_are_blended_apart():
    script = Script()
    policy = Policy(script, history=1, actions=2, ensemble=0.1)
    memories = [policy.remember(seed, np.zeros(1)) for seed in (0, 1)]
    together = []
    for _ in range(4):
        together.append(policy.plan(memories))
        for memory in memories:
            memory.see(np.zeros((2, 1)))
    np.testing.assert_array_equal(np.array(together)[:, 0], np.array(together)[:, 1])
    np.testing.assert_allclose(
        np.concatenate([part[0, :, 0] for part in together]), by_definition(0.1, 2, 8), rtol=1e-5
    )


def test_a_prediction_always_has_block_rows_and_the_spare_ones_are_nobodys():
    script = Script()
    policy = Policy(script, history=1, actions=2, block=4, samples=3, guide="the guide")
    memories = [policy.remember(seed, np.array([float(seed)])) for seed in range(6)]
    assert policy.plan(memories).shape == (6, 2, 1)
    assert [call[0][:, 0, 0].tolist() for call in script.calls] == [[0, 1, 2, 3], [4, 5, 4, 4]]
    assert [call[1:2] + call[3:] for call in script.calls] == [(3, "the guide")] * 2
    generators = [generator for call in script.calls for generator in call[2]]
    own = [memory.generator for memory in memories]
    assert generators[:6] == own and not set(generators[6:]) & set(own)


@pytest.mark.parametrize("actions", [0, -1, HORIZON + 1])
def test_an_impossible_number_of_actions_is_refused(actions):
    with pytest.raises(ValueError, match=f"must lie between 1 and the horizon {HORIZON}; got {actions}"):
        Policy(Script(), history=1, actions=actions)


def test_a_memory_keeps_single_precision_and_copies():
    first = np.array([1.0, 2.0])
    memory = Memory(0, first, 3, CPU)
    first[:] = 9
    assert memory.observations.dtype == np.float32 and memory.observations.tolist() == [[1, 2]] * 3
    memory.see(np.array([[3.0, 4.0]]))
    assert memory.observations.tolist() == [[1, 2], [1, 2], [3, 4]] and memory.step == 1
    memory.see(np.arange(10.0).reshape(5, 2))
    assert memory.observations.tolist() == [[4, 5], [6, 7], [8, 9]] and memory.step == 6


NETS = [
    {"kind": "mlp", "width": 16, "depth": 1},
    {"kind": "mlp", "width": 512, "depth": 3},
    {"kind": "unet", "width": 64},
    {"kind": "transformer", "width": 256, "depth": 4, "heads": 4},
]
GUIDE = Guide(cost=lambda y: y.square().sum((-1, -2)), scale=3.0)


@pytest.mark.parametrize("guide", [None, GUIDE], ids=["free", "guided"])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net['kind']}-{net['width']}")
def test_the_plan_of_an_episode_depends_on_its_seed_and_observations_alone(net, samples, guide):
    """Not on its place in the block: for the block of evaluation, networks of the default sizes, to the last bit."""
    config = tiny.experiment_of(net=net, head={"sampler": {"kind": "ancestral", "width": 1.0}})
    predictor = tiny.predictor_of(config)
    policy = Policy(predictor, history=2, actions=4, block=BLOCK, samples=samples, guide=guide)
    observations = np.random.default_rng(0).normal(size=(20, OBSERVATION))

    def plans(order):
        memories = [policy.remember(seed, observations[seed]) for seed in order]
        return dict(zip(order, policy.plan(memories), strict=True))

    whole = plans(range(20))
    for order in ([3], list(range(20))[::-1], [0, 6], [2, 4, 6, 1, 3], [*range(7, 20), *range(7)]):
        for seed, plan in plans(order).items():
            np.testing.assert_array_equal(plan, whole[seed])


def test_an_agent_is_the_policy_asked_once_each_n_steps():
    config = tiny.experiment_of()
    policy = Policy(tiny.predictor_of(config), history=2, actions=4)
    agent = RecedingHorizon(policy)
    agent.reset(11)
    observations = np.random.default_rng(0).normal(size=(8, OBSERVATION)).astype(np.float32)
    done = [agent.act(observation) for observation in observations]
    generator = draws.generator(11)
    predictor = policy.predictor
    for start, history in ((0, [0, 0]), (4, [3, 4])):
        chunk = predictor.predict(torch.from_numpy(observations[history])[None], generator=[generator])
        np.testing.assert_array_equal(done[start : start + 4], chunk[0, :4].numpy())


@given(rows=st.integers(1, 6), block=st.none() | st.integers(1, 6))
def test_filled_rows_are_those_and_copies_of_the_first(rows, block):
    some = np.random.default_rng(rows).normal(size=(rows, 2, 3))
    full = filled(some, block)
    assert len(full) == max(rows, block or 0)
    np.testing.assert_array_equal(full[:rows], some)
    assert all(np.array_equal(row, some[0]) for row in full[rows:])
