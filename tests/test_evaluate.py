"""The record of an evaluation: plain, complete, and the same for any number of environments and workers."""

import dataclasses
import json

import numpy as np
import pytest
import tiny

from embodied_gen import evaluate as evaluation
from embodied_gen import experiment, statistics
from embodied_gen.evaluate import BLOCK, FIRST_SEED, evaluate, latency, lerobot_info, summarise
from embodied_gen.rollouts import Episode
from embodied_gen.slots import EnvMaker

VARYING = {"num_envs", "latency", "seconds", "episodes_per_second"}


@pytest.fixture(scope="module")
def run(tiny_run):
    return experiment.load(tiny_run)


def score(run, num_envs=4, workers=1, episodes=18, **changes):
    return evaluate(
        run.policy(block=BLOCK),
        run.experiment.maker(),
        episodes=episodes,
        num_envs=num_envs,
        workers=workers,
        **changes,
    )


@pytest.fixture(scope="module")
def record(run):
    return score(run)


@pytest.mark.parametrize(("num_envs", "workers"), [(1, 1), (16, 1), (50, 1), (4, 2)])
def test_the_record_is_the_same_for_any_number_of_environments_and_workers(num_envs, workers, run, record):
    other = score(run, num_envs, workers)
    assert other.keys() == record.keys()
    for key in record.keys() - VARYING:
        assert other[key] == record[key], key
    assert other["num_envs"] == num_envs


def test_the_record_is_plain_json(record):
    assert json.loads(json.dumps(record)) == record


def test_the_record_says_on_what_it_was_measured(record):
    assert record["schema"] == 1
    assert record["env"] == {"id": "embodied/Avoid-v0", "kwargs": {}}
    assert record["seeds"] == {"first": FIRST_SEED, "count": 18}
    assert [episode["seed"] for episode in record["episodes"]] == list(range(FIRST_SEED, FIRST_SEED + 18))
    assert set(record["episodes"][0]) == {field.name for field in dataclasses.fields(Episode)}
    assert {"python", "torch", "gymnasium", "mujoco", "embodied-gen"} <= record["versions"].keys()
    assert {"system", "processor", "cores", "torch_threads"} <= record["machine"].keys()
    assert record["seconds"] > 0 and record["episodes_per_second"] == pytest.approx(18 / record["seconds"])


def test_the_latency_is_told_for_chunks_and_actions(record):
    assert set(record["latency"]) == {"chunk_ms_p50", "chunk_ms_p95", "action_ms_p50", "action_ms_p95", "calls"}
    told = record["latency"]
    assert 0 < told["chunk_ms_p50"] <= told["chunk_ms_p95"]
    assert told["action_ms_p50"] == pytest.approx(told["chunk_ms_p50"] / 4)


def test_latency_is_measured_on_one_episode_alone(run):
    calls, policy = [], run.policy(block=BLOCK)
    predict = policy.predictor.predict
    policy.predictor.predict = lambda observations, *rest, **named: (
        calls.append(len(observations)),
        predict(observations, *rest, **named),
    )[1]
    try:
        latency(policy, np.zeros(4), calls=3)
    finally:
        del policy.predictor.predict
    assert calls == [1] * 8


def test_slow_policies_are_timed_by_fewer_calls_but_not_by_less_than_ten(run):
    policy = run.policy()
    assert latency(policy, np.zeros(4), calls=12, seconds=0.0)["calls"] == 10
    assert latency(policy, np.zeros(4), calls=12, seconds=60.0)["calls"] == 12
    assert latency(policy, np.zeros(4), calls=3, seconds=0.0)["calls"] == 3


def test_the_seed_moves_the_episodes(run, record):
    other = score(run, episodes=3, seed=FIRST_SEED + 1)
    assert other["episodes"] == record["episodes"][1:4]


def episodes_of(successes, returns, lengths=None, jerks=None, modes=None):
    count = len(successes)
    return [
        Episode(seed, bool(ok), float(total), 1.0, length, jerk, mode)
        for seed, (ok, total, length, jerk, mode) in enumerate(
            zip(
                successes,
                returns,
                lengths or [5] * count,
                jerks or [None] * count,
                modes or [None] * count,
                strict=True,
            )
        )
    ]


def test_the_summary_has_the_intervals_of_the_statistics():
    results = episodes_of([1, 0, 1, 1], [1.0, 2.0, 4.0, 8.0], lengths=[3, 6, 9, 12], jerks=[None, 0.1, 0.2, 0.6])
    summary = summarise(results, None)
    assert (summary["episodes"], summary["successes"], summary["success_rate"]) == (4, 3, 0.75)
    assert summary["success_interval"] == list(statistics.wilson(3, 4))
    rng = np.random.default_rng(0)
    for name, values in (("return", [1.0, 2.0, 4.0, 8.0]), ("length", [3, 6, 9, 12]), ("jerk", [0.1, 0.2, 0.6])):
        expected = statistics.bootstrap_mean(np.array(values, dtype=float), rng=rng)
        assert summary[name] == {"mean": pytest.approx(np.mean(values)), "interval": list(expected)}
    assert "modes" not in summary


