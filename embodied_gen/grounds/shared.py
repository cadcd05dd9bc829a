"""What the cells of a ground share: data, the event with its bounds, and how episodes are split for each seed.

Bounds of events are those of all episodes, held-out ones included, the same for all families and seeds: no held-out
event lies outside of what a head with bounds can say.
"""

import copy
from collections.abc import Callable
from typing import final

import torch

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Examples
from embodied_gen.events import Event
from embodied_gen.grounds.ground import Ground


@final
class Shared:
    """Data of a ground, read once.

    Args:
        ground: Whose networks and training do not matter.
        episodes: Its data.
        device: Where examples are kept.

    Attributes:
        digest: Hash of the data.
        episodes: All of them.

    Raises:
        ValueError: If the data do not fit the ground.
    """

    def __init__(self, ground: Ground, episodes: Episodes, device: torch.device):
        self.episodes, self.digest = episodes, episodes.digest()[:16]
        self._ground, self._device = ground, device
        self._event = ground.event_of(ground.control.examples(episodes).values())
        self._splits: dict[int, tuple[Examples, Examples]] = {}

    def event(self) -> Event:
        """The event, for one head."""
        return copy.deepcopy(self._event)

    def split(self, seed: int) -> tuple[Examples, Examples]:
        """Examples to train on, and those that are held out.

        Raises:
            ValueError: If there are too few episodes, or none that is held out holds a whole example.
        """
        if seed not in self._splits:
            kept, held_out = self.episodes.split(self._ground.held_out, seed=seed)
            assert held_out is not None
            self._ground.control.check(held_out)  # whole chunks are asked about
            first, second = (self._ground.control.examples(part, self._device) for part in (kept, held_out))
            self._splits[seed] = first, second
        return self._splits[seed]


@final
class LastShared:
    """Keeps what the cells of the last ground share, as cells of one ground come one after the other.

    Args:
        device: Where examples are kept.
        read: The data of a ground of a name.
    """

    def __init__(self, device: torch.device, read: Callable[[str, Ground], Episodes]):
        self._device, self._read = device, read
        self._place: str | None = None
        self._kept: Shared | None = None

    def of(self, place: str, ground: Ground) -> Shared:
        """What the cells of a ground of a name share."""
        if self._kept is None or self._place != place:
            self._kept = None  # before others are read, for the memory
            self._place, self._kept = place, Shared(ground, self._read(place, ground), self._device)
        return self._kept
