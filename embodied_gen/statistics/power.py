"""How small a difference of success rates an experiment can find.

A two-sided z-test of level alpha with n trials finds the effect d with probability `power` where

    d sqrt(n) = z_(1 - alpha/2) s_0 + z_power s_1,

with s_0² and s_1² the variances of one trial's difference without and with the effect. They are, with p the
base rate, q = p + d, m = (p + q)/2 and r the share of paired trials in which exactly one arm succeeds,

    independent   s_0² = 2 m (1 - m),   s_1² = p (1 - p) + q (1 - q)
    paired        s_0² = r,             s_1² = r - d².

Sources: Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, chapter 4; Connor 1987,
Biometrics 43:207-211.
"""

import math
from collections.abc import Callable

from scipy import optimize, stats

from embodied_gen.statistics.interval import check_counts, check_shares


def minimum_detectable_effect(trials: int, base_rate: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest increase of a success rate that two independent arms will probably tell apart.

    Args:
        trials: Trials of each arm, >= 1.
        base_rate: Success rate of the worse arm, in [0, 1].
        power: Probability of finding the effect, in (0.5, 1).
        alpha: Level of the two-sided test, in (0, 1).

    Returns:
        Increase in (0, 1 - base_rate]; infinite if even success in every trial would not do.

    Raises:
        ValueError: If a parameter is out of range.
    """
    if not 0 <= base_rate <= 1:
        raise ValueError(f"base_rate must lie in [0, 1]; got {base_rate}.")

    def spread(effect: float) -> tuple[float, float]:
        rate, mean = base_rate + effect, base_rate + effect / 2
        return 2 * mean * (1 - mean), base_rate * (1 - base_rate) + rate * (1 - rate)

    return _detectable(spread, 1 - base_rate, trials, power, alpha)


def minimum_detectable_effect_paired(
    trials: int, discordant_rate: float, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest difference of two success rates on the same trials that will probably be found.

    Args:
        trials: Paired trials, >= 1.
        discordant_rate: Share of trials in which exactly one arm succeeds, in [0, 1].
        power: Probability of finding the effect, in (0.5, 1).
        alpha: Level of the two-sided test, in (0, 1).

    Returns:
        Difference in (0, discordant_rate]; infinite if even a difference of `discordant_rate` would not do.

    Raises:
        ValueError: If a parameter is out of range.
    """
    if not 0 <= discordant_rate <= 1:
        raise ValueError(f"discordant_rate must lie in [0, 1]; got {discordant_rate}.")
    return _detectable(
        lambda effect: (discordant_rate, discordant_rate - effect**2), discordant_rate, trials, power, alpha
    )


def _detectable(
    spread: Callable[[float], tuple[float, float]], largest: float, trials: int, power: float, alpha: float
) -> float:
    check_counts(trials=trials)
    check_shares(power=power, alpha=alpha)
    if trials < 1 or power <= 0.5:
        raise ValueError(f"trials must be >= 1 and power above 0.5; got {trials} and {power}.")
    z_level, z_power = stats.norm.isf(alpha / 2), stats.norm.ppf(power)

    def excess(effect: float) -> float:  # convex and not above 0 at 0, so that it crosses 0 once
        null, alternative = (math.sqrt(max(variance, 0.0)) for variance in spread(effect))
        return effect * math.sqrt(trials) - z_level * null - z_power * alternative

    if largest <= 0 or excess(largest) < 0:
        return math.inf
    return float(optimize.brentq(excess, min(1e-9, largest / 2), largest))
