"""What dropped links do to the components that they touch, as far as it is proved; see docs/assignment.md."""

import numpy as np

from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def add_to_ends(total: FloatArray, of_mother: int, of_daughter: int, value: float) -> None:
    """Add to the sums (K,), in place, of the component or the two that a link touches."""
    total[of_mother] += value
    if of_daughter != of_mother:
        total[of_daughter] += value


@kernel
def sum_touching(
    of_mother: IntArray, of_daughter: IntArray, high: FloatArray, n_components: int
) -> FloatArray:
    """(K,) sums of `high` over the dropped links that touch each component, at either end."""
    total = np.zeros(n_components)
    for s in range(high.size):
        add_to_ends(total, of_mother[s], of_daughter[s], high[s])
    return total


@kernel
def sum_still_dropped(
    keep: BoolArray,
    matters: BoolArray,
    mother: IntArray,
    daughter: IntArray,
    mother_component: IntArray,
    daughter_component: IntArray,
    high: FloatArray,
    n_components: int,
) -> FloatArray:
    """(K,) what `sum_touching` sums, of the links (F,) that matter and are not kept."""
    total = np.zeros(n_components)
    for e in range(keep.size):
        if matters[e] and not keep[e]:
            add_to_ends(total, mother_component[mother[e]], daughter_component[daughter[e]], high[e])
    return total


