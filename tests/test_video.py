"""Videos show the evaluated episodes, frame by frame."""

import sys
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from embodied_gen import experiment, video
from embodied_gen.control import RecedingHorizon
from embodied_gen.evaluate import BLOCK, evaluate


def test_a_video_shows_every_frame_of_the_evaluated_episode(own_run):
    run = experiment.load(own_run)
    policy, maker = run.policy(block=BLOCK), run.experiment.maker()
    record = evaluate(policy, maker, episodes=2, num_envs=2, workers=1)
    seeds = [episode["seed"] for episode in record["episodes"]]
    paths = video.record_videos(policy, maker, own_run / "videos", seeds)
    assert paths == [own_run / "videos" / f"episode-{seed}.gif" for seed in seeds]
    env = maker(render_mode="rgb_array")
    agent = RecedingHorizon(policy)
    for episode in record["episodes"]:
        assert len(video.frames_of(env, agent, episode["seed"])) == episode["length"] + 1
    env.close()


def test_a_gif_plays_at_the_rate_and_lingers_at_the_end(tmp_path):
    frames = [np.full((8, 10, 3), shade, np.uint8) for shade in (0, 100, 250)]
    video.write_gif(tmp_path / "a.gif", frames, rate=10)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 3 and image.size == (10, 8)
        durations = []
        for index in range(3):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [100, 100, 1000]


def test_no_seeds_are_no_videos(own_run):
    run = experiment.load(own_run)
    assert video.record_videos(run.policy(), run.experiment.maker(), own_run / "videos", []) == []
    assert not (own_run / "videos").exists()


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"videos need Pillow. Install the extra: pip install 'embodied-gen\[viz\]'"):
        video.write_gif(tmp_path / "a.gif", [np.zeros((2, 2, 3), np.uint8)], rate=10)


@pytest.mark.filterwarnings("ignore:.*without specifying any render mode:UserWarning")
def test_an_environment_that_renders_no_arrays_is_named():
    env = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"renders no arrays, so there is no video of it. Leave out --video"):
        video.frames_of(env, SimpleNamespace(reset=lambda seed: None), 0)