def test_ways_are_counted_over_successes_alone():
    results = episodes_of([1, 1, 1, 0, 1], [1] * 5, modes=[0, 2, 2, 1, None])
    modes = summarise(results, 3)["modes"]
    estimate = statistics.entropy(np.array([1, 0, 2]), rng=np.random.default_rng(0))
    assert modes["count"] == 3 and modes["taken"] == [1, 0, 2]
    assert modes["entropy"] == pytest.approx(estimate.value)
    assert modes["entropy_interval"] == pytest.approx([estimate.low, estimate.high])


def test_without_a_success_no_way_was_taken():
    assert summarise(episodes_of([0, 0], [0, 0], modes=[1, None]), 3)["modes"] == {"count": 3, "taken": [0, 0, 0]}


@pytest.mark.parametrize("jerks", [[None, None, None], [None, 0.5, None]])
def test_a_single_value_has_a_mean_and_no_interval(jerks):
    summary = summarise(episodes_of([1, 0, 0], [1, 0, 0], jerks=jerks), None)
    assert summary.get("jerk") == (None if jerks[1] is None else {"mean": 0.5, "interval": None})
    alone = summarise(episodes_of([1], [2.0]), 3)
    assert alone["return"] == {"mean": 2.0, "interval": None} and alone["success_interval"] == list(
        statistics.wilson(1, 1)
    )
    json.dumps(alone)


def test_the_layout_of_lerobot(record):
    info = lerobot_info(record, ["a.gif"])
    assert json.loads(json.dumps(info)) == info
    assert set(info) == {"per_task", "per_group", "overall"}
    (task,) = info["per_task"]
    assert (task["task_group"], task["task_id"]) == ("embodied/Avoid-v0", 0)
    metrics, overall = task["metrics"], info["overall"]
    assert metrics["successes"] == [e["success"] for e in record["episodes"]]
    assert metrics["sum_rewards"] == [e["sum_reward"] for e in record["episodes"]]
    assert metrics["max_rewards"] == [e["max_reward"] for e in record["episodes"]]
    assert [set(e) for e in metrics["per_episode"]] == [
        {"episode_ix", "sum_reward", "max_reward", "success", "seed"}
    ] * 18
    totals = {"avg_sum_reward", "avg_max_reward", "pc_success", "n_episodes", "video_paths"}
    assert totals <= overall.keys() and totals <= info["per_group"]["embodied/Avoid-v0"].keys()
    assert overall["pc_success"] == 100 * record["summary"]["success_rate"]
    assert overall["n_episodes"] == 18 and overall["video_paths"] == ["a.gif"]
    assert overall["eval_s"] == record["seconds"] and overall["eval_ep_s"] == record["seconds"] / 18


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": 0}, "episodes and num-envs must be at least 1; got 0 and 4"),
        ({"num_envs": 0}, "episodes and num-envs must be at least 1; got 18 and 0"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
    ],
)
def test_impossible_numbers_are_refused(changes, message, run):
    with pytest.raises(ValueError, match=message):
        score(run, **changes)


def test_a_policy_of_another_environment_is_refused(run):
    policy = run.policy(block=BLOCK)
    with pytest.raises(ValueError, match=rf"observations must have shape \(B, 2, 4\); got \({BLOCK}, 2, 6\)"):
        evaluate(policy, EnvMaker("embodied/Reach-v0", imports=("envs",)), episodes=2, num_envs=1, workers=1)


def test_every_episode_is_told_as_it_ends(run):
    told = []
    record = score(run, episodes=5, progress=told.append)
    assert sorted(episode.seed for episode in told) == [episode["seed"] for episode in record["episodes"]]


def test_ways_are_those_that_the_environment_counts():
    assert evaluation.modes_of(EnvMaker("embodied/Avoid-v0", imports=("envs",))) == 24
    assert evaluation.modes_of(EnvMaker("embodied/Reach-v0", imports=("envs",))) is None


def test_guided_and_noisy_policies_are_as_independent_of_their_neighbours(tiny_data):
    from embodied_gen.demos import store
    from planners import KeepOutDisc, guide_of

    config = tiny.experiment_of(
        env={"kwargs": {"max_episode_steps": 12}},
        head={"sampler": {"kind": "ancestral", "width": 1.0}},
        control={"ensemble": 0.05},
    )
    predictor = tiny.predictor_of(config, store.read(tiny.DATASET, root=tiny_data))
    loaded = experiment.Run(None, config, predictor, 0)
    guide = guide_of([KeepOutDisc((0.0, -0.1), 0.05)])
    records = [
        evaluate(loaded.policy(guide=guide, block=BLOCK), config.maker(), episodes=7, num_envs=num, workers=workers)
        for num, workers in ((1, 1), (5, 2))
    ]
    assert records[0]["episodes"] == records[1]["episodes"]