@kernel
def still_dropped_at(
    components: BoolArray,
    among: BoolArray,
    keep: BoolArray,
    mother: IntArray,
    daughter: IntArray,
    mother_component: IntArray,
    daughter_component: IntArray,
    high: FloatArray,
    most: float,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Links `among` (F,) some that are not kept and touch one of the components (K,), and which they touch.

    Those so faint that all like them at a component together are at most `most` are only summed: the last result, (K,).
    """
    n = np.zeros(components.size, np.int64)
    for e in range(keep.size):
        if among[e] and not keep[e]:
            of_mother, of_daughter = mother_component[mother[e]], daughter_component[daughter[e]]
            n[of_mother] += 1
            n[of_daughter] += of_daughter != of_mother
    size = 0
    for c in range(components.size):
        if components[c]:
            size += n[c]
    link = np.empty(size, np.int64)
    at = np.empty(size, np.int64)
    faint = np.zeros(components.size)
    found = 0
    for e in range(keep.size):
        if among[e] and not keep[e]:
            of_mother, of_daughter = mother_component[mother[e]], daughter_component[daughter[e]]
            for end in range(1 if of_mother == of_daughter else 2):
                c = of_daughter if end else of_mother
                if not components[c]:
                    continue
                if high[e] * n[c] <= most:
                    faint[c] += high[e]
                else:
                    link[found] = e
                    at[found] = c
                    found += 1
    return link[:found].copy(), at[:found].copy(), faint


@kernel
def weigh_uses(
    mother: IntArray,
    daughter: IntArray,
    of_mother: IntArray,
    of_daughter: IntArray,
    link: FloatArray,
    room: FloatArray,
    worth: FloatArray,
    kept_elsewhere: BoolArray,
    floor: FloatArray,
    wanted: BoolArray,
    used: FloatArray,
    inside: FloatArray,
    across: FloatArray,
    at_mother: FloatArray,
) -> None:
    """Sum what dropped links are used for, anew in the wanted components.

    The odds of a link's use are at most x = w r / D, with D the `worth` of its daughter; the logarithm of the
    probability that none of several is used is at least -sum of log(1 + x). Of links that are `kept_elsewhere`, where D
    is a bound with them only, w r / D bounds the probability that each is used, and the sum of these that any is.

    Args:
        mother: (S,) mother of each dropped link.
        daughter: (S,) its daughter.
        of_mother: (S,) component of the mother.
        of_daughter: (S,) component of the daughter.
        link: (S,) weight w.
        room: (M,) largest room r of each mother.
        worth: (N,) bound D of each daughter.
        kept_elsewhere: (S,) bool.
        floor: (N,) bound D of daughters of these.
        wanted: (K,) components of mothers in which sums are made anew.
        used: (K,) changed in place: -log of the probability that none of the links at a component's mothers is used.
        inside: (K,) likewise, over those whose daughter is in the same component; inf with links kept elsewhere.
        across: (M,) sum of w / D at each mother, over the others.
        at_mother: (M,) sum of log(1 + x) at each mother; inf with links kept elsewhere.
    """
    any_of = np.zeros(wanted.size)
    for c in range(wanted.size):
        if wanted[c]:
            used[c] = 0.0
            inside[c] = 0.0
    for s in range(mother.size):
        if wanted[of_mother[s]]:
            across[mother[s]] = 0.0
            at_mother[mother[s]] = 0.0
    for s in range(mother.size):
        c = of_mother[s]
        if not wanted[c]:
            continue
        k = mother[s]
        if link[s] == 0.0 or room[k] == 0.0:
            continue
        if kept_elsewhere[s]:
            at = floor[daughter[s]]
            any_of[c] += link[s] * room[k] / at if at > 0.0 else np.inf
            inside[c] = np.inf
            at_mother[k] = np.inf
            continue
        rate = link[s] / worth[daughter[s]] if worth[daughter[s]] > 0.0 else np.inf
        log_use = np.log1p(rate * room[k])
        used[c] += log_use
        at_mother[k] += log_use
        if of_daughter[s] == c:
            inside[c] += log_use
        else:
            across[k] += rate
    for c in range(wanted.size):
        if any_of[c] > 0.0:
            used[c] = used[c] - np.log1p(-any_of[c]) if any_of[c] < 1.0 else np.inf


@kernel
def worth_of_own_mothers(
    start: IntArray,
    mother: IntArray,
    mother_start: IntArray,
    by_mother: IntArray,
    daughter: IntArray,
    keep: BoolArray,
    link: FloatArray,
    null: FloatArray,
    room: FloatArray,
    at_mother: FloatArray,
    worth: FloatArray,
    component: IntArray,
    wanted: BoolArray,
    found: FloatArray,
) -> None:
    """Bound D of daughters of the wanted components from their kept links alone: that nobody else is there.

    Nobody uses a dropped link to a mother with at least exp(-`at_mother`); then none of the kept links of others is
    used with at least 1 - sum of min(1, w r / D), and with at least the product of a / (a + w r), a their null weight.

    Args:
        start: (N + 1,) first link of each daughter.
        mother: (F,) mother of each link.
        mother_start: (M + 1,) first place in `by_mother` of each mother.
        by_mother: (F,) links by mother.
        daughter: (F,) daughter of each link.
        keep: (F,) links that are kept.
        link: (F,) weight w.
        null: (N,) null weight a.
        room: (M,) largest room r.
        at_mother: (M,) of `weigh_uses`.
        worth: (N,) bound D that is taken for granted.
        component: (N,) component of each daughter.
        wanted: (K,) components in which bounds are made.
        found: (N,) changed in place.
    """
    for j in range(found.size):
        if not wanted[component[j]]:
            continue
        total = null[j]
        for e in range(start[j], start[j + 1]):
            if not keep[e] or link[e] == 0.0:
                continue
            i = mother[e]
            together = 0.0
            each = 0.0
            for place in range(mother_start[i], mother_start[i + 1]):
                other = by_mother[place]
                of = daughter[other]
                if not keep[other] or of == j or link[other] == 0.0:
                    continue
                weight = link[other] * room[i]
                together += min(1.0, weight / worth[of]) if worth[of] > 0.0 else 1.0
                each += np.log1p(weight / null[of]) if null[of] > 0.0 else np.inf
            free = np.exp(-at_mother[i]) * max(1.0 - together, np.exp(-each))
            if free > 0.0 and room[i] < np.inf:
                total += link[e] * room[i] * free
        found[j] = total
