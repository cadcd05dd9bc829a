"""Picks on Tabletop-v0 by the true box, by others and beside it; what scenes cost; a picture of one.

    python benchmarks/tabletop.py [--episodes 200]

Every way to pick knows the true boxes of the present picture and aims at a place of one of them:

    true box      the middle of the largest box of the asked class; at another attempt the next one
    any box       the middle of a random box of any class
    quarter off   a quarter of the true box's sides away from its middle: by so much along one axis, by at most so much
                  along the other, in a random direction
    half off      half of its sides away, so on its outline

All have the same seeds. Times are CPU time of one thread. Writes benchmarks/results/tabletop.json and
docs/images/tabletop.png.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from boxed_pictures import boxed
from picks import FIRST_SEED, Aim, picked, row
from PIL import Image

import envs  # noqa: F401 - registers the environments
from embodied_gen import provenance
from embodied_gen.commands.console import console, progress
from embodied_gen.commands.offscreen import prefer_egl
from embodied_gen.images.shards import packed, write_shard
from embodied_gen.training import files
from envs.tabletop_view import View
from planners import BoxGrasp

MEASURED = 100  # scenes that are timed
PICTURED = (7, (8, 10), (420, 315))  # seed, things, size


@dataclass
class Arguments:
    """Picks on Tabletop-v0 by true, random and displaced boxes."""

    episodes: int = 200
    """Of each way to pick."""
    out: str = "benchmarks/results/tabletop.json"
    """Record to write."""
    picture: str = "docs/images/tabletop.png"
    """Picture to write."""


Choose = Callable[[View, int, int, np.random.Generator], np.ndarray]


def true_box(view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
    """The largest box of the asked class, then the next; a random one where there is none."""
    asked = view.boxes[view.labels == target]
    if len(asked) == 0:
        return any_box(view, target, attempt, generator)
    area = (asked[:, 2:] - asked[:, :2]).prod(axis=1)
    return asked[np.argsort(-area, kind="stable")[attempt % len(asked)]]


def any_box(view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
    """A random box."""
    return view.boxes[generator.integers(len(view.boxes))]


def beside(share: float) -> Choose:
    """The true box, moved by a share of its sides."""

    def choose(view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
        box = true_box(view, target, attempt, generator)
        angle = generator.uniform(0, 2 * math.pi)
        way = np.array([math.cos(angle), math.sin(angle)])
        return box + np.tile(share * way / np.abs(way).max() * (box[2:] - box[:2]), 2)

    return choose


def middle(choose: Choose) -> Aim:
    """Aims at the middle of a box."""

    def aim(view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
        box = torch.from_numpy(choose(view, target, attempt, generator).astype(np.float32))
        return BoxGrasp(view.camera.size).choose(box[None, None]).at[0].numpy()

    return aim


WAYS: dict[str, Choose] = {
    "true box": true_box,
    "any box": any_box,
    "quarter off": beside(0.25),
    "half off": beside(0.5),
}


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    prefer_egl()
    torch.set_num_threads(1)
    env = gym.make("embodied/Tabletop-v0")
    rows = []
    with progress("pick", len(WAYS) * arguments.episodes) as advance:
        for name, choose in WAYS.items():
            rows.append(_row(name, choose, env, arguments.episodes, advance))
    record = {
        "schema": files.SCHEMA,
        "what": "success of picks, with attempts an episode",
        "episodes": arguments.episodes,
        "seeds": {"first": FIRST_SEED, "count": arguments.episodes},
        "rows": rows,
        "scenes": _cost(),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    env.close()
    files.write_json(Path(arguments.out), record)
    _draw(Path(arguments.picture))
    console.print(f"written: {arguments.out} and {arguments.picture}")


def _row(name: str, choose: Choose, env: gym.Env, episodes: int, advance: Callable[[str], None]) -> dict[str, Any]:
    outcomes = []
    for seed in range(FIRST_SEED, FIRST_SEED + episodes):
        outcomes.append(picked(middle(choose), env, seed))
        advance(name)
    return row(name, outcomes)


def _cost() -> dict[str, float]:
    """Milliseconds and bytes of a scene of 0 to 12 things at 160 x 120."""
    # MuJoCo is imported after the way to render is chosen, here and below.
    from envs.tabletop_photographer import Photographer
    from envs.tabletop_scene import scene_of

    photographer, views, times = Photographer((160, 120)), [], []
    for seed in range(FIRST_SEED, FIRST_SEED + MEASURED):
        start = time.process_time()
        scene = scene_of((seed, 1), (0, 12))
        settled = time.process_time()
        views.append(photographer.take(scene))
        times.append((settled - start, time.process_time() - settled))
    photographer.close()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npz"
        write_shard(path, packed(views, range(MEASURED)))
        size = path.stat().st_size
    settle, render = 1e3 * np.mean(times, axis=0)
    return {"settle_ms": float(settle), "render_ms": float(render), "bytes": size / MEASURED}


def _draw(path: Path) -> None:
    """Colours, instances and boxes of a scene side by side."""
    from envs.tabletop_photographer import Photographer
    from envs.tabletop_scene import scene_of
    from envs.tabletop_things import CLASSES

    seed, things, size = PICTURED
    photographer = Photographer(size)
    view = photographer.take(scene_of(seed, things))
    photographer.close()
    palette = np.vstack([[40, 44, 52], np.random.default_rng(3).uniform(90, 255, (len(view.labels), 3))])
    names = [CLASSES[label] for label in view.labels]
    panels = [view.rgb, palette.astype(np.uint8)[view.instances], boxed(view.rgb, view.boxes, names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(panels, axis=1)).save(path, optimize=True)


if __name__ == "__main__":
    main()
