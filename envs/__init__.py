"""Closed-loop environments with scripted experts, for training and for judging policies.

Importing this package registers the environments with Gymnasium and nothing else: the simulators are
imported when an environment is made.

    embodied/Avoid-v0      planar arm, three rows of posts, 24 ways through
    embodied/Crowd-v0      a robot among `pedestrians` people, who react or repeat a recording (`tracks=FILE`)
    embodied/Reach-v0      planar arm, one goal
    embodied/MetaWorld-v0  Meta-World V3 manipulation, `task="reach-v3"` and 49 others (extra `robotics`)
    embodied/Particle-v0   a point between two goals in `dimension=1` to 32 dimensions (`make_vec`: many in one pass)
    embodied/PointMaze-v0  force-driven ball, `maze="umaze" | "medium" | "large"` (extra `robotics`)
    embodied/PushBlocks-v0 a tip, two cubes and two zones, four ways to sort them
    embodied/Tabletop-v0   a suction cup over clutter, one thing to pick by its picture (needs off-screen OpenGL)
    embodied/Terrain-v0    a small robot on semantic maps whose true cost is hidden, `preference="roads" | "green"`
    embodied/TerrainWay-v0 the same maps, and a whole way over them as one action
    embodied/Traffic-v0    a vehicle among others, `map="crossing" | "merge"` or a CommonRoad or Lanelet2 file

Every environment writes `info["is_success"]` at every step, is a function of its seed and the actions
alone, and offers a scripted demonstrator through `env.unwrapped.expert()` (see `envs.expert.Expert`). It sees what a
policy sees, but for those of Terrain and TerrainWay, which know the hidden cost, and Tabletop, which knows true boxes.
"""

import gymnasium

# id, class, longest episode [control steps]. PointMaze ends by itself: only streams of goals are so long. Where the
# number of steps is part of the task, the environment has `limits_of_steps`, and `EnvMaker` takes no others.
_ENVIRONMENTS = (
    ("embodied/Avoid-v0", "envs.avoid:AvoidEnv", 100),
    ("embodied/Crowd-v0", "envs.crowd:CrowdEnv", 200),
    ("embodied/Reach-v0", "envs.reach:ReachEnv", 60),
    ("embodied/MetaWorld-v0", "envs.metaworld:MetaWorldEnv", 500),
    ("embodied/Particle-v0", "envs.particle:ParticleEnv", 50),
    ("embodied/PointMaze-v0", "envs.pointmaze:PointMazeEnv", 10_000),
    ("embodied/PushBlocks-v0", "envs.push_blocks:PushBlocksEnv", 350),
    ("embodied/Tabletop-v0", "envs.tabletop:TabletopEnv", 3),
    ("embodied/Terrain-v0", "envs.terrain:TerrainEnv", 400),
    ("embodied/TerrainWay-v0", "envs.terrain_way:TerrainWayEnv", 1),
    ("embodied/Traffic-v0", "envs.traffic:TrafficEnv", 100),
)

_TOGETHER = {"embodied/Particle-v0": "envs.particle_vector:ParticleVectorEnv"}
"""What `gymnasium.make_vec` makes; of others a list of single ones."""


def register() -> None:
    """Add the environments to Gymnasium's registry; those already there are left as they are."""
    for name, entry_point, max_episode_steps in _ENVIRONMENTS:
        if name not in gymnasium.registry:
            together = _TOGETHER.get(name)
            gymnasium.register(name, entry_point, max_episode_steps=max_episode_steps, vector_entry_point=together)


register()
