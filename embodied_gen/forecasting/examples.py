"""Examples: what heads learn of pedestrians, one for each track of some windows, and of the K nearest to it.

Who is nearest, and all frames, are functions of the observed positions: whatever happens later changes values, never
observations.

    AgentExamples   the future of one pedestrian in its moving frame, from its past and that of its neighbours in its
                    present frame; for any head over chunks (event `Walk`, `NeighbourAttention` or `StateEncoder`)
    CrowdExamples   the joint futures of a pedestrian and its neighbours, each in its own present frame, from states of
                    all and the points of walls that are nearest to each; for heads over scenes (event `Scene` with two
                    channels, `SceneEncoder`, `SceneTransformer`)
    SetExamples     the futures of a pedestrian and its neighbours as a set in no order, all in the present frame of
                    the one; for heads over sets (event `SetEvent`), whose errors are those of the best matching
"""

import abc
from typing import NamedTuple, final

import torch
from torch import Tensor

from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.events.scene import STATE
from embodied_gen.forecasting.frames import frames_of, moving_frames_of, states_of
from embodied_gen.forecasting.walls import nearest_points
from embodied_gen.forecasting.windows import FRAMES, OBSERVED, CrowdWindows

_SOME = 4096  # examples of which bounds and statistics are taken
_POINT = 3  # numbers of an observed pedestrian: x, y and whether it is there
_HELD = 1 << 16  # tracks whose neighbours are looked for at once


class Near(NamedTuple):
    """The nearest neighbours of each pedestrian."""

    agents: Tensor  # (B, A, K), numbers of pedestrians, the nearest first; of no meaning where nobody is there
    there: Tensor  # (B, A, K), bool


def nearest(last: Tensor, present: Tensor, neighbours: int) -> Near:
    """The nearest neighbours by the last observed position.

    Args:
        last: [m], shape `(B, A, 2)`.
        present: Bool, shape `(B, A)`.
        neighbours: K, >= 0.
    """
    agents = last.shape[1]
    apart = torch.cdist(last, last, compute_mode="donot_use_mm_for_euclid_dist")
    oneself = torch.eye(agents, dtype=torch.bool, device=last.device)
    apart = apart.masked_fill(oneself | ~present.unsqueeze(1), torch.inf)
    found = apart.sort(dim=-1, stable=True)
    missing = max(neighbours - agents, 0)
    index = torch.nn.functional.pad(found.indices[..., :neighbours], (0, missing))
    there = torch.nn.functional.pad(found.values[..., :neighbours].isfinite(), (0, missing))
    return Near(index, there)


