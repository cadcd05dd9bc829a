"""Baselines in closed loop in the simulator: what is planned without walls in the model works among real ones."""

import pytest
import shapely

from embodied_gen.rollouts import rollouts
from embodied_gen.slots import EnvMaker, make_slots
from planners import KeepInRegion
from planners.cost_to_go import CostToGo, ReachCost
from planners.execution import Tracker
from planners.mppi import MPPI
from planners.point_mass import PointMass
from planners.rrt import RRTConnect
from planners.sampling import Effort, Problem

pytest.importorskip("gymnasium_robotics")

STATE, GOAL = (0, 1, 2, 3), (4, 5)
FREE = shapely.box(-1.5, -1.5, 1.5, 1.5).difference(shapely.box(-1.5, -0.5, 0.5, 0.5)).buffer(-0.1, join_style="mitre")
MAKER = EnvMaker("embodied/PointMaze-v0", {"maze": "umaze"}, ("envs",))


def mppi():
    cost, walls = ReachCost(CostToGo(FREE, cells=48)), [KeepInRegion(FREE)]
    problem = Problem(PointMass(), cost, STATE, GOAL, (-1, -1), (1, 1), walls, buffer=0.01)
    return MPPI(problem, Effort(horizon=40, actions=10, samples=64, iterations=3), block=2)


def rrt():
    pytest.importorskip("ompl", reason="OMPL is not installed")
    tracker = Tracker((0, 1), (2, 3), p=20.0, d=4.0)
    return RRTConnect(tracker, FREE, state=STATE, goal=GOAL, period=0.01, speed=5.0, acceleration=20.0, clearance=0.15)


@pytest.mark.parametrize("make", [mppi, rrt])
def test_the_ball_is_at_the_goal_soon_alone_or_beside_another(make):
    answers = []
    for number in (1, 2):
        agent = make()
        with make_slots(MAKER, number, 1) as slots:
            answers.append(rollouts(agent, slots, seeds=[1, 12]))
        assert agent.infeasible == 0
    assert answers[0] == answers[1]
    # From the far end of the U to the goal's disc are less than 4 m; at 3 m/s half of three seconds is left.
    assert all(episode.success and episode.sum_reward > 150 for episode in answers[0])
