"""Videos: episodes of a policy as animated GIFs, which every browser and report shows.

An episode is run again for its pictures with the same seeds, which gives the same episode, so that evaluation itself
never renders.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from embodied_gen.control import Agent, RecedingHorizon
from embodied_gen.slots import EnvMaker


def record_videos(policy: Agent, maker: EnvMaker, folder: Path, seeds: Sequence[int]) -> list[Path]:
    """Writes one GIF for each seed.

    Args:
        policy: As it was evaluated, `block` included, to show the same episodes.
        maker: Makes the environment.
        folder: For the files, made where missing.
        seeds: Of the episodes.

    Returns:
        Paths of the files.

    Raises:
        ImportError: If Pillow is missing.
    """
    if not seeds:
        return []
    env = maker(render_mode="rgb_array")
    agent = RecedingHorizon(policy)
    rate = float(env.metadata.get("render_fps", 30))
    paths = []
    for seed in seeds:
        path = path_of(folder, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_gif(path, frames_of(env, agent, seed), rate)
        paths.append(path)
    env.close()
    return paths


def frames_of(env: gym.Env, agent: RecedingHorizon, seed: int) -> list[np.ndarray]:
    """The pictures of one episode, uint8, each of shape `(height, width, 3)`."""
    observation, _ = env.reset(seed=seed)
    agent.reset(seed)
    frames = [_picture(env)]
    ended = False
    while not ended:
        action = np.clip(agent.act(np.asarray(observation)), env.action_space.low, env.action_space.high)  # type: ignore[attr-defined]
        observation, _, terminated, truncated, _ = env.step(action.astype(env.action_space.dtype))
        frames.append(_picture(env))
        ended = bool(terminated or truncated)
    return frames


def path_of(folder: Path, seed: int) -> Path:
    """Where the episode of a seed is kept."""
    return folder / f"episode-{seed}.gif"


def write_gif(path: Path, frames: Sequence[np.ndarray], rate: float) -> None:
    """Writes an animation of `rate` frames a second, which lingers on the last one.

    Raises:
        ImportError: If Pillow is missing.
    """
    image = _pillow()
    pictures = [image.fromarray(frame).quantize(64) for frame in frames]
    durations = [int(1000 / rate)] * (len(pictures) - 1) + [1000]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)


def _picture(env: gym.Env) -> np.ndarray:
    frame = env.render()
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"{env.unwrapped} renders no arrays, so there is no video of it. Leave out --video.")
    return frame


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("videos need Pillow. Install the extra: pip install 'embodied-gen[viz]'.") from error
    return Image
