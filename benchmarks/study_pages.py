"""docs/study.md and docs/calibration.md: every number is taken from the tables by this script."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from study_claims import Finding, bars, paper_claims
from study_compare_text import comparisons
from study_reasons import calibration_page
from study_split import N_BLOCKS
from study_tables import mean_and_error
from study_units import ALL, FITTED, LONGEST_POINTS_MOVIE, METHODS, MODEL, TRACKERS

from torchtrack_uq.calibration.objective import PRIOR_WIDTH
from torchtrack_uq.utils.files import write_atomically

_WHY_NOT = """**Where an aim is missed: why, and what was tried.** At stride 8 a cell has several mothers that
all look right, and few daughters are left to judge: even perfectly calibrated confidences would show the ECE in
brackets, which is most of 0.05. What lies above it has a reason for each movie in
[calibration.md](calibration.md): the stretches fitted on differ from those judged, no single temperature suits
sure and unsure daughters alike, or true mothers are no candidates. Tried: other priors, pseudo-daughters and
shrinkage by cross-validation ([compared](../benchmarks/results/robust_temperature.md), little difference in ECE
at stride 8), a temperature that depends on cell density and displacement ([no
gain](../benchmarks/results/context_temperature.md)), and fitted event scores (below: the largest gain; shown as
*auto + events*). Temperatures from *other movies* fail for another reason: each movie asks for one of its own,
and neither pooling nor context foretells it well. So annotate some stretches of the movie itself."""


def write_pages(tables: dict[str, pd.DataFrame], results: Path, docs: Path, sizes: Any) -> None:
    """Write both pages.

    Args:
        tables: Of `collect`.
        results: Where figures and tables are.
        docs: Folder of the pages.
        sizes: Options of the units.
    """
    link = Path(os.path.relpath(results, docs)).as_posix()
    pages = {
        "study.md": study_page(tables, link, sizes),
        "calibration.md": calibration_page(tables, link),
    }
    for name, page in pages.items():
        write_atomically(docs / name, page.encode())


def study_page(tables: dict[str, pd.DataFrame], link: str, sizes: Any) -> str:
    """What was run, the figures, the findings, the failures."""
    table = tables["study"]
    page = [
        "# The study",
        "",
        "Written by `python benchmarks/study.py`; every number comes from its tables "
        f"([study.csv]({link}/study.csv), one row a movie, stride, tracker, method and temperature state, with "
        f"bootstrap bounds; [sparsification.csv]({link}/sparsification.csv); "
        f"[stress.csv]({link}/stress.csv); [seconds.csv]({link}/seconds.csv)). "
        "Run it again to get the same numbers, seconds aside. Calibration in detail: "
        "[calibration.md](calibration.md).",
        "",
        "## What was run",
        "",
        _movies(table),
        "",
        *_setting(table, sizes),
        "",
        "## Figures",
        "",
        _picture(link, "figure_2a", "Mean ECE and standard error over movies against temporal resolution"),
        "",
        _picture(link, "figure_2b", "Accuracy gained when only the most certain links are kept"),
        "",
        "A gain counts from the method's own accuracy, so a method that is less often right has more to gain; AURC "
        "in the tables below counts both.",
        "",
        "## The paper's claims",
        "",
        _findings(paper_claims(tables)),
        "",
        "## What the project set itself",
        "",
        _findings(bars(tables)),
        "",
        _WHY_NOT,
        "",
        "## Means over recordings",
        "",
        "T none → fitted in time; mean ± standard error over recordings.",
        "",
        _means(table),
        "",
        "## Comparisons that the paper does not have",
        "",
        *comparisons(table, tables["seconds"]),
        "## Failures",
        "",
        *_failures(table),
        "",
    ]
    return "\n".join(page)


def _movies(table: pd.DataFrame) -> str:
    good = table[(table["error"].fillna("") == "") & (table["method"] == "SM") & (table["ts"] == "none")]
    rows = []
    for movie, part in good.groupby("movie"):
        distance = part[part["tracker"] == "Distance"].sort_values("stride")
        seen = bool(part.loc[part["tracker"] == "Transformer", "model_saw_movie"].any())
        rows.append(
            {
                "movie": movie,
                "strides": ", ".join(str(stride) for stride in distance["stride"]),
                "daughters judged": ", ".join(f"{n:.0f}" for n in distance["n_daughters"]),
                "without mother": ", ".join(f"{n:.0f}" for n in distance["n_null"]),
                "third daughters": ", ".join(f"{n:.0f}" for n in distance["n_crowded"]),
                "trackers": ", ".join(name for name in TRACKERS if name in set(part["tracker"])),
                "Transformer trained on it": "yes" if seen else "no",
            }
        )
    return pd.DataFrame(rows).to_markdown(index=False)


def _setting(table: pd.DataFrame, sizes: Any) -> list[str]:
    return [
        "Numbers of daughters are those of the frame pairs that are judged, one number a stride. *Third "
        "daughters* have a mother who has two others (in skipped frames she divided twice): no assignment can give "
        f"them to her. The Transformer is the bundled `{MODEL}`; where it was trained on a movie, its accuracy and "
        "calibration there say little about a new one. `c2c12-points` has no masks, so only Distance can be used, "
        f"and its first {LONGEST_POINTS_MOVIE} frames. The two frame rates of C. glutamicum are one recording: they "
        "count once in all means, and neither helps to fit a temperature for the other.",
        "",
        f"Methods: {', '.join(METHODS)} (docs/methods.md); {sizes.n_copies} draws of noise for FP and FP+A, K = 100 "
        f"for AS; *{FITTED}*: auto with T and event scores fitted together by the joint likelihood (at T = 1 the same "
        "as auto; not fitted on other movies).",
        "",
        f"**Split.** The frame pairs of a movie are cut into {N_BLOCKS} contiguous blocks (of one frame pair where "
        "there are fewer). Every other block is fitted on, those between are judged, the last one among them; "
        "nothing is judged at a temperature that has seen it. This is what a user does who annotates stretches "
        "spread over the movie, and it assumes that these are like the stretches between them: neighbouring frames "
        "show the same cells. Who annotates only the beginning has to expect the stress test instead, *first half -> "
        "second half* (NLL, in [calibration.md](calibration.md)): where the movie becomes harder, no fit on its "
        "beginning can know.",
        "",
        f"**Temperatures** (prior of width {PRIOR_WIDTH} on log T): *in time*, on the movie's own blocks; *other "
        "movies*, on all frame pairs of all other recordings together, at the same stride. Both as `torchtrack-uq fit` "
        "does it: T = 1 is kept where the fitted T is no gain of more than a standard error on frame pairs (or "
        "recordings) that were left out of the fit for a moment. *oracle* is fitted on "
        "the judged blocks themselves: the best that one temperature can do. Bounds: "
        f"{sizes.resamples} bootstrap resamples of frames; of changes of the NLL, Student's t over frame pairs.",
    ]


def _picture(link: str, name: str, title: str) -> str:
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{link}/{name}_dark.png">'
        f'<img alt="{title}" src="{link}/{name}_light.png"></picture>\n\n{title} ([numbers]({link}/{name}.csv)).'
    )


def _findings(found: list[Finding]) -> str:
    rows = [
        {"claim": one.claim, "verdict": f"**{one.verdict}**",
         "counts as confirmed if": one.criterion, "evidence": one.evidence}
        for one in found
    ]  # fmt: skip
    return pd.DataFrame(rows).to_markdown(index=False)


def _means(table: pd.DataFrame) -> str:
    main = table[table["method"].isin(ALL)]
    rows = []
    for tracker in (name for name in TRACKERS if name in set(main["tracker"])):
        for method in ALL:
            part = main[(main["tracker"] == tracker) & (main["method"] == method)]
            row = {"tracker": tracker, "method": method}
            for column, label, digits in (("ece", "ECE", 3), ("nll", "NLL", 3), ("aurc_entropy", "AURC", 4)):
                for stride in (1, 4, 8):
                    row[f"{label}, stride {stride}"] = _arrow(part[part["stride"] == stride], column, digits)
            rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False)


def _arrow(part: pd.DataFrame, column: str, digits: int) -> str:
    found = mean_and_error(part, column, ["ts"]).set_index("ts")
    if "none" not in found.index or "in time" not in found.index:
        return "–"
    before, after = found.loc["none"], found.loc["in time"]
    return f"{before['mean']:.{digits}f} → {after['mean']:.{digits}f} ± {after['se']:.{digits}f}"


def _failures(table: pd.DataFrame) -> list[str]:
    failed = table[table["error"].fillna("") != ""]
    if failed.empty:
        return ["No unit and no method failed."]
    shown = failed[["movie", "stride", "tracker", "method", "error"]]
    return [f"{len(failed)} combinations failed:", "", shown.to_markdown(index=False)]
