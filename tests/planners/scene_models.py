"""Scene models that were never trained, for tests of what is made of them."""

from embodied_gen import experiment
from embodied_gen.demos.scenes import Scenes
from planners.scene_model import SceneModel
from tests.scenes import episodes, moving, observations_of

A, T = 3, 4


def model_of(head="denoising"):
    """A model that has seen nothing but the bounds of the data."""
    config = experiment.parse(
        {
            "name": "scene",
            "env": {"id": "embodied/Traffic-v0"},
            "data": {"dataset": "embodied/scene/idm-v0"},
            "event": {"kind": "scene"},
            "net": {"kind": "scene", "width": 16, "depth": 1, "heads": 2},
            "head": {"kind": head},
            "control": {"kind": "scene", "agents": A, "history": 3, "horizon": T},
        },
        "scene",
    )
    data = Scenes(episodes((40, 40)), agents=A, history=3, horizon=T, stride=2)
    return SceneModel(experiment.build(config, data), history=3, stride=2)


def seen(rows=2):
    return observations_of(moving(5, A, 5, rows)).float()
