"""All metrics at once, from groups of daughters that may each count several times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.functional.calibration_error import (
    CalibrationBins,
    adaptive_calibration_error,
    binned_error,
    calibration_bins_of_groups,
    check_bins,
    check_norm,
    negative_log_likelihood,
)
from torchtrack_uq.functional.sparsification import selective_areas
from torchtrack_uq.metrics.daughters import uncertainty_of
from torchtrack_uq.metrics.registry import BUILT_IN, METRICS, make_metric
from torchtrack_uq.truth.judged import JudgedDaughters, JudgedEvents

_OF_MOTHERS = ("division", "disappearance")
_AFTER_GAP = "accuracy_after_gap"

Events = Mapping[str, JudgedEvents]


@dataclass(frozen=True, eq=False)
class GroupedDaughters:
    """Daughters and events in G groups, summed up as far as each metric allows.

    Attributes:
        judged: The D daughters.
        group: (D,) int64, group of each.
        n_groups: G.
        means: By metric, sums over each group and how many daughters were summed: two (G,) float64.
        bins: By metric, sums over bins of (G, n_bins).
        n_bins: Of the adaptive calibration error.
        norm: Of all calibration errors.
    """

    judged: JudgedDaughters
    group: Tensor
    n_groups: int
    means: dict[str, tuple[Tensor, Tensor]]
    bins: dict[str, CalibrationBins]
    n_bins: int
    norm: str

    @classmethod
    def of(
        cls,
        movies: Sequence[JudgedDaughters],
        events: Sequence[Events] | None,
        n_bins: int = 15,
        norm: str = "l1",
        by_frame: bool = True,
    ) -> "GroupedDaughters":
        """Group daughters by movie and frame.

        A division belongs to the frame of its daughters.

        Args:
            movies: Judged daughters of each movie.
            events: Judged events of each movie, or None.
            n_bins: Number of bins.
            norm: "l1", "l2" or "max".
            by_frame: Whether to group at all; without, everything is one group.

        Raises:
            InputError: No daughters, events of another number of movies, n_bins below 1, or an unknown norm.
        """
        check_bins(n_bins)
        check_norm(norm)
        judged = JudgedDaughters.concatenate(list(movies))
        if not len(judged):
            raise InputError("no daughter has a known mother: annotate some cells of at least two frames")
        if events is not None and len(events) != len(movies):
            raise InputError(f"there are {len(movies)} movies with daughters, but {len(events)} with events")
        daughter_keys = _pair_keys([part.frame for part in movies], by_frame)
        of_kind = _by_kind(events or (), judged)
        event_keys = {
            kind: _pair_keys([one.frame + (kind in _OF_MOTHERS) for one in movies_events], by_frame)
            for kind, movies_events in of_kind.items()
        }
        keys = torch.unique(torch.cat([daughter_keys, *event_keys.values()]))
        group, n_groups = torch.searchsorted(keys, daughter_keys), len(keys)
        nll = negative_log_likelihood(judged.true_log_p.detach())
        everyone = torch.ones_like(nll, dtype=torch.bool)

        def mean(values: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
            return (
                segment_sum(values.double() * chosen, group, n_groups),
                segment_sum(chosen.double(), group, n_groups),
            )

        means = {
            "accuracy": mean(judged.correct, everyone),
            "nll": mean(nll, everyone),
            "nll_reachable": mean(nll, judged.reachable),
            "brier": mean(judged.brier.detach(), everyone),
        }
        if judged.after_gap.any():
            means[_AFTER_GAP] = mean(judged.correct, judged.after_gap)
        p, correct, has = judged.confidence, judged.correct, judged.has_mother
        bins = {
            "ece": calibration_bins_of_groups(p, correct, group, n_groups, n_bins),
            "ece_with_mother": calibration_bins_of_groups(p[has], correct[has], group[has], n_groups, n_bins),
        }
        for kind, key in event_keys.items():
            probability = torch.cat([item.probability for item in of_kind[kind]])
            happened = torch.cat([item.happened for item in of_kind[kind]])
            at = torch.searchsorted(keys, key)
            bins[f"ece_{kind}"] = calibration_bins_of_groups(probability, happened, at, n_groups, n_bins)
        return cls(judged, group, n_groups, means, bins, n_bins, norm)

    def values(self, count: Tensor) -> dict[str, Tensor]:
        """All metrics when group g counts count[..., g] times.

        Args:
            count: (..., G) int64, not negative.

        Returns:
            (...) float64 by metric; NaN where a metric has nothing to judge.
        """
        times = count.double()
        found = {name: (times @ total) / (times @ n) for name, (total, n) in self.means.items()}
        for name, bins in self.bins.items():
            found[name] = binned_error(CalibrationBins(*(times @ values for values in bins)), self.norm)
        each = count.index_select(-1, self.group)
        judged = self.judged
        found["ece_adaptive"] = adaptive_calibration_error(
            judged.confidence, judged.correct, self.n_bins, self.norm, each
        )
        for by, suffix in (("confidence", ""), ("entropy", "_entropy")):
            areas = selective_areas(uncertainty_of(judged, by), judged.correct, each)
            found[f"aurc{suffix}"], found[f"ause{suffix}"] = areas
        of_daughters = {
            name: value for name, value in found.items() if METRICS.get(name) is BUILT_IN.get(name)
        }
        of_daughters = {
            name: value
            for name, value in of_daughters.items()
            if name in METRICS or name in self.bins or name == _AFTER_GAP
        }
        for name in METRICS:
            if name not in of_daughters and name != "n_unreachable":
                of_daughters[name] = self._one_by_one(name, count)
        return of_daughters

    def _one_by_one(self, name: str, count: Tensor) -> Tensor:
        """A metric that has no shortcut above: once for every resample, with its daughters written out."""
        metric = make_metric(name, self.n_bins, self.norm)
        each = count.index_select(-1, self.group)
        daughters = torch.arange(len(self.judged), device=each.device)
        rows = []
        for times in each.reshape(-1, len(daughters)):
            value = torch.as_tensor(metric.of(self.judged.where(torch.repeat_interleave(daughters, times))))
            if value.numel() != 1:
                raise InputError(
                    f"metric {name} of {len(daughters)} daughters is {tuple(value.shape)}; expected one number"
                )
            rows.append(value.double().reshape(()).to(each.device))
        return torch.stack(rows).reshape(count.shape[:-1])


def _by_kind(events: Sequence[Events], judged: JudgedDaughters) -> dict[str, list[JudgedEvents]]:
    """The events of every movie by kind; none of a kind that a movie has nothing to say about."""
    none = JudgedEvents(judged.confidence[:0], judged.correct[:0], judged.frame[:0])
    kinds = dict.fromkeys(kind for movie in events for kind in movie)
    return {kind: [movie.get(kind, none) for movie in events] for kind in kinds}


def _pair_keys(frames: Sequence[Tensor], by_frame: bool) -> Tensor:
    """One int64 key for each movie and frame, or 0 for all."""
    keys = torch.cat([frame + (movie << 40) for movie, frame in enumerate(frames)])
    return keys if by_frame else torch.zeros_like(keys)
