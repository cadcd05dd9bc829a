"""An environment as a ground: action chunks learned from its scripted expert, judged in closed loop."""

from pathlib import Path
from typing import Any, Literal, final

from pydantic import Field

from embodied_gen import evaluate as evaluation
from embodied_gen.blocks import DataBlock, EnvBlock
from embodied_gen.control import Policy
from embodied_gen.demos import collect, store
from embodied_gen.demos.episodes import Episodes
from embodied_gen.experiment import Sizes
from embodied_gen.grounds.ground import Ground, Shown
from embodied_gen.predictor import Predictor
from embodied_gen.slots import EnvMaker

_NUM_ENVS = 32  # changes the speed and nothing else


@final
class TaskGround(Ground):
    """A task in closed loop."""

    kind: Literal["task"] = "task"
    env: EnvBlock
    data: DataBlock
    trials: int = Field(200, ge=1, description="Episodes that a policy is judged on.")

    def maker(self) -> EnvMaker:
        """Recipe of the environment."""
        return EnvMaker(self.env.id, dict(self.env.kwargs), ("envs",), self.env.keys)

    def missing(self) -> int:
        """All demonstrations, where the store has no such dataset."""
        return 0 if store.exists(self.data.dataset, root=Path(self.data.root)) else self.data.episodes

    def episodes(self, show: Shown) -> Episodes:
        """The demonstrations of the store, collected first where there are none."""
        data, root = self.data, Path(self.data.root)
        if self.missing():
            env = self.maker()()
            collect.fill(
                data.dataset,
                env,
                root=root,
                episodes=data.episodes,
                seed=data.seed,
                only_successes=data.only_successes,
                disturbance=data.disturbs(),
                progress=lambda kept, tried: show(f"kept {kept} of {tried}"),
            )
            env.close()
        return store.read(data.dataset, root=root, episodes=data.episodes)

    def sizes(self) -> Sizes:
        """Those of the environment's spaces."""
        env = self.maker()()
        seen, done = env.observation_space.shape, env.action_space.shape
        env.close()
        if not seen or not done:
            raise ValueError(f"a task needs actions in a Box of shape (A,); {self.env.id} has {env.action_space}.")
        return Sizes(*self.control.sizes(seen[0], done[0]))

    @property
    def judgements(self) -> int:
        """Episodes."""
        return self.trials

    def judge(self, predictor: Predictor, *, seed: int, workers: int) -> dict[str, Any]:
        """Success and ways taken on the same test seeds for all; `rewarded` counts episodes with any reward at all.

        Starts differ from episode to episode, so that there is one context of all, and every way is due alike, as it is
        to the experts of tasks that count ways.
        """
        control, maker = self.control, self.maker()
        policy = Policy(
            predictor,
            history=control.history,
            actions=control.actions,
            ensemble=control.ensemble,
            block=evaluation.BLOCK,
        )
        episodes = evaluation.play(policy, maker, episodes=self.trials, num_envs=_NUM_ENVS, workers=workers).episodes
        summary = evaluation.summarise(episodes, evaluation.modes_of(maker))
        found = {
            "trials": summary["episodes"],
            "successes": summary["successes"],
            "rewarded": sum(episode.max_reward > 0 for episode in episodes),
        }
        if "modes" not in summary:
            return found
        count, taken = summary["modes"]["count"], summary["modes"]["taken"]
        return found | {"parts": [taken], "due": [[self.trials / count] * count]}
