"""Promise against what happened, over many splits of every case."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.guarantees.cases import KINDS, SCORES, Case, splits
from torchtrack_uq.guarantees import ReviewStatistic, conformal_quantile
from torchtrack_uq.guarantees.risk import THRESHOLDS

ALPHAS = (0.01, 0.05)
DELTA = 0.05
COVERAGES = (0.9, 0.99)


def statistic_of(case: Case, which: NDArray[np.int64] | slice = slice(None)) -> ReviewStatistic:
    """Counts of right and wrong decisions of some daughters, or of all."""
    return ReviewStatistic.of(case.probability[which], case.correct[which], case.linked[which])


def share(wrong: float, of: float) -> float:
    """Wrong ones among all; 0 of none."""
    return wrong / of if of else 0.0


def accepted_by(case: Case, found: tuple[int, bool] | None) -> NDArray[np.bool_]:
    """Which decisions a certified threshold accepts; none without one."""
    if found is None:
        return np.zeros(len(case.frame), np.bool_)
    return (case.probability >= THRESHOLDS[found[0]]) & (case.linked | found[1])


def check_risk(case: Case, n_splits: int) -> Iterator[dict[str, object]]:
    """How often more than alpha of what is accepted is wrong, a row a kind of split and alpha."""
    for kind in KINDS:
        for alpha in ALPHAS:
            rows = []
            for annotated, others in splits(case, kind, n_splits):
                found = statistic_of(case, annotated).certified(alpha, DELTA)
                chosen = accepted_by(case, found)
                rest = others & chosen
                rows.append((
                    found is not None,
                    share((chosen & ~case.correct).sum(), chosen.sum()),
                    share((rest & ~case.correct).sum(), rest.sum()),
                    share(rest.sum(), others.sum()),
                ))  # fmt: skip
            certified, in_movie, in_rest, accepted = np.array(rows, np.float64).T
            yield {
                **case.key, "split": kind, "alpha": alpha, "n": len(case.frame) // 2, "splits": len(rows),
                "error of all": float((~case.correct).mean()),
                "certified": certified.mean(),
                "accepted": accepted.mean(),
                "error of accepted": share((in_rest * accepted).sum(), accepted.sum()),
                "broken in the movie": (in_movie > alpha).mean(),
                "broken in the rest": (in_rest > alpha).mean(),
            }  # fmt: skip


def check_coverage(case: Case, n_splits: int) -> Iterator[dict[str, object]]:
    """How often a conformal set holds the truth, a row a kind of split, score and promised coverage."""
    for kind in KINDS:
        for score in SCORES:
            truth, classes = case.truth[score], case.classes[score]
            for coverage in COVERAGES:
                rows, bounds = [], []
                for annotated, others in splits(case, kind, n_splits):
                    quantile = conformal_quantile(torch.from_numpy(truth[annotated]), coverage)
                    hit = np.isfinite(truth) & (truth <= quantile)
                    size = np.searchsorted(classes, quantile, side="right") / len(truth)
                    rows.append((hit[others].mean(), size, np.isfinite(quantile)))
                    bounds.append(1 / (len(annotated) + 1))
                hits, sizes, attainable = np.array(rows, np.float64).T
                yield {
                    **case.key, "split": kind, "score": score, "promised": coverage, "covered": hits.mean(),
                    "standard error": hits.std() / np.sqrt(len(hits)), "upper": coverage + np.mean(bounds),
                    "set size": sizes.mean(), "attainable": attainable.mean(),
                    "unreachable": float(np.isinf(truth).mean()),
                }  # fmt: skip


def check_other_movies(all_cases: list[Case]) -> Iterator[dict[str, object]]:
    """Annotate all other movies and use the threshold on this one; annotate stride 1 and use it at stride 4."""
    statistics = {id(case): statistic_of(case) for case in all_cases}
    for case in all_cases:
        alike = [c for c in all_cases if (c.tracker, c.method) == (case.tracker, case.method)]
        others = [c for c in alike if c.stride == case.stride and c.movie != case.movie]
        strides = [c for c in alike if c.stride != case.stride and c.movie == case.movie]
        for kind, sources in (("other movies", others), ("other stride", strides)):
            if not sources:
                continue
            total = statistics[id(sources[0])]
            for source in sources[1:]:
                total = total + statistics[id(source)]
            for alpha in ALPHAS:
                found = total.certified(alpha, DELTA)
                chosen = accepted_by(case, found)
                n, wrong = chosen.sum(), (chosen & ~case.correct).sum()
                yield {
                    **case.key, "split": kind, "alpha": alpha, "n": len(total), "splits": 1,
                    "error of all": float((~case.correct).mean()), "certified": float(found is not None),
                    "accepted": share(n, len(case.frame)), "error of accepted": share(wrong, n),
                    "broken in the movie": float(share(wrong, n) > alpha),
                    "broken in the rest": float(share(wrong, n) > alpha),
                }  # fmt: skip
