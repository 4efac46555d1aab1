"""Whether a floor for surprise pays: a little of a wide distribution mixed into a prior's probabilities."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from experiments.prior.units import score_item
from experiments.unlabelled.left_out import Priors, figures
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.judged import judge

SHARES = (0.003, 0.01, 0.03)
HOTTER = (2.0, 4.0)
UNIFORM = "uniform"


def wide(tempered: CandidateGraph) -> dict[str, tuple[Tensor, Tensor]]:
    """Wide distributions by name: (E,) of each link and (N,) of no mother."""
    found = {}
    for factor in HOTTER:
        scores = [getattr(tempered, name) / factor for name in ("score", "appear", "disappear", "divide")]
        p = UncertaintyLayer("SM")(tempered.with_scores(*scores))
        found[f"SM, {factor:g} T"] = (p.link, p.null)
    n_classes = 1 + torch.bincount(tempered.daughter, minlength=tempered.n_cells)
    null = 1 / n_classes.to(tempered.dtype)
    found[UNIFORM] = (null[tempered.daughter], null)
    return found


def mixed(p: LinkProbabilities, q: tuple[Tensor, Tensor], share: float) -> LinkProbabilities:
    """(1 - share) p + share q."""
    link, null = ((1 - share) * a + share * b for a, b in zip((p.link, p.null), q, strict=True))
    return replace(p, log_link=link.log(), log_null=null.log())


@torch.no_grad()
def floor_of(movie: ScoredMovie, prior: MoviePrior) -> Iterator[dict[str, object]]:
    """A row for each distribution and share."""
    layer = prior.layer(UncertaintyLayer("auto"), movie.graph)
    p = layer(movie.graph)
    before = judge(p, movie.targets)
    yield {"how": "prior's mean", "share": 0.0, **figures(before, before)}
    for name, q in wide(layer.tempered(movie.graph)).items():
        for share in SHARES:
            judged = judge(mixed(p, q, share), movie.targets)
            yield {"how": name, "share": share, **figures(judged, before)}


def floor_rows(trackers: list[str], cache: Path) -> pd.DataFrame:
    """All movies of all trackers."""
    rows = [
        {**item.columns, **row}
        for tracker in trackers
        for item, prior in Priors(tracker, cache).items((1, 2, 4, 8))
        for row in floor_of(score_item(item, cache), prior)
    ]
    return chosen_elsewhere(pd.DataFrame(rows))


def chosen_elsewhere(table: pd.DataFrame) -> pd.DataFrame:
    """With rows of what has the least mean NLL (every kind counting the same) on the same tracker's other kinds."""
    chosen = []
    for (_, kind), rows in table.groupby(["tracker", "kind"]):
        others = table[(table["tracker"] == rows["tracker"].iloc[0]) & (table["kind"] != kind)]
        means = others.groupby(["how", "share", "kind"])["nll"].mean().groupby(["how", "share"]).mean()
        how, share = means.idxmin()
        chosen.append(rows[(rows["how"] == how) & (rows["share"] == share)].assign(how="chosen elsewhere"))
    found: pd.DataFrame = pd.concat([table, *chosen], ignore_index=True)
    return found
