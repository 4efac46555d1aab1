"""Messages along dropped links between exactly summed clusters, and what they make of the daughters' choices."""

import numpy as np

from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def renew_messages(
    mother: IntArray,
    daughter: IntArray,
    weight: FloatArray,
    at_mother: BoolArray,
    at_daughter: BoolArray,
    first: FloatArray,
    second: FloatArray,
    gauge_load: FloatArray,
    load: FloatArray,
    null: FloatArray,
    gauge_null: FloatArray,
    damping: float,
    most: float,
    odds: FloatArray,
    through: FloatArray,
) -> None:
    """Messages of the dropped links (S,) from the ends that are estimated, without what came back along the same link.

    Args:
        mother: (S,) mother of each link.
        daughter: (S,) its daughter.
        weight: (S,) its weight.
        at_mother: (M,) mothers that are estimated.
        at_daughter: (N,) daughters that are.
        first: (M,) elementary symmetric sum of the odds at each mother.
        second: (M,) the sum of their products of two.
        gauge_load: (M, 3) weights g.
        load: (M, 3) sums of the assignments with n kept daughters, as in `Sums`.
        null: (N,) sums without each daughter, as in `Sums`.
        gauge_null: (N,) weights of having no mother, which the sums without each daughter leave room for.
        damping: share of a message that stays.
        most: the odds of a link are at most this; larger ones would leave nothing of the others' beside them.
        odds: (S,) message from daughter to mother, changed in place.
        through: (S,) from mother to daughter, changed in place.
    """
    for s in range(mother.size):
        i, j = mother[s], daughter[s]
        answer = odds[s]
        if at_daughter[j]:
            # what the link itself brought is taken out, and where it is nearly all, rounding leaves too little
            others = max(1.0 / null[j] - through[s] if null[j] > 0.0 else np.inf, gauge_null[j])
            now = weight[s] / others if weight[s] < most * others else most
            answer = damping * odds[s] + (1.0 - damping) * now
        if at_mother[i]:
            o1 = max(first[i] - odds[s], 0.0)
            o2 = max(second[i] - odds[s] * o1, 0.0)
            room = load[i, 0] * (gauge_load[i, 1] + o1 * gauge_load[i, 2]) + load[i, 1] * gauge_load[i, 2]
            total = (
                load[i, 0] * (gauge_load[i, 0] + o1 * gauge_load[i, 1] + o2 * gauge_load[i, 2])
                + load[i, 1] * (gauge_load[i, 1] + o1 * gauge_load[i, 2])
                + load[i, 2] * gauge_load[i, 2]
            )
            through[s] = damping * through[s] + (1.0 - damping) * weight[s] * room / total
        odds[s] = answer


@kernel
def weigh_links(
    daughter: IntArray,
    keep: BoolArray,
    at_daughter: BoolArray,
    arriving: FloatArray,
    gauge_link: FloatArray,
    kept_sum: FloatArray,
    null: FloatArray,
    link: FloatArray,
    squares: FloatArray,
) -> None:
    """Probabilities of the links of daughters that are estimated, and what their squares sum to.

    Args:
        daughter: (F,) daughter of each link.
        keep: (F,) links that are kept.
        at_daughter: (N,) daughters that are estimated.
        arriving: (F,) message that reaches the daughter along each dropped link.
        gauge_link: (F,) weights.
        kept_sum: (F,) sums with each kept link, as in `Sums`.
        null: (N,) sums without each daughter.
        link: (F,) filled.
        squares: (N,) filled.
    """
    squares[:] = 0.0
    for e in range(daughter.size):
        j = daughter[e]
        if at_daughter[j]:
            link[e] = gauge_link[e] * kept_sum[e] if keep[e] else arriving[e] * null[j]
            squares[j] += link[e] ** 2
