"""`embodied-gen evaluate`: a policy or a planner is scored in closed loop, what has no environment on its data."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.table import Table

import envs  # noqa: F401 - registers the environments
from embodied_gen import evaluate as evaluation
from embodied_gen import experiment
from embodied_gen.blocks import EnvBlock
from embodied_gen.commands import detector_scores, forecast_scores, segmenter_scores
from embodied_gen.commands.agents import agent_of
from embodied_gen.commands.console import console, parse, progress
from embodied_gen.commands.task import EXAMPLE, Surroundings, check_run, env_block_of, run_among, surroundings_of
from embodied_gen.control import Agent
from embodied_gen.detection import is_run
from embodied_gen.rollouts import Episode
from embodied_gen.slots import EnvMaker
from embodied_gen.training import files
from embodied_gen.training.processes import resolve_device
from embodied_gen.video import record_videos
from planners.guides import read_guide
from planners.replanning import Replanner


@dataclass
class Arguments:
    """Scores a run in its environment on fresh seeds and writes eval.json (and lerobot's eval_info.json) into it.

    Every episode has its own seed for the environment and for the policy's draws; the results are the same for any
    number of parallel environments. Success has a 95 % Wilson interval.

    The plans of a planner (control.kind planner) are followed by learned inverse dynamics, --inverse RUN, or by the
    tracker of its config; the record counts the plans, and those among them that break a constraint or miss the goal.

        embodied-gen evaluate runs/maze --inverse runs/maze-inverse --guide configs/guide_pointmaze.yaml

    A run can be scored in another variant of its environment: what its config gives as env.kwargs can be given here,
    as in --env.kwargs.goals fixed.

    The run of a detector or a segmenter is scored on images instead, and that of a forecaster on recordings of
    pedestrians, with flags of their own: embodied-gen evaluate RUN --help.
    """

    run: tyro.conf.Positional[str]
    """Folder of a run."""
    guide: str | None = None
    """Guide file: constraints on the action chunks of a policy, or on the plans of a planner."""
    inverse: str | None = None
    """Folder of a run with control.kind inverse, which follows the plans of a planner."""
    env: EnvBlock = EXAMPLE
    """The environment, the run's own where not given."""
    episodes: int = 200
    """Episodes, on consecutive seeds."""
    num_envs: int = 32
    """Environments in parallel; changes the speed and nothing else."""
    seed: int = evaluation.FIRST_SEED
    """Seed of the first episode; demonstrations are collected on small seeds."""
    video: int = 0
    """Animate the first K episodes as GIFs in the run's folder videos/."""
    json: str | None = None
    """Write the record here instead of RUN/eval.json; FILE.json has lerobot's layout beside it in FILE_info.json."""
    workers: int | None = None
    """Processes that hold the environments; as many as cores, at most 8, where not given."""
    device: str = "auto"
    """Where the policy computes: auto, cpu, cuda."""
    threads: int = 1
    """Threads of the policy's products on a CPU; small networks are fastest with one."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    named = run_among(arguments)
    if named is not None and is_run(named):
        detector_scores.evaluate(named, arguments)
        return
    if named is not None and forecast_scores.is_run(named):
        forecast_scores.evaluate(named, arguments)
        return
    if named is not None and segmenter_scores.is_run(named):
        segmenter_scores.evaluate(named, arguments)
        return
    parsed = parse(Arguments, "evaluate", arguments, run=tyro.MISSING, env=env_block_of(arguments))
    check_run(named, parsed.run)
    if parsed.video < 0:
        raise ValueError(f"--video must be at least 0; got {parsed.video}.")
    if parsed.threads < 1:
        raise ValueError(f"--threads must be at least 1; got {parsed.threads}.")
    if parsed.workers is not None and parsed.workers < 1:
        raise ValueError(f"--workers must be at least 1; got {parsed.workers}.")
    torch.set_num_threads(parsed.threads)
    device = resolve_device(parsed.device)
    file = read_guide(Path(parsed.guide)) if parsed.guide else None
    run = experiment.load(Path(parsed.run), device)
    maker = run.experiment.model_copy(update={"env": parsed.env}).maker()
    around = _surroundings(maker)
    agent, execution = agent_of(run, around, file, Path(parsed.inverse) if parsed.inverse else None, device)
    record: dict[str, Any] = {"run": run.experiment.name, "head": run.experiment.head.kind, "step": run.step}
    record["execution"] = execution
    if file is not None:
        names = [constraint.name for constraint in file.limits(around.free)(around.period)]
        record["guide"] = {"file": parsed.guide, "constraints": names}
    record |= _evaluate(agent, maker, parsed)
    target = Path(parsed.json) if parsed.json else run.folder / "eval.json"
    files.write_json(target, record)
    info = target.with_name(f"{target.stem}_info.json")
    files.write_json(info, evaluation.lerobot_info(record, []))  # kept where videos cannot be made
    if parsed.video:
        seeds = [episode["seed"] for episode in record["episodes"][: parsed.video]]
        videos = record_videos(agent, maker, run.folder / "videos", seeds)
        files.write_json(info, evaluation.lerobot_info(record, [str(video) for video in videos]))
    console.print(table(record))
    console.print(f"written: {target}", soft_wrap=True)


def _surroundings(maker: EnvMaker) -> Surroundings:
    env = maker()
    around = surroundings_of(env)
    env.close()
    return around


def _evaluate(agent: Agent, maker: EnvMaker, parsed: Arguments) -> dict[str, Any]:
    successes = ended = 0
    with progress("evaluate", max(parsed.episodes, 1)) as advance:

        def show(episode: Episode) -> None:
            nonlocal successes, ended
            successes += episode.success
            ended += 1
            advance(f"success {successes}/{ended}")

        record = evaluation.evaluate(
            agent,
            maker,
            episodes=parsed.episodes,
            num_envs=parsed.num_envs,
            workers=parsed.workers if parsed.workers is not None else min(os.cpu_count() or 1, 8),
            seed=parsed.seed,
            progress=show,
        )
    if isinstance(agent, Replanner):
        record["plans"] = {
            "made": agent.plans,
            "infeasible": agent.infeasible,
            "replan_ms_p50": record["latency"]["chunk_ms_p50"],
            "replan_ms_p95": record["latency"]["chunk_ms_p95"],
        }
    return record


def table(record: dict[str, Any]) -> Table:
    """The summary of a record."""
    summary = record["summary"]
    shown = Table("", "value", "95 % interval", title=f"{record['run']} in {record['env']['id']}")
    low, high = summary["success_interval"]
    shown.add_row(
        "success",
        f"{summary['success_rate']:.3f} ({summary['successes']}/{summary['episodes']})",
        f"[{low:.3f}, {high:.3f}]",
    )
    for name in ("return", "length", "jerk"):
        if name in summary:
            interval = summary[name]["interval"]
            bounds = f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
            shown.add_row(name, f"{summary[name]['mean']:.4g}", bounds)
    modes = summary.get("modes", {})
    if "entropy" in modes:
        low, high = modes["entropy_interval"]
        shown.add_row(f"entropy of {modes['count']} modes", f"{modes['entropy']:.3f}", f"[{low:.3f}, {high:.3f}]")
    latency, plans = record["latency"], record.get("plans")
    if plans is not None:
        shown.add_row("plans, without a good way", f"{plans['made']}, {plans['infeasible']}", "")
        shown.add_row("ms a plan, p50 / p95", f"{plans['replan_ms_p50']:.2f} / {plans['replan_ms_p95']:.2f}", "")
    else:
        shown.add_row("ms a chunk, p50 / p95", f"{latency['chunk_ms_p50']:.2f} / {latency['chunk_ms_p95']:.2f}", "")
        shown.add_row("ms an action, p50 / p95", f"{latency['action_ms_p50']:.2f} / {latency['action_ms_p95']:.2f}", "")
    shown.add_row("episodes a second", f"{record['episodes_per_second']:.1f}", "")
    return shown
