"""The paper's claims and the project's bars, each with a criterion that the table decides."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from study.noise import holm
from study.tables import by_recording, mean_and_error, without_failures
from study.units import ALL, METHODS

STRIDES_JUDGED = (1, 2, 4, 8)
CALIBRATED = 0.02
BAR_HARD = 0.05
KEPT = "0.20"  # share set aside at which gains are compared
CHEAP, BAYESIAN = ("SM", "FP"), ("FP+A", "AS")


@dataclass(frozen=True)
class Finding:
    """A claim, how it is decided, and what came out.

    Attributes:
        key: What the pages call it.
        claim: In words.
        criterion: When it counts as confirmed.
        verdict: "confirmed", "not confirmed" or "not testable".
        evidence: The numbers, as text.
        numbers: Those that the pages quote.
    """

    key: str
    claim: str
    criterion: str
    verdict: str
    evidence: str
    numbers: dict[str, Any] = field(default_factory=dict)


def paper_claims(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """The four claims of the paper's results section."""
    table = tables["study"]
    main = table[table["method"].isin(METHODS[:4]) & table["stride"].isin(STRIDES_JUDGED)]
    means = mean_and_error(main, "ece", ["tracker", "method", "ts"]).pivot(
        index=["tracker", "method"], columns="ts", values="mean"
    )
    return [_not_calibrated(means), *_scaling(means), _entropy(main), *_more_gain(tables, means)]


def _not_calibrated(means: pd.DataFrame) -> Finding:
    above = means["none"] > CALIBRATED
    low, high = means["none"].idxmin(), means["none"].idxmax()
    return Finding(
        "not_calibrated",
        "Trackers are not calibrated per se",
        f"without TS the ECE (mean over recordings and strides {_strides()}) exceeds {CALIBRATED} for most pairs of "
        "tracker and method",
        _verdict(above.mean() > 0.5),
        f"{above.sum()} of {len(above)} pairs; mean ECE {means['none'].mean():.4f}, from {means['none'].min():.4f} "
        f"({_pair(low)}) to {means['none'].max():.4f} ({_pair(high)})",
        {
            "above": int(above.sum()), "pairs": len(above), "mean": means["none"].mean(),
            "lowest": means["none"].min(), "lowest_pair": _pair(low),
            "highest": means["none"].max(), "highest_pair": _pair(high),
        },
    )  # fmt: skip


def _scaling(means: pd.DataFrame) -> list[Finding]:
    found = []
    for ts, where in (("in time", "fitted in time"), ("other movies", "fitted on other movies")):
        key = f"scaling_{_key(ts)}"
        claim = f"TS calibrates ({where})"
        criterion = (
            f"TS lowers that ECE for most pairs of tracker and method, and the mean over pairs is then at most "
            f"{BAR_HARD}"
        )
        if ts not in means or means[ts].isna().all():
            found.append(Finding(key, claim, criterion, "not testable", "there is no other movie"))
            continue
        both = means.dropna(subset=["none", ts])
        lower = both[ts] < both["none"]
        found.append(
            Finding(
                key,
                claim,
                criterion,
                _verdict(lower.mean() > 0.5 and both[ts].mean() <= BAR_HARD),
                f"lower for {lower.sum()} of {len(lower)} pairs; mean ECE {both['none'].mean():.4f} without, "
                f"{both[ts].mean():.4f} with",
                {
                    "lower": int(lower.sum()),
                    "pairs": len(lower),
                    "without": both["none"].mean(),
                    "with": both[ts].mean(),
                },
            )
        )
    return found


