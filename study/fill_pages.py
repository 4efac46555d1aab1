"""The pages for a reader: templates in `study/pages` filled with numbers, and the long tables as CSV beside them."""

import math
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from common.results import write_csv
from study.claims import BAR_HARD, CALIBRATED, Finding, bars, paper_claims
from study.comparisons import comparisons
from study.likelihood_changes import changes_by_way, summarise_changes, worse_combinations
from study.means import before_and_after, means_over_recordings, movies_run, movies_shown
from study.reasons import reasons_by_movie, why_above
from study.split import N_BLOCKS
from study.tables import DIGITS, without_failures
from study.unit import Options
from study.units import ALL, FITTED, LONGEST_POINTS_MOVIE, METHODS, MODEL, MOVIES, STRIDES, TRACKERS
from study.without_annotation import MOST_CELLS, OLD, shown_without_annotation, tables_without_annotation
from torchtrack_uq.calibration.objective import PRIOR_WIDTH
from torchtrack_uq.utils.files import write_atomically

TEMPLATES = Path(__file__).parent / "pages"


def write_pages(tables: dict[str, pd.DataFrame], pages: Path, sizes: Options) -> None:
    """Write every page and its data.

    Args:
        tables: Of `collect`.
        pages: Folder of the pages; the data go to `data` in it.
        sizes: What the units were run with.
    """
    found = page_tables(tables)
    if _is_whole(tables["study"], sizes):
        found |= tables_without_annotation()
    for name, table in found.items():
        write_csv(pages / "data" / f"{name}.csv", table, DIGITS)
    values = page_values(tables, found, sizes)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.ChainableUndefined,  # a small run lacks some numbers
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    environment.filters |= {"digits": _digits, "percent": _percent, "table": _table}
    for template in sorted(TEMPLATES.glob("*.md")):
        page = environment.get_template(template.name).render(values)
        write_atomically(pages / template.name, page.encode())


def page_tables(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What stands in `data`, by name."""
    table = tables["study"]
    main = without_failures(table[table["method"].isin(ALL)])
    above = why_above(main)
    ways = changes_by_way(main, tables.get("stress"))
    return {
        "movies": movies_run(table),
        "claims": _claims(paper_claims(tables), bars(tables)),
        "means": means_over_recordings(main),
        **comparisons(table, tables["seconds"]),
        "nll_changes": summarise_changes(ways),
        "nll_worse": worse_combinations(ways),
        "reasons": above,
        "reasons_by_movie": reasons_by_movie(above),
    }


def page_values(
    tables: dict[str, pd.DataFrame], found: dict[str, pd.DataFrame], sizes: Options
) -> dict[str, Any]:
    """What the templates may name."""
    table = tables["study"]
    claims = {finding.key: finding for finding in (*paper_claims(tables), *bars(tables))}
    failed = table[table["error"].fillna("") != ""]
    changes = found["nll_changes"]
    events = found.get(
        "fitted_event_scores", pd.DataFrame(columns=["units", "units of lower NLL", "event scores"])
    )
    fitted = events[events["event scores"] == "fitted"]
    return {
        "whole": _is_whole(table, sizes),
        "movies": movies_shown(found["movies"]),
        "n_recordings": table["recording"].nunique(),
        "n_movies": table["movie"].nunique(),
        "methods": METHODS, "fitted_method": FITTED, "trackers": tuple(TRACKERS), "model": MODEL,
        "sizes": sizes, "n_blocks": N_BLOCKS, "prior_width": PRIOR_WIDTH, "strides": STRIDES,
        "longest_points_movie": LONGEST_POINTS_MOVIE, "calibrated": CALIBRATED, "bar_hard": BAR_HARD,
        "claims": claims,
        "before_and_after": before_and_after(found["means"]),
        "changes": changes[changes["method"] == "all"].drop(columns="method"),
        "n_fitted": int((without_failures(table[table["method"].isin(ALL)])["ts"] == "in time").sum()),
        "reasons": found["reasons"]["reason"].value_counts().to_dict(),
        "n_above": len(found["reasons"]),
        "reasons_by_movie": found["reasons_by_movie"],
        "compared": sorted(found),
        "value": lambda name, column, **where: _value(found[name], column, where),
        "events_lower": fitted["units of lower NLL"].sum() / max(fitted["units"].sum(), 1),
        "events_units": int(fitted["units"].sum()),
        "failed": failed[["movie", "stride", "tracker", "method", "error"]],
        **_defaults(found),
    }  # fmt: skip


def _defaults(found: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """What the templates may name of the package's defaults: tables, and how many movies are worse off."""
    if "defaults" not in found:
        return {}
    worse = found["defaults_worse"]
    return {
        "defaults": shown_without_annotation(found),
        "defaults_n": int(found["defaults"]["movies"].sum()),
        "defaults_n_worse": int((worse["worse than"] == OLD).sum()),
        "prior_most_cells": MOST_CELLS,
    }


def _claims(paper: list[Finding], own: list[Finding]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "of": of, "claim": one.claim, "verdict": one.verdict,
                "counts as confirmed if": one.criterion, "evidence": one.evidence,
            }
            for of, findings in (("paper", paper), ("project", own))
            for one in findings
        ]
    )  # fmt: skip


def _value(table: pd.DataFrame, column: str, where: dict[str, str]) -> float:
    """One number of a table, in the row where columns have these values; NaN where there is no such row."""
    for name, wanted in where.items():
        table = table[table[name] == wanted]
    return float(table[column].iloc[0]) if len(table) else math.nan


def _is_whole(table: pd.DataFrame, sizes: Options) -> bool:
    """Whether these are the study's own movies, all of it: only then do the templates draw conclusions."""
    return (
        set(table["movie"]) == set(MOVIES) and set(table["tracker"]) == set(TRACKERS) and sizes == Options()
    )


def _digits(value: Any, n: int, sign: bool = False) -> str:
    """A number, or a dash where there is none."""
    if isinstance(value, jinja2.Undefined) or value is None or not math.isfinite(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{n}f}"


def _percent(value: Any) -> str:
    return "–" if isinstance(value, jinja2.Undefined) or not math.isfinite(value) else f"{100 * value:.0f} %"


def _table(table: pd.DataFrame, floatfmt: str | tuple[str, ...] = ".4f") -> str:
    return table.to_markdown(index=False, floatfmt=floatfmt)
