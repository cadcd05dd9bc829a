r"""Student's interval of the mean of few values, such as the scores of three training seeds.

With the mean m and the deviation s of n independent normal values, the mean of their law lies in

    m +- t s / sqrt(n),      t the (1 + confidence) / 2 quantile of Student's law with n - 1 degrees of freedom,

with the stated confidence exactly. A bootstrap of three values has no more than ten different resamples and holds the
mean in about three of four cases only; of many values whose law is not known it is the better one (`bootstrap_mean`).

Source: Student 1908, through scipy.
"""

import math

from numpy.typing import ArrayLike
from scipy import stats

from embodied_gen.statistics.interval import Interval, check_shares, check_values


def student_mean(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Student's interval of a mean.

    Args:
        values: Independent values of about a normal law, such as one score a training seed, shape `(n,)`, n >= 2.
        confidence: Coverage in (0, 1).

    Returns:
        Interval; of width 0 if all values are equal.

    Raises:
        ValueError: If there are fewer than two values, one is not finite, or the confidence is out of range.
    """
    x = check_values(values, "values", least=2)
    check_shares(confidence=confidence)
    reach = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1)) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Interval(float(x.mean()) - reach, float(x.mean()) + reach)
