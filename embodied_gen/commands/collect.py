"""`embodied-gen collect`: a scripted expert fills a data set of demonstrations, or scenes are rendered into a set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import statistics
from embodied_gen.blocks import DataBlock, EnvBlock
from embodied_gen.blocks.images import describes
from embodied_gen.commands.console import config_of, console, named_config, parse, progress
from embodied_gen.demos import store
from embodied_gen.demos.collect import fill


@dataclass
class Arguments:
    """Runs the scripted expert of a config's environment and writes a Minari dataset.

    Most experts see only the observations that a policy sees; docs/environments.md names those that know more.
    Prints its success with a 95 % interval. What the config says of the environment and the data can be given here
    too, as in --env.kwargs.dimension 8 --data.dataset embodied/particle-8d/expert-v0.
    """

    config: tyro.conf.Positional[str]
    """Config file, such as configs/avoid_flow.yaml."""
    env: EnvBlock
    data: tyro.conf.AvoidSubcommands[DataBlock]
    episodes: int | None = None
    """Episodes to keep; the config's data.episodes where not given."""
    seed: int | None = None
    """Seed of the first episode; the config's data.seed where not given."""
    root: str | None = None
    """Folder of data sets; the config's data.root where not given."""
    if_missing: tyro.conf.FlagCreatePairsOff[bool] = False
    """Do nothing where the dataset exists, instead of refusing."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    named = named_config(arguments)
    if named is not None and describes(Path(named)):
        from embodied_gen.commands import images  # not at the top: it imports the simulator

        images.collect(named, arguments)
        return
    path, loaded = config_of(arguments)
    env_block, data_block = loaded.task
    parsed = parse(Arguments, "collect", arguments, config=path, env=env_block, data=data_block)
    experiment = loaded.model_copy(update={"env": parsed.env, "data": parsed.data})
    data, root = parsed.data, Path(parsed.root or parsed.data.root)
    if parsed.if_missing and store.exists(data.dataset, root=root):
        console.print(f"dataset {data.dataset} exists in {root}", soft_wrap=True)
        return
    store.check_new(data.dataset, root=root)
    env = experiment.maker()()
    episodes = data.episodes if parsed.episodes is None else parsed.episodes
    with progress("collect", max(episodes, 1)) as advance:
        shown = 0

        def show(kept: int, tried: int) -> None:
            nonlocal shown
            if kept > shown:
                shown = kept
                advance(f"expert success {kept}/{tried}" if data.only_successes else f"{kept} kept")

        folder, kept, tried = fill(
            data.dataset,
            env,
            root=root,
            episodes=episodes,
            seed=data.seed if parsed.seed is None else parsed.seed,
            only_successes=data.only_successes,
            disturbance=data.disturbs(),
            progress=show,
        )
    env.close()
    successes = sum(recording.success for recording in kept)
    low, high = statistics.wilson(successes, tried)
    lengths = [len(recording.actions) for recording in kept]
    console.print(
        f"expert success {successes}/{tried} = {successes / tried:.3f} [{low:.3f}, {high:.3f}]; kept {len(kept)} "
        f"episodes of {np.mean(lengths):.0f} steps on average in {folder}",
        soft_wrap=True,
    )