class Around(Examples, abc.ABC):
    """A track and its neighbours.

    Args:
        windows: Tracks; those that end early go on at their last step, and what is added is marked as padding.
        neighbours: K, >= 0.
        device: Where the data are kept.

    Raises:
        ValueError: If the number is negative.
    """

    def __init__(self, windows: CrowdWindows, *, neighbours: int, device: torch.device | str = "cpu"):
        if neighbours < 0:
            raise ValueError(f"neighbours must be at least 0; got {neighbours}.")
        self.source = ", ".join(windows.sources)
        index = torch.zeros(len(windows.tracks), 1 + neighbours, dtype=torch.int64)
        there = torch.zeros(len(windows.tracks), 1 + neighbours, dtype=torch.bool)
        for part in windows.parts(_HELD):
            agents = part.tracks.shape[1]
            present = part.valid[:, :, OBSERVED - 1]
            near = nearest(part.tracks[:, :, OBSERVED - 1], present, neighbours)
            rows = windows.starts[part.numbers].unsqueeze(1) + torch.arange(agents)
            index[rows] = torch.cat([rows.unsqueeze(-1), windows.starts[part.numbers][:, None, None] + near.agents], -1)
            there[rows] = torch.cat([present.unsqueeze(-1), near.there], -1)
        owner = torch.arange(len(windows)).repeat_interleave(windows.agents)
        self._places = windows.places[owner]
        self._tracks = windows.tracks.to(device, torch.get_default_dtype())
        self._valid, self._index, self._there = (part.to(device) for part in (windows.valid, index, there))

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self._tracks)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._tracks.device

    @abc.abstractmethod
    def stretched(self, observations: Tensor, factors: Tensor) -> Tensor:
        """Observations `(B, H, O)` of the same scenes in other sizes and mirrored.

        Args:
            observations: As in a batch.
            factors: Of the two axes, `(B, 2)`, equal or opposite; the first one is positive.
        """

    def stretched_values(self, values: Tensor, factors: Tensor) -> Tensor:
        """Values `(B, ..., 2)` of the same scenes in other sizes and mirrored."""
        return values * factors.view(len(factors), *[1] * (values.ndim - 2), 2)

    def place(self, example: int) -> tuple[int, int]:
        """The recording of a track, and the number of its first frame."""
        recording, frame = self._places[example].tolist()
        return recording, frame

    def values(self) -> Tensor:
        """Values of tracks spread over all of them, padding as it is learned."""
        return self._some().value.cpu()

    def observations(self) -> Tensor:
        """Observations of the same."""
        return self._some().observations.flatten(0, 1).cpu()

    def _some(self) -> Batch:
        return self.batch(torch.arange(0, len(self), max(1, len(self) // _SOME), device=self.device))

    def _around(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tracks `(B, 1 + K, 20, 2)`, that of the example first, their valid steps, and who is there `(B, 1 + K)`."""
        rows, there = self._index[index], self._there[index]
        valid = self._valid[rows] & there.unsqueeze(-1)
        return _carried_on(self._tracks[rows], valid) * there[..., None, None], valid, there


@final
class AgentExamples(Around):
    """Each pedestrian on its own; see the module and `Around`."""

    def batch(self, index: Tensor) -> Batch:
        """Observations `(B, 8, 3 (1 + K))`, values `(B, 12, 2)` [m] and their valid steps `(B, 12)`.

        A row of an observation is (x, y, there) of the pedestrian and of its neighbours, in its present frame.
        """
        tracks, valid, there = self._around(index)
        value = moving_frames_of(tracks[:, 0, :OBSERVED]).inwards(tracks[:, 0, OBSERVED:])
        return Batch(agent_observations(tracks[:, :, :OBSERVED], there), value, valid[:, 0, OBSERVED:])

    def stretched(self, observations: Tensor, factors: Tensor) -> Tensor:
        """Positions times factors."""
        return stretched_agents(observations, factors)


@final
class CrowdExamples(Around):
    """A pedestrian and its neighbours together; see the module and `Around`.

    Args:
        windows: Tracks.
        neighbours: K, >= 0.
        walls: Ends of straight walls [m], shape `(W, 2, 2)`; None where none are known.
        points: P, the nearest points of walls that each sees, >= 0.
        device: Where the data are kept.

    Raises:
        ValueError: If a number is negative, or there are fewer walls than points.
    """

    def __init__(
        self,
        windows: CrowdWindows,
        *,
        neighbours: int,
        walls: Tensor | None = None,
        points: int = 0,
        device: torch.device | str = "cpu",
    ):
        super().__init__(windows, neighbours=neighbours, device=device)
        require_walls(walls, points)
        self._walls = None if walls is None or points == 0 else walls.to(self._tracks)
        self._points = points

    def batch(self, index: Tensor) -> Batch:
        """Observations `(B, 8, (7 + 2 P) (1 + K))`, values `(B, 1 + K, 12, 2)` [m], valid steps `(B, 1 + K, 12)`.

        See `crowd_observations`.
        """
        tracks, valid, there = self._around(index)
        seen, later = tracks[:, :, :OBSERVED], tracks[:, :, OBSERVED:]
        value = frames_of(seen).inwards(later) * there[..., None, None]
        points = None if self._walls is None else nearest_points(seen[:, :, -1], self._walls, self._points)
        return Batch(crowd_observations(seen, there, points), value, valid[:, :, OBSERVED:])

    def stretched(self, observations: Tensor, factors: Tensor) -> Tensor:
        """Positions and points times factors, speeds by the size; headings turn over in the mirror."""
        agents, size = self._index.shape[1], factors[:, 0]
        states, points = observations.split([STATE * agents, 2 * self._points * agents], -1)
        one = torch.ones_like(size)
        scale = torch.stack([size, factors[:, 1], factors[:, 1].sign(), size, one, one, one], -1)
        states = states.unflatten(-1, (agents, STATE)) * scale[:, None, None]
        points = points.unflatten(-1, (self._points * agents, 2)) * factors[:, None, None]
        return torch.cat([states.flatten(-2), points.flatten(-2)], -1)


@final
class SetExamples(Around):
    """A pedestrian and its neighbours in no order; see the module and `Around`."""

    def batch(self, index: Tensor) -> Batch:
        """Observations `(B, 8, 3 (1 + K))` as of `AgentExamples`, values `(B, 1 + K, 25)`, valid ones `(B, 1 + K)`.

        A thing of a value is 12 positions, x and y of each [m], and whether it is there.
        """
        tracks, valid, there = self._around(index)
        frame = frames_of(tracks[:, 0, :OBSERVED])
        later = frame.inwards(tracks[:, :, OBSERVED:].flatten(1, 2)).unflatten(1, (tracks.shape[1], -1))
        value = torch.cat([later.flatten(2) * there.unsqueeze(-1), there.unsqueeze(-1).to(later)], -1)
        whole = valid[:, :, OBSERVED:].all(-1) | ~there
        return Batch(agent_observations(tracks[:, :, :OBSERVED], there), value, whole)

    def stretched(self, observations: Tensor, factors: Tensor) -> Tensor:
        """Positions times factors."""
        return stretched_agents(observations, factors)

    def stretched_values(self, values: Tensor, factors: Tensor) -> Tensor:
        """Positions times factors, presence as it is."""
        each = torch.cat([factors.repeat(1, FRAMES - OBSERVED), torch.ones_like(factors[:, :1])], 1)
        return values * each[:, None]


def stretched_agents(observations: Tensor, factors: Tensor) -> Tensor:
    """Observations as of `agent_observations` with positions times factors, see `Around.stretched`."""
    scale = torch.cat([factors, torch.ones_like(factors[:, :1])], -1)
    return (observations.unflatten(-1, (-1, _POINT)) * scale[:, None, None]).flatten(-2)


def agent_observations(seen: Tensor, there: Tensor) -> Tensor:
    """What is observed of the first of some pedestrians, in its frame; `(B, 1 + K, 8, 2)` to `(B, 8, 3 (1 + K))`."""
    frame = frames_of(seen[:, 0])
    local = frame.inwards(seen.flatten(1, 2)).unflatten(1, seen.shape[1:3]) * there[..., None, None]
    flags = there[..., None, None].expand(*local.shape[:-1], 1).to(local)
    return torch.cat([local, flags], -1).transpose(1, 2).flatten(2)


def crowd_observations(seen: Tensor, there: Tensor, points: Tensor | None = None) -> Tensor:
    """What is observed of some pedestrians, as states of a scene and points around each of them.

    Args:
        seen: Tracks [m], shape `(B, A, 8, 2)`.
        there: Who is there, bool, shape `(B, A)`.
        points: Of walls [m], shape `(B, A, P, 2)`; None for none.

    Returns:
        Shape `(B, 8, (7 + 2 P) A)`, as `SceneEncoder` reads it.
    """
    states = (states_of(seen, there) * there[..., None, None]).transpose(1, 2).flatten(2)
    if points is None:
        return states
    near = (points * there[..., None, None]).flatten(1)
    return torch.cat([states, near.unsqueeze(1).expand(-1, OBSERVED, -1)], 2)


def require_walls(walls: Tensor | None, points: int) -> None:
    """Raises `ValueError` unless there are walls where points of them are asked for."""
    if points < 0:
        raise ValueError(f"points must be at least 0; got {points}.")
    if points and walls is None:
        raise ValueError(f"{points} points of walls are asked for and no walls are known. Give the file of the walls.")


def _carried_on(tracks: Tensor, valid: Tensor) -> Tensor:
    """Tracks that repeat their last step where they end early."""
    last = (valid.sum(-1) - 1).clamp(min=1)[..., None]
    steps = torch.arange(FRAMES, device=tracks.device)
    at = torch.minimum(steps, last).unsqueeze(-1).expand(tracks.shape)
    end, before = (tracks.gather(-2, at[..., -1:, :] - back) for back in (0, 1))
    return tracks.gather(-2, at) + (end - before) * (steps - last).clamp(min=0).unsqueeze(-1)
