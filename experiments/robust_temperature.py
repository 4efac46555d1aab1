"""Which fit of a temperature does best on frames it has not seen: priors, pseudo-daughters, cross-validation.

Every movie, tracker (4) and stride (1, 2, 4, 8) under SM, AS and auto; each way to fit sees the frame pairs of the
study's split ("alternating blocks") or of its stress test ("first half -> second half") and is judged on the others:
change of the NLL against T = 1, how often it is worse by more than noise (study/noise.py), and ECE. ECE is read off
confidences interpolated between the temperatures of the curves. A fit may become the default if, on alternating
blocks, neither its mean NLL nor its mean ECE is higher by 0.001 than with a prior of width 1 (the default before), and
on the stress test it is worse by more than noise less often; of those that may, the one that is so least often.

    python -m experiments.robust_temperature [DATA] [--curves FOLDER] [--movies NAME ...]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from common.data import data_folder
from common.results import write_results
from experiments.robust_curves import DaughterCurves, curves_of
from experiments.robust_fits import FITS, Sample, refined
from study.command import RESULTS as STUDY
from study.noise import holm, mean_change
from study.split import alternating, second_half
from study.units import find_units
from torchtrack_uq.functional.calibration_error import calibration_error

RESULTS = Path(__file__).parent / "results"
SPLITS = {"alternating blocks": alternating, "first half -> second half": second_half}
FINE = np.round(np.arange(-288, 385) / 100, 2)


def unit_rows(curves: DaughterCurves, n_pairs: int) -> Iterator[dict[str, object]]:
    """One row a split and way to fit."""
    pair = curves.frame - 1
    for split, judged_pairs in SPLITS.items():
        judged = judged_pairs(n_pairs).numpy()[pair]
        fitted = ~judged & curves.reachable
        if not fitted.any() or not judged.any():
            continue
        sample = _sample(curves, pair, fitted)
        here = judged & curves.reachable
        total, n = _by_pair(curves.nll[:, here], pair[here])
        held = refined(curves.x, total / n, FINE) * n
        one = int(np.argmin(np.abs(FINE)))
        oracle = float(FINE[np.argmin(held.sum(1))])
        for name, fit in FITS.items():
            x = min(fit(sample), float(curves.x[-1]))
            at = int(np.argmin(np.abs(FINE - x)))
            change = mean_change(held[at] - held[one], n)
            yield {
                "split": split, "fit": name, "log_t": x, "oracle_log_t": oracle, "n": int(judged.sum()),
                "change": change.value, "p_worse": change.p_worse, "ece": _ece(curves, judged, x),
            }  # fmt: skip


def _sample(curves: DaughterCurves, pair: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Sample:
    total, n = _by_pair(curves.nll[:, chosen], pair[chosen])
    cross = refined(curves.x, curves.cross[:, chosen].astype(float).mean(1, keepdims=True), FINE)[:, 0]
    return Sample(FINE, refined(curves.x, total / n, FINE) * n, n, cross)


def _by_pair(
    values: NDArray[np.float32], pair: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    _, index = np.unique(pair, return_inverse=True)
    n = np.bincount(index).astype(float)
    return np.stack([np.bincount(index, row, len(n)) for row in values.astype(float)]), n


def _ece(curves: DaughterCurves, judged: NDArray[np.bool_], x: float) -> float:
    at = float(np.interp(x, curves.x, np.arange(len(curves.x))))
    low = min(int(at), len(curves.x) - 2)
    share = at - low
    confidence = (1 - share) * curves.confidence[low, judged] + share * curves.confidence[low + 1, judged]
    correct = curves.correct[low + round(share), judged]
    return float(
        calibration_error(torch.from_numpy(confidence).clamp(0, 1).double(), torch.from_numpy(correct))
    )


def summary(table: pd.DataFrame) -> str:
    """Means over recordings (frame rates of one count once) by split and fit."""
    parts = []
    for split, rows in table.groupby("split", sort=False):
        lines = []
        for name in FITS:
            part = rows[rows["fit"] == name]
            mean = part.groupby(["recording", "stride", "tracker", "method"])[["change", "ece"]].mean()
            by_stride = mean.groupby("stride")["ece"].mean()
            line = {
                "fit": name,
                "NLL change": f"{mean['change'].mean():+.4f}",
                "largest rise": f"{part['change'].max():+.3f}",
                "worse (2.5 %)": int((part["p_worse"] <= 0.025).sum()),
                "worse (Holm)": int(holm(part["p_worse"].to_numpy()).sum()),
                "ECE": f"{mean['ece'].mean():.4f}",
            }
            line |= {f"ECE, stride {stride}": f"{value:.4f}" for stride, value in by_stride.items()}
            lines.append(line)
        n = len(rows) // len(FITS)
        title = f"{str(split).capitalize()}: {n} combinations, of which chance alone would call {0.025 * n:.0f} worse"
        parts += [f"## {title}", "", pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True), ""]
    return "\n".join(parts)


def main() -> None:
    """Score what is not scored, compare, write the table and the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--curves", type=Path, default=STUDY / ".cache" / "robust")
    parser.add_argument("--movies", nargs="+", metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for unit in sorted(find_units(options.data, options.movies, (1, 2, 4, 8)), key=lambda unit: unit.key):
        facts = {
            "movie": unit.movie,
            "recording": unit.recording,
            "stride": unit.stride,
            "tracker": unit.tracker,
        }
        for method, curves in curves_of(unit, options.curves).items():
            n_pairs = int(curves.frame.max())
            rows += [{**facts, "method": method, **row} for row in unit_rows(curves, n_pairs)]
    table = pd.DataFrame(rows)
    page = [
        "# Robust fits of a temperature",
        "",
        f"Written by `python -m experiments.robust_temperature` ({describe_machine()}); what the columns mean "
        "stands in its first lines, the formulas in robust_fits.py. Means over recordings, strides, trackers and "
        "methods.",
        "",
        summary(table),
    ]
    write_results(options.output, "robust_temperature", page, {})


if __name__ == "__main__":
    main()
