r"""Mean field: the product of marginals that is nearest to a pairwise model.

    p(x) ~ exp(-E(x)),   E(x) = sum_i U_i(x_i) - 1/2 sum_ij sum_m w_m k_m(i, j) a(x_i, x_j)

with weights w and agreements a of classes, a(l, l') = [l = l'] for Potts' model. All marginals are renewed at once,

    log Q_i(l)  <-  -U_i(l) + sum_l' a(l, l') sum_m w_m(l') (K_m Q)_i(l') + const,

from Q = softmax(-U). The free energy

    F(Q) = sum_i sum_l Q_i(l) (log Q_i(l) + U_i(l) - M_i(l) / 2),     M the sum above,

never rises where the kernels, weights and agreements are positive semi-definite, as then each step minimises an upper
bound of it. Otherwise steps may swing; `damping` keeps a share of the last logits, which stops that. A class for which
-U is minus infinity is impossible and stays so.

Sources: Kraehenbuehl and Koltun 2011 (arXiv:1210.5644) and 2013 for when it converges.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from embodied_gen.softmax import softmax

Message = Callable[[Tensor], Tensor]  # of marginals (B, P, L), the same shape


def mean_field(logits: Tensor, message: Message, *, iterations: int, damping: float = 0.0) -> Tensor:
    """Logits of marginals after some steps, without their constant.

    Args:
        logits: -U, below infinity, shape `(B, P, L)`; of each pixel one above minus infinity.
        message: M of marginals.
        iterations: Steps, >= 0.
        damping: Share of the last logits that is kept, in [0, 1).

    Returns:
        Shape `(B, P, L)`.

    Raises:
        ValueError: If a number is out of range.
    """
    return deque(steps(logits, message, iterations=iterations, damping=damping), maxlen=1).pop()


def steps(logits: Tensor, message: Message, *, iterations: int, damping: float = 0.0) -> Iterator[Tensor]:
    """The logits of marginals before the first step and after each; see `mean_field`."""
    if iterations < 0:
        raise ValueError(f"iterations must be at least 0; got {iterations}.")
    if not 0 <= damping < 1:
        raise ValueError(f"damping must be in [0, 1); got {damping}.")
    now = logits
    yield now
    for _ in range(iterations):
        new = message(softmax(now)).add_(logits)
        # Between minus infinity and itself lies what is no number.
        now = new if damping == 0 else torch.lerp(new, now, damping).masked_fill(logits == -math.inf, -math.inf)
        yield now


def free_energy(logits: Tensor, now: Tensor, message: Message) -> Tensor:
    """F of the marginals with logits `now`, nat, shape `(B,)`; `logits` are -U."""
    q, log_q = softmax(now), now.log_softmax(-1)
    cost = log_q - logits - message(q) / 2
    return (q * cost.masked_fill(q == 0, 0)).flatten(1).sum(1)  # of impossible classes it is no number
