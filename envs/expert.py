"""What a scripted demonstrator offers.

An expert is a policy a = pi(o; xi): it sees only the observation o that a learned policy sees, plus the
random choices xi (route, speed, offsets) which it draws once per episode from its own generator. Without
such choices a demonstration set would have a single mode, and every generative head would look alike.

Three experts are privileged: those of Terrain-v0 and TerrainWay-v0 read the hidden cost, which demonstrations are there
to tell, and that of Tabletop-v0 reads the true boxes.
"""

from typing import Any, Protocol

from numpy.typing import NDArray


class Expert(Protocol):
    """A scripted policy; `reset` before every episode, then `act` once per control step."""

    def reset(self, seed: int) -> None:
        """Start an episode: forget the last one and draw this one's random choices from `seed`."""
        ...

    def act(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Choose the action for one observation, inside the environment's action space."""
        ...