def _entropy(main: pd.DataFrame) -> Finding:
    rows = main[main["ts"] == "none"]
    rows = rows.assign(difference=rows["aurc_entropy"] - rows["aurc"])
    per = by_recording(rows, ["difference"]).groupby("recording")["difference"].mean()
    mean, se = per.mean(), per.sem()
    no_worse = (rows["difference"] <= 0).mean()
    return Finding(
        "entropy",
        "Entropy is at least as good as confidence for sparsification",
        "the AURC by entropy is on average no larger than by confidence (without TS; mean over trackers, methods "
        "and strides, then over recordings)",
        _verdict(mean <= 0),
        f"AURC by entropy minus by confidence {mean:+.5f} ± {se:.5f} (standard error over {len(per)} recordings); "
        f"entropy is no worse in {no_worse:.0%} of {len(rows)} combinations",
        {
            "difference": mean, "se": se, "recordings": len(per), "no_worse": no_worse, "combinations": len(rows),
        },
    )  # fmt: skip


def _more_gain(tables: dict[str, pd.DataFrame], means: pd.DataFrame) -> list[Finding]:
    curves = tables["sparsification"]
    chosen = curves[
        (curves["ts"] == "none") & (curves["by"] == "entropy") & curves["stride"].isin(STRIDES_JUDGED)
    ]
    chosen = chosen.assign(gain=chosen[KEPT] - chosen["0.00"])
    gain = chosen[chosen["method"].isin(METHODS)].groupby("method")["gain"].mean() * 100
    need = (means["none"] - means["in time"]).groupby("method").mean()
    without = means["none"].groupby("method").mean()
    better = min(gain[name] for name in BAYESIAN) > max(gain[name] for name in CHEAP)
    less = max(need[name] for name in BAYESIAN) < min(need[name] for name in CHEAP)
    return [
        Finding(
            "more_gain",
            "AS and FP+A gain more accuracy",
            "without TS, setting aside the 20 % of highest entropy gains more accuracy under both AS and FP+A than "
            f"under SM and FP (mean over movies, trackers, strides {_strides()})",
            _verdict(better),
            ", ".join(f"{name} {gain[name]:+.2f}" for name in METHODS) + " points",
            dict(gain),
        ),
        Finding(
            "less_need",
            "AS and FP+A need TS less",
            "TS (in time) lowers the ECE by less under both AS and FP+A than under SM and FP",
            _verdict(less),
            "; ".join(f"{name} {without[name]:.4f}, lowered by {need[name]:+.4f}" for name in METHODS[:4]),
            {"need": dict(need), "without": dict(without)},
        ),
    ]


