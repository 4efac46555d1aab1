"""Learn the priors over temperature and event scores that come with the package, and judge them on movies left out.

    python -m experiments.prior [DATA] [--trackers Distance Overlap] [--cache FOLDER] [--few] [--ship]

What was scored, fitted and judged is kept in the cache: a run that was stopped goes on where it was. `--few` also fits
to few daughters; `--ship` writes `torchtrack_uq/calibration/priors`.
"""

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from common.data import CHECKOUT, data_folder
from common.results import write_results
from experiments.prior.detections import judge_detections_of
from experiments.prior.judge import fitted_items, judge_item, learn, parameters
from experiments.prior.page import page
from experiments.prior.pool import Likelihood
from experiments.prior.units import PRIOR_TRACKERS, RATES, STRIDES, Item, find_items
from study.units import MODELS
from torchtrack_uq.calibration.movie_prior import FORMAT, MoviePrior
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.utils.files import write_atomically

RESULTS = Path(__file__).parents[1] / "results"
PRIORS = CHECKOUT / "torchtrack_uq" / "calibration" / "priors"
GAPS = (2, 1)
FITTED_STRIDES = {2: STRIDES, 1: (1, 4)}
"""Movies without gaps at fewer strides: their sums take longer."""
FITTED_RATES = {2: RATES, 1: (0.0,)}
"""Who links consecutive frames only trusts the masks; with errors in them, all that is left for cells is to appear."""
EMBRYOS_USED = ("ascidian-Pm02", "ascidian-Pm04", "celegans-20241108_JIM767_25_L5", "celegans-CE")
"""Of the embryos of one kind, which are alike; at strides of `EMBRYO_STRIDES`."""
EMBRYO_STRIDES = (1, 4)
VOLUMES_USED = ("ascidian-Pm04", "ascidian-Pm05", "celegans-20241108_JIM767_25_L5", "celegans-CE")
"""For small_3d, at all strides: movies that it was not trained on."""
FEW_STRIDES = (1, 4)
FEW_TRACKERS = ("Distance", "Transformer")
"""For which fits to few daughters are judged."""
AROUND = {"Transformer": "Distance"}
"""Trackers with few kinds of movies that they were not trained on, and the tracker whose prior theirs is drawn to."""
FILES = {"Transformer 3D": "small_3d"}
"""Names of files of priors, where that is not the tracker's."""


def chosen_items(data: Path, tracker: str, max_gap: int) -> list[Item]:
    """What a prior is learned from and judged on."""
    used = EMBRYOS_USED if max_gap > 1 else ()

    def wanted(item: Item) -> bool:
        if item.rate not in FITTED_RATES[max_gap]:
            return False
        if tracker == "Transformer 3D":
            return item.unit.movie in VOLUMES_USED and item.unit.stride in FITTED_STRIDES[max_gap]
        if item.kind == item.unit.recording:
            return item.unit.stride in FITTED_STRIDES[max_gap]
        return item.unit.movie in used and item.unit.stride in EMBRYO_STRIDES

    return [item for item in find_items(data, tracker) if wanted(item)]


def fits_to_few(item: Item) -> bool:
    """Whether fits to few daughters of a movie are judged: not of embryos, whose sums take long."""
    common = item.kind == item.unit.recording and item.unit.tracker in FEW_TRACKERS
    return common and item.unit.stride in FEW_STRIDES


@dataclass(frozen=True)
class Fits:
    """What single movies say of a tracker, and of the one that its prior is drawn to.

    Attributes:
        tracker: What the study calls it.
        identity: What the package calls it.
        names: Parameters that were fitted.
        own: Its movies.
        other: Those of the tracker in `AROUND`, or none.
    """

    tracker: str
    identity: str
    names: tuple[str, ...]
    own: list[tuple[Item, Likelihood]]
    other: list[tuple[Item, Likelihood]]

    @classmethod
    def of(cls, data: Path, cache: Path, tracker: str, max_gap: int) -> "Fits":
        """Fitted now where that was not done before."""

        def fitted(name: str) -> list[tuple[Item, Likelihood]]:
            items = chosen_items(data, name, max_gap)
            return fitted_items(tqdm(items, f"{name}, gap {max_gap}"), cache, max_gap)

        made = make_tracker(PRIOR_TRACKERS[tracker], "cpu", model=MODELS.get(tracker))
        other = fitted(AROUND[tracker]) if tracker in AROUND else []
        return cls(tracker, tracker_identity(made), parameters(max_gap), fitted(tracker), other)

    def prior(self, version: str, without: str | None = None) -> MoviePrior:
        """Learned from all movies but those of one kind."""
        own, other = ([pair for pair in pairs if pair[0].kind != without] for pairs in (self.own, self.other))
        around = None
        if other:
            around = learn(AROUND[self.tracker], self.identity, version, other, self.names)
        return learn(self.tracker, self.identity, version, own, self.names, around)


def beside_others(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """With what earlier runs wrote of the trackers that this one was not asked for."""
    if not file.is_file():
        return table
    earlier = pd.read_csv(file)
    others = earlier[~earlier["tracker"].isin(set(table["tracker"]))]
    order = list(PRIOR_TRACKERS)
    return pd.concat([others, table]).sort_values(
        "tracker", key=lambda names: names.map(order.index), kind="stable"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--trackers", nargs="+", choices=PRIOR_TRACKERS, default=list(PRIOR_TRACKERS))
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "prior")
    parser.add_argument("--few", action="store_true", help="also fits to 30 and 100 daughters")
    parser.add_argument("--ship", action="store_true", help="write what comes with the package")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    version = datetime.now(UTC).strftime("%Y-%m-%d")
    rows: list[dict[str, object]] = []
    doubts: list[dict[str, object]] = []
    for tracker in options.trackers:
        shipped = {}
        for max_gap in GAPS:
            fits = Fits.of(options.data, options.cache, tracker, max_gap)
            shipped[str(max_gap)] = fits.prior(version).to_json()
            for kind in sorted({item.kind for item, _ in fits.own}):
                prior = fits.prior(f"without-{kind}", kind)
                for item in tqdm([item for item, _ in fits.own if item.kind == kind], f"judge {kind}"):
                    few = options.few and max_gap > 1 and fits_to_few(item)
                    rows += judge_item(item, options.cache, max_gap, prior, few=few)
                    if max_gap > 1 and item.rate > 0:
                        doubts += judge_detections_of(item, options.cache, prior)
        identity = fits.identity
        if options.ship:
            content = {"format": FORMAT, "tracker": identity, "gaps": shipped}
            write_atomically(
                PRIORS / f"{FILES.get(tracker, PRIOR_TRACKERS[tracker])}.json",
                (json.dumps(content, indent=1) + "\n").encode(),
            )
    found = {
        "movie_prior": pd.DataFrame(rows).round(5),
        "movie_prior_detections": pd.DataFrame(doubts).round(5),
    }
    tables = {name: beside_others(table, options.output / f"{name}.csv") for name, table in found.items()}
    write_results(options.output, "movie_prior", page(*tables.values()), tables)


if __name__ == "__main__":
    main()
