import subprocess
import sys

import gymnasium

import envs


def test_importing_envs_loads_no_simulator():
    names = ("mujoco", "metaworld", "gymnasium_robotics")
    code = f"import sys, envs; print([name for name in {names} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_registering_again_changes_nothing():
    before = dict(gymnasium.registry)
    envs.register()
    assert gymnasium.registry == before


def test_every_environment_is_registered_with_an_end():
    ends = {
        "Avoid": 100,
        "Crowd": 200,
        "MetaWorld": 500,
        "Particle": 50,
        "PointMaze": 10_000,
        "PushBlocks": 350,
        "Reach": 60,
    }
    for name, steps in (ends | {"Tabletop": 3, "Terrain": 400, "Traffic": 100}).items():
        assert gymnasium.spec(f"embodied/{name}-v0").max_episode_steps == steps
