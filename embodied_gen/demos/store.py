"""The store of demonstrations: Minari datasets on disk.

Datasets are written with Minari's buffers into a folder aside and renamed into place, so that an interrupted
collection leaves nothing that looks like a dataset. Source: minari.farama.org.
"""

import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import gymnasium as gym
import numpy as np
import torch

from embodied_gen.demos.episodes import Episodes

_OVERHEAD = 2**15  # bytes of an episode in HDF5 beside its arrays, at most


@final
@dataclass(frozen=True)
class Recording:
    """One recorded episode of T steps.

    Attributes:
        seed: Given to the environment's reset.
        observations: Shape `(T + 1, O)`.
        actions: Shape `(T, A)`.
        rewards: Shape `(T,)`.
        terminated: Whether the last step ended in a terminal state; otherwise it was cut off.
        success: Whether the environment called the last step a success.
    """

    seed: int
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    success: bool


def write(dataset: str, recordings: Sequence[Recording], env: gym.Env, *, root: Path, description: str) -> Path:
    """Writes recordings as a Minari dataset; returns its folder.

    Args:
        dataset: Minari id, such as "embodied/avoid/expert-v0".
        recordings: Episodes.
        env: The environment they come from; gives the spaces and the specification.
        root: Folder of datasets.
        description: For the dataset's card.

    Raises:
        FileExistsError: If the dataset exists.
        ValueError: If there is nothing to write, or the id is none that Minari knows.
        ImportError: If Minari is missing.
        OSError: If there is no space.
    """
    check_new(dataset, root=root)
    minari = _minari()
    root = root.absolute()  # HDF5 resolves a relative path against the dataset itself
    target = root / dataset
    if not recordings:
        raise ValueError("there are no episodes to write. Collect at least one.")
    root.mkdir(parents=True, exist_ok=True)
    _check_space(root, recordings)
    with tempfile.TemporaryDirectory(dir=root, prefix=".collect-") as aside:
        with _root(Path(aside)):
            minari.create_dataset_from_buffers(
                dataset,
                [_buffer(index, recording) for index, recording in enumerate(recordings)],
                env=env.spec,
                eval_env=env.spec,
                observation_space=env.observation_space,
                action_space=env.action_space,
                algorithm_name="scripted expert",
                author="embodied-gen",
                author_email="none",
                code_permalink="none",
                description=description,
                requirements=[],
                ref_min_score=0.0,
                ref_max_score=float(np.mean([r.rewards.sum() for r in recordings])),
            )
        _move(Path(aside), root, dataset)
    return target


def exists(dataset: str, *, root: Path) -> bool:
    """Whether a dataset of that id is in the folder."""
    return (root / dataset).exists()


def check_new(dataset: str, *, root: Path) -> None:
    """Checks that a dataset can be written, before any work is done for it.

    Raises:
        FileExistsError: If the dataset exists.
        ValueError: If the id is none that Minari knows.
        ImportError: If Minari is missing.
    """
    minari = _minari()
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"a dataset's id must be a name with a version, such as embodied/avoid/expert-v0; got {dataset!r}."
        ) from error
    if exists(dataset, root=root):
        raise FileExistsError(_exists(root / dataset))


def read(dataset: str, *, root: Path, episodes: int | None = None) -> Episodes:
    """Reads a Minari dataset of flat observations and actions.

    Args:
        dataset: Minari id.
        root: Folder of datasets.
        episodes: How many to read, from the first; all where None.

    Raises:
        FileNotFoundError: If there is no such dataset.
        ValueError: If `episodes` is below 1, or the dataset cannot be read, has too few episodes, an episode whose
            observations and actions do not fit each other, or spaces that are not flat boxes.
    """
    if episodes is not None and episodes < 1:
        raise ValueError(f"data.episodes must be at least 1, or null for all episodes; got {episodes}.")
    minari = _minari()
    folder = root / dataset
    if not (folder / "data").is_dir():
        raise FileNotFoundError(
            f"no dataset {dataset!r} in {root}; it holds {_listing(root)}. Collect it: embodied-gen collect CONFIG."
        )
    try:
        stored = minari.MinariDataset(folder / "data")
        recorded = list(itertools.islice(stored.iterate_episodes(), episodes))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the dataset in {folder} cannot be read ({type(error).__name__}: {error}). "
            "Delete the folder and collect it again."
        ) from error
    for name, space in (("observation", stored.observation_space), ("action", stored.action_space)):
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"{dataset}: the {name} space must be a flat Box; got {space}.")
    if episodes is not None and len(recorded) < episodes:
        raise ValueError(
            f"{dataset} has {len(recorded)} episodes; data.episodes asks for {episodes}. Collect more or ask for fewer."
        )
    for index, episode in enumerate(recorded):
        _check_shapes(episode, stored, f"dataset {dataset}: episode {index}")
    return _episodes(recorded, f"dataset {dataset}")