def bars(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """What the project set itself; the numbers of an ECE are those of the tracker that is farthest from it."""
    table = tables["study"]
    main = table[table["method"].isin(ALL)]
    found = []
    for stride, limit in ((1, CALIBRATED), (8, BAR_HARD)):
        for ts in ("in time", "other movies"):
            rows = main[(main["stride"] == stride) & (main["ts"] == ts)]
            if rows.empty:
                found.append(
                    Finding(_bar_key(stride, ts), _bar(stride, limit, ts), "", "not testable", "no such rows")
                )
                continue
            means = mean_and_error(rows, "ece", ["tracker", "method"])
            chance = mean_and_error(rows, "ece_if_calibrated", ["tracker", "method"])["mean"]
            best = means.assign(chance=chance).loc[means.groupby("tracker")["mean"].idxmin()]
            floor = "(in brackets: what perfectly calibrated confidences would show on so few daughters)"
            for which, kept, criterion in (
                ("", best[best["mean"] == best["mean"].min()], "the least mean ECE over recordings of any tracker and "
                 f"method {floor}"),
                (", every tracker", best, f"the best method's mean ECE over recordings, for every tracker {floor}"),
            ):  # fmt: skip
                met = bool((kept["mean"] <= limit).all())
                evidence = "; ".join(
                    f"{tracker}: {method} {mean:.4f} ± {_se(se)} ({by_chance:.4f})"
                    for tracker, method, mean, se, by_chance in kept[
                        ["tracker", "method", "mean", "se", "chance"]
                    ].to_numpy()
                )
                key = _bar_key(stride, ts) + ("_every" if which else "")
                worst = kept.loc[kept["mean"].idxmax()]
                found.append(
                    Finding(
                        key, _bar(stride, limit, ts) + which, criterion, _verdict(met), evidence, dict(worst)
                    )
                )
    worse = [
        _never_worse(main[main["ts"] == "in time"], "in_time", "T fitted in time"),
        _never_worse(main[main["ts"] == "other movies"], "other_movies", "T fitted on other movies"),
    ]
    if "stress" in tables:
        stress = tables["stress"]
        worse.append(
            _never_worse(
                stress[stress["method"].isin(METHODS)], "stress", "stress test: first half -> second half"
            )
        )
    return [*found, *worse, *_against_as(table)]


def _never_worse(rows: pd.DataFrame, key: str, where: str) -> Finding:
    key = f"never_worse_{key}"
    claim = f"TS never makes held-out NLL worse by more than noise ({where})"
    rows = without_failures(rows[rows["nll_change"].notna()])
    if rows.empty:
        return Finding(key, claim, "", "not testable", "no such rows")
    p = rows["nll_change_p"].to_numpy(dtype=float)
    n_holm, n_raw = int(holm(p).sum()), int((p <= 0.025).sum())
    return Finding(
        key,
        claim,
        "Student's t over frame pairs (study/noise.py), one-sided; no combination of movie, stride, tracker and method "
        "is worse once Holm's correction holds the chance of a single false alarm at 5 %",
        _verdict(n_holm == 0),
        f"{n_holm} of {len(rows)} with the correction; {n_raw} without it, where chance alone gives about "
        f"{0.025 * len(rows):.0f}; mean change {rows['nll_change'].mean():+.4f}, largest rise "
        f"{rows['nll_change'].max():+.4f} nats",
        {"holm": n_holm, "raw": n_raw, "combinations": len(rows), "chance": 0.025 * len(rows)},
    )


def _against_as(table: pd.DataFrame) -> list[Finding]:
    found = []
    names = ("AS, K=10", "AS", "AS, K=1000")
    rows = table[table["method"].isin((*names, "auto")) & table["tracker"].isin(("Distance", "Transformer"))]
    for ts in ("none", "in time"):
        at = rows[rows["ts"] == ts].pivot_table(
            index=["movie", "stride", "tracker"], columns="method", values="nll"
        )
        missing = [name for name in (*names, "auto") if name not in at]
        if missing:
            found.append(
                Finding(
                    f"against_as_{_key(ts)}",
                    f"auto against AS, {ts}",
                    "",
                    "not testable",
                    f"no rows of {', '.join(missing)}",
                )
            )
            continue
        at = at.dropna()
        mean = at.mean()
        found.append(
            Finding(
                f"against_as_{_key(ts)}",
                f"`auto` no worse than AS at any K in NLL, {'without TS' if ts == 'none' else 'with TS in time'}",
                "its mean NLL over units is at most the least mean of AS with K = 10, 100, 1000, plus 0.001 nats",
                _verdict(mean["auto"] <= min(mean[name] for name in names) + 1e-3),
                f"auto {mean['auto']:.4f}; "
                + "; ".join(
                    f"{name.replace('AS, ', '') if name != 'AS' else 'K=100'} {mean[name]:.4f} (auto lower or "
                    f"equal in {(at['auto'] <= at[name] + 1e-3).mean():.0%} of {len(at)})"
                    for name in names
                ),
                {"auto": mean["auto"], "as": min(mean[name] for name in names)},
            )
        )
    return found


def _bar(stride: int, limit: float, ts: str) -> str:
    where = "native rate" if stride == 1 else f"stride {stride}"
    fitted = "in time" if ts == "in time" else "on other movies"
    return f"ECE of the best TS method at most {limit} at {where} (T fitted {fitted})"


def _bar_key(stride: int, ts: str) -> str:
    return f"bar_{stride}_{_key(ts)}"


def _key(ts: str) -> str:
    return ts.replace(" ", "_")


def _verdict(holds: bool) -> str:
    return "confirmed" if holds else "not confirmed"


def _strides() -> str:
    return ", ".join(map(str, STRIDES_JUDGED))


def _pair(pair: object) -> str:
    return " ".join(map(str, pair)) if isinstance(pair, tuple) else str(pair)


def _se(value: float) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "?"
