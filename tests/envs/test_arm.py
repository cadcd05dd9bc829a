import math

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.arm import CONTROL_PERIOD, SUBSTEPS, WORKSPACE, Arm, inverse_kinematics


def make_arm(max_speed=0.4):
    return Arm(posts=np.empty((0, 2)), post_radius=0.0, max_speed=max_speed)


@given(x=st.floats(-0.5, 0.5), y=st.floats(-0.4, 0.4))
def test_inverse_kinematics_puts_the_effector_where_it_was_asked_to(x, y):
    arm = make_arm_once()
    arm.place(np.array([x, y]))
    assert arm.position == pytest.approx([x, y], abs=1e-12)
    # Yaw 0: the last link is parallel to y.
    assert arm.joints[3] - arm.joints[2] == pytest.approx([0, 0.2], abs=1e-12)


_ARM = []


def make_arm_once():
    if not _ARM:
        _ARM.append(make_arm())
    return _ARM[0]


def test_an_arm_left_alone_stays_where_it_is():
    arm = make_arm()
    arm.place(np.array([0.3, 0.2]))
    for _ in range(20):
        arm.drive(np.array([0.3, 0.2]))
    assert arm.position == pytest.approx([0.3, 0.2], abs=1e-9)


@pytest.mark.parametrize("start", [(-0.5, -0.4), (0.5, -0.4), (-0.5, 0.4), (0.5, 0.4), (0.0, 0.0)])
@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (-0.6, 0.8)])
def test_the_effector_follows_a_moving_setpoint_within_2_cm_anywhere(start, direction):
    arm = make_arm()
    arm.place(np.array(start))
    # Away from the edge which the start lies on.
    step = np.where(np.array(start) == 0, 1, -np.sign(start)) * np.abs(direction)
    for index in range(1, 10):
        motion = arm.drive(np.array(start) + 0.04 * index * step)
        lag = math.dist(motion.path[-1], arm.setpoint)
        assert 0.001 < lag < 0.02


def test_the_setpoint_moves_at_most_at_its_speed_limit_and_in_the_commanded_direction():
    arm = make_arm(max_speed=0.3)
    arm.place(np.array([0.0, 0.0]))
    arm.drive(np.array([0.3, 0.4]))
    assert arm.setpoint == pytest.approx((0.6 * 0.03, 0.8 * 0.03))
    arm.drive(np.array([0.018, 0.034]))
    assert arm.setpoint == pytest.approx((0.018, 0.034))
    arm.drive(np.array([0.018 + 1.2 * 0.03, 0.034]))
    assert arm.setpoint == pytest.approx((0.018 + 0.03, 0.034))


def test_placing_the_arm_clears_the_whole_simulator_state():
    def state(arm):
        kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        values = np.empty(mujoco.mj_stateSize(arm.model, kind))
        mujoco.mj_getState(arm.model, arm.data, values, kind)
        return values

    fresh, used = make_arm(), make_arm()
    used.place(np.array([0.3, 0.0]))
    for _ in range(3):
        used.drive(np.array([-0.3, 0.3]))
    used.data.xfrc_applied[:] = 1.0
    fresh.place(np.array([0.1, 0.1]))
    assert not np.array_equal(state(used), state(fresh))
    used.place(np.array([0.1, 0.1]))
    assert np.array_equal(state(used), state(fresh))


def test_the_setpoint_never_leaves_the_workspace():
    arm = make_arm()
    arm.place(WORKSPACE - 0.01)
    for _ in range(5):
        motion = arm.drive(np.array([3.0, 3.0]))
    assert arm.setpoint == pytest.approx(WORKSPACE)
    assert (np.abs(motion.path) <= WORKSPACE + 1e-6).all(), "critical damping must not overshoot"


def test_the_path_is_continuous_from_one_control_period_to_the_next():
    arm = make_arm()
    arm.place(np.array([0.1, 0.1]))
    last = arm.position
    for _ in range(4):
        path = arm.drive(np.array([-0.4, 0.3])).path
        assert path.shape == (SUBSTEPS + 1, 2)
        assert path[0] == pytest.approx(last, abs=1e-12)
        assert (np.linalg.norm(np.diff(path, axis=0), axis=1) < 0.6 * CONTROL_PERIOD / SUBSTEPS).all()
        last = path[-1].copy()


@pytest.mark.parametrize("command", [np.zeros(3), np.zeros((1, 2)), np.array(0.0)])
def test_a_command_of_wrong_shape_is_refused(command):
    with pytest.raises(ValueError, match=r"shape \(2,\); got shape"):
        make_arm_once().drive(command)


def test_a_command_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        make_arm_once().drive(np.array([0.0, np.nan]))


@pytest.mark.parametrize("speed", [0.0, np.nan, np.inf, "fast", True, None])
def test_a_speed_limit_that_is_not_positive_and_finite_is_refused(speed):
    with pytest.raises(ValueError, match=rf"max_speed must be a positive and finite number \[m/s\]; got {speed!r}"):
        make_arm(max_speed=speed)


def test_a_position_out_of_reach_is_refused():
    with pytest.raises(ValueError, match="out of the arm's reach"):
        inverse_kinematics(2.0, 2.0)