def _check_shapes(episode: Any, stored: Any, what: str) -> None:
    steps = len(episode.actions)
    expected = (steps + 1, *stored.observation_space.shape), (steps, *stored.action_space.shape)
    got = episode.observations.shape, episode.actions.shape
    if got != expected:
        raise ValueError(
            f"{what} must have observations and actions of the spaces, and one observation more than actions: shapes "
            f"{expected[0]} and {expected[1]}; got {got[0]} and {got[1]}. Delete the dataset and collect it again."
        )


def _episodes(recorded: Sequence[Any], source: str) -> Episodes:
    if not recorded:
        raise ValueError(f"{source} holds no episodes. Collect some: embodied-gen collect CONFIG.")
    lengths = [0] + [len(episode.actions) for episode in recorded]
    observations = np.concatenate([episode.observations[: len(episode.actions)] for episode in recorded])
    actions = np.concatenate([episode.actions for episode in recorded])
    return Episodes(
        torch.from_numpy(observations.astype(np.float32)),
        torch.from_numpy(actions.astype(np.float32)),
        torch.tensor(lengths).cumsum(0),
        source,
    )


def _buffer(index: int, recording: Recording) -> Any:
    from minari.data_collector import EpisodeBuffer

    steps = len(recording.actions)
    terminations, truncations = np.zeros(steps, bool), np.zeros(steps, bool)
    (terminations if recording.terminated else truncations)[-1] = True
    return EpisodeBuffer(
        id=index,
        seed=recording.seed,
        observations=list(recording.observations),
        actions=list(recording.actions),
        rewards=list(recording.rewards),
        terminations=list(terminations),
        truncations=list(truncations),
        infos={},
    )


@contextmanager
def _root(folder: Path) -> Iterator[None]:
    """Minari takes its folder from the environment alone."""
    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MINARI_DATASETS_PATH"]
        else:
            os.environ["MINARI_DATASETS_PATH"] = before


def _check_space(root: Path, recordings: Sequence[Recording]) -> None:
    """Raises `OSError` if a disk is too full: HDF5 does not survive one that fills up while it writes."""
    arrays = sum(r.observations.nbytes + r.actions.nbytes + r.rewards.nbytes for r in recordings)
    needed, free = 2 * arrays + _OVERHEAD * len(recordings), shutil.disk_usage(root).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"no space left to write {len(recordings)} episodes into {root}: about {needed / 1e6:.1f} MB are needed, "
            f"{free / 1e6:.1f} MB are free. Free some space and collect again",
        )


def _move(aside: Path, root: Path, dataset: str) -> None:
    """Moves a finished dataset into place, with the descriptions of its namespaces."""
    target = root / dataset
    target.parent.mkdir(parents=True, exist_ok=True)
    for described in aside.rglob("namespace_metadata.json"):
        place = root / described.relative_to(aside)
        if not place.exists():
            shutil.copy(described, place)
    os.replace(aside / dataset, target)


def _exists(target: Path) -> str:
    return f"the dataset in {target} exists already. Use it, delete the folder, or name another data.dataset."


def _listing(root: Path) -> str:
    folders = [p.parent.relative_to(root) for p in root.rglob("data") if p.is_dir()] if root.is_dir() else []
    # What a killed collection left aside is hidden.
    return ", ".join(sorted(str(p) for p in folders if not p.parts[0].startswith("."))) or "none"


def _minari() -> Any:
    try:
        import minari
    except ImportError as error:
        raise ImportError(
            "demonstrations are stored with Minari, which is not installed. "
            "Install the extra: pip install 'embodied-gen[data]'."
        ) from error
    return minari
