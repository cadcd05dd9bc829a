"""An environment as a ground: action chunks learned from its scripted expert, judged in closed loop."""

from pathlib import Path
from typing import Any, Literal, final

from pydantic import Field

from embodied_gen import evaluate as evaluation
from embodied_gen.blocks import DataBlock, EnvBlock
from embodied_gen.control import Policy
from embodied_gen.demos import collect, store
from embodied_gen.demos.episodes import Episodes
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

    def judge(self, predictor: Predictor, *, seed: int, workers: int) -> dict[str, Any]:
        """Success and ways taken on the same test seeds for all; `rewarded` counts episodes with any reward at all."""
        control = self.control
        policy = Policy(
            predictor,
            history=control.history,
            actions=control.actions,
            ensemble=control.ensemble,
            block=evaluation.BLOCK,
        )
        record = evaluation.evaluate(policy, self.maker(), episodes=self.trials, num_envs=_NUM_ENVS, workers=workers)
        summary = record["summary"]
        found = {
            "trials": summary["episodes"],
            "successes": summary["successes"],
            "rewarded": sum(episode["max_reward"] > 0 for episode in record["episodes"]),
        }
        return found | ({"parts": summary["modes"]["taken"]} if "modes" in summary else {})
