"""Promise against what happened, and errors of estimates, for one simulated movie and several ways to draw."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from experiments.annotation_sample.movies import SPOILT, TEMPERATURES, Decided, Floats
from torchtrack_uq.guarantees import (
    AnnotationSample,
    ReviewStatistic,
    SampledReview,
    conformal_quantile,
    sample_mean,
    usefulness,
    weighted_quantile,
)
from torchtrack_uq.guarantees.risk import THRESHOLDS

DELTA = 0.05
ALPHAS = (0.05, 0.1)
COVERAGES = (0.8, 0.95)
SIZES = (100, 300)
FEWEST = 30
"""The first so many of the list of 100, the rest of which nobody annotates."""
SHARES = (0.3, 0.5, 1.0)
USEFUL: dict[str, Callable[[Decided], Floats]] = {
    "sqrt(p (1 - p))": lambda movie: usefulness(movie.probability),
    "1 - p": lambda movie: 1 - movie.probability,
    "entropy": lambda movie: movie.entropy,
}
COMPARED_SIZE, COMPARED_SHARE = 100, 0.3
N_BINS = 15


Draws = dict[float, AnnotationSample]


def check_risk(movie: Decided, n: int, draws: Draws) -> Iterator[dict[str, object]]:
    """Whether more than alpha of what is accepted is wrong, a row a way to draw and alpha."""
    for share, sample in draws.items():
        right = movie.correct[sample.cell]
        weighted = SampledReview(movie.probability, movie.linked, sample, right)
        plain = ReviewStatistic.of(movie.probability[sample.cell], right, movie.linked[sample.cell])
        for name, review in (("weighted", weighted), ("as if all were alike", plain)):
            for alpha in ALPHAS:
                found = review.certified(alpha, DELTA)
                accepted = np.zeros(len(movie.correct), np.bool_)
                if found is not None:
                    accepted = (movie.probability >= THRESHOLDS[found[0]]) & (movie.linked | found[1])
                error = float((accepted & ~movie.correct).sum() / max(accepted.sum(), 1))
                yield {
                    "kind": movie.kind, "n": n, "evenly": share, "test": name, "alpha": alpha,
                    "certified": found is not None, "accepted": accepted.mean(), "error": error,
                    "broken": error > alpha,
                }  # fmt: skip


def check_coverage(movie: Decided, n: int, lists: Draws) -> Iterator[dict[str, object]]:
    """Share of the daughters that are on no list whose set holds the truth, from the first n of the list."""
    for share, listed in lists.items():
        sample = listed.first(n)
        scores = torch.from_numpy(movie.truth[sample.cell])
        rest = np.ones(len(movie.truth), np.bool_)
        rest[listed.cell] = False
        for coverage in COVERAGES:
            weighted = weighted_quantile(
                scores, torch.from_numpy(sample.conformal_weight), coverage, sample.new_conformal_weight
            )
            for name, quantile in (
                ("weighted", weighted),
                ("as if all were alike", conformal_quantile(scores, coverage)),
            ):
                hit = (movie.truth <= quantile) & np.isfinite(movie.truth)
                yield {
                    "kind": movie.kind, "n": n, "evenly": share, "test": name, "promised": coverage,
                    "covered": hit[rest].mean(), "attainable": np.isfinite(quantile),
                }  # fmt: skip


def check_estimates(movie: Decided, n: int, draws: Draws, seed: int) -> Iterator[dict[str, object]]:
    """Estimates less the truth over all daughters: share of wrong decisions, NLL, ECE, log T."""
    wrong, doubt = (~movie.correct).astype(np.float64), 1 - movie.probability
    truth = {
        "errors": wrong.mean(), "NLL": movie.nll.mean(), "ECE": _ece(movie, np.ones_like(wrong), slice(None)),
        "log T": _log_t(movie, np.ones_like(wrong), slice(None)),
    }  # fmt: skip
    for useful, of in USEFUL.items():
        first = useful == "sqrt(p (1 - p))"
        for share in SHARES if first else (COMPARED_SHARE,) if n == COMPARED_SIZE else ():
            sample = draws[share] if first else AnnotationSample.draw(of(movie), n, random=share, seed=seed)
            drawn = sample.cell
            plain, guided = sample_mean(sample, wrong[drawn]), sample_mean(sample, wrong[drawn], doubt)
            nll = sample_mean(sample, movie.nll[drawn])
            nll_guided = sample_mean(sample, movie.nll[drawn], movie.entropy)
            for of_what, estimate, value, error in (
                ("errors", "weighted", plain.mean, plain.standard_error),
                ("errors", "with expected", guided.mean, guided.standard_error),
                ("errors", "unweighted", wrong[drawn].mean(), np.nan),
                ("NLL", "weighted", nll.mean, nll.standard_error),
                ("NLL", "with expected", nll_guided.mean, nll_guided.standard_error),
                ("NLL", "unweighted", movie.nll[drawn].mean(), np.nan),
                ("ECE", "weighted", _ece(movie, sample.weight, drawn), np.nan),
                ("ECE", "unweighted", _ece(movie, np.ones(n), drawn), np.nan),
                ("log T", "weighted", _log_t(movie, sample.weight, drawn), np.nan),
                ("log T", "unweighted", _log_t(movie, np.ones(n), drawn), np.nan),
            ):
                if of_what == "log T" and movie.kind in SPOILT:
                    continue  # their truth is no candidate
                off = value - truth[of_what]
                yield {
                    "kind": movie.kind, "n": n, "useful": useful, "evenly": share, "of": of_what,
                    "estimate": estimate, "off": off, "within": abs(off) <= 1.96 * error,
                }  # fmt: skip


def _ece(movie: Decided, weight: Floats, drawn: np.ndarray | slice) -> float:
    """Weighted: sum over bins of |sum of w (right - confidence)|, over the sum of w."""
    confidence, right = movie.confidence[drawn], movie.likeliest_right[drawn]
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=weight * (right - confidence))).sum() / weight.sum())


def _log_t(movie: Decided, weight: Floats, drawn: np.ndarray | slice) -> float:
    """Of the temperature of SM, with a prior on log T of width 1 worth one daughter (of mean weight)."""
    log_t = np.log(TEMPERATURES)
    return float(log_t[np.argmin(movie.nll_at[:, drawn] @ (weight / weight.mean()) + log_t**2 / 2)])


def check(movie: Decided, seed: int, *, estimates: bool = True) -> dict[str, list[dict[str, object]]]:
    """All rows of one movie, by table."""
    rows: dict[str, list[dict[str, object]]] = {"risk": [], "coverage": [], "estimates": []}
    for n in SIZES:
        draws = {
            share: AnnotationSample.draw(usefulness(movie.probability), n, random=share, seed=seed)
            for share in SHARES
        }
        rows["risk"] += check_risk(movie, n, draws)
        rows["coverage"] += check_coverage(movie, n, draws)
        if n == SIZES[0]:
            few = {share: sample.first(FEWEST) for share, sample in draws.items()}
            rows["risk"] += check_risk(movie, FEWEST, few)
            rows["coverage"] += check_coverage(movie, FEWEST, draws)
        if estimates:
            rows["estimates"] += check_estimates(movie, n, draws, seed)
    return rows
