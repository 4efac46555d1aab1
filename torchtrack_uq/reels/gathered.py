"""What is known of all cells of a movie, put together from its reels; of its links, those that matter."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.links.names import EVENT_SCORES, NO_MOTHER
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.reels.one_reel import Drawn, Worked
from torchtrack_uq.reels.plan import MARGIN
from torchtrack_uq.results.decided_draws import DecidedDraws
from torchtrack_uq.results.doubts import REASONS, CellDoubts
from torchtrack_uq.results.geff_probabilities import LEAST

Columns = dict[str, NDArray[Any]]
OF_CELLS = ("log_null", "disappear", "divide", "cell_error", "confidence", "entropy")
"""Fields of `LinkProbabilities` that are kept of each cell."""


class Gathered:
    """What reels found, in the movie's numbering.

    Attributes:
        mother: (N,) chosen mother of each cell, -1 for none; means nothing before its reel was added.
        cells: By name, (N,) numbers: `OF_CELLS`, event scores as the tracker gave them and (`scaled.`) at the
            temperature, doubts (`doubt.`) by kind, and `decision`.
        log_z: Estimate of log Z.
    """

    def __init__(self, detections: Detections, max_gap: int, n_draws: int) -> None:
        self.detections, self.max_gap, self.n_draws = detections, max_gap, n_draws
        n = len(detections)
        self.mother = np.full(n, NO_MOTHER, np.int64)
        self.cells: Columns = {}
        self.log_z = 0.0
        self._links: list[Columns] = []
        self._bits = np.zeros((2, n, -(-n_draws // 8)), np.uint8)
        self._component = np.full((2, n), -1, np.int64)
        self._exact: list[NDArray[np.bool_]] = []
        self._chain: NDArray[np.int64] = np.zeros(0, np.int64)

    def decide(self, worked: Worked) -> None:
        """Take over the mothers of a reel's own cells."""
        mother, start = worked.result.mother[worked.own], worked.start
        here = slice(start + worked.own.start, start + worked.own.stop)
        self.mother[here] = np.where(mother < 0, NO_MOTHER, mother + start)

    def add(self, worked: Worked) -> Columns:
        """Take over what a reel says of its own cells beside; returns all of its links."""
        result, own = worked.result, worked.own
        p, graph, scaled = result.probabilities, result.candidates, result.scaled
        assert scaled is not None and p.log_z is not None
        here = slice(worked.start + own.start, worked.start + own.stop)
        self.log_z += float(p.log_z.sum())
        found = {name: getattr(p, name).numpy() for name in OF_CELLS}
        for name in EVENT_SCORES:
            found[name + "_score"] = getattr(graph, name).numpy()
            found[f"scaled.{name}"] = getattr(scaled, name).numpy()
        found |= {f"doubt.{kind}": result.doubts.part[kind] for kind in REASONS}
        found["decision"] = result.doubts.decision
        for name, values in found.items():
            if name not in self.cells:
                self.cells[name] = np.zeros(len(self.detections), values.dtype)
            self.cells[name][here] = values[own]
        first, last = torch.searchsorted(graph.daughter, torch.tensor([own.start, own.stop])).tolist()
        links: Columns = {
            "mother": graph.mother.numpy()[first:last] + worked.start,
            "daughter": graph.daughter.numpy()[first:last] + worked.start,
            "score": graph.score.numpy()[first:last],
            "log_link": p.log_link.numpy()[first:last],
            "scaled": scaled.score.numpy()[first:last],
            "selected": result.selected[first:last],
        }
        matters = (p.link.numpy()[first:last] >= LEAST) | links["selected"]
        self._links.append({name: values[matters] for name, values in links.items()})
        return links

    def links(self) -> Columns:
        """Those that were chosen or are not improbable, in their order, when all reels were added from the last one."""
        return {
            name: np.concatenate([part[name] for part in reversed(self._links)]) for name in self._links[0]
        }

    def add_draws(self, drawn: Drawn) -> None:
        """Take over in which draws what was decided is right, when all that a reel saw is decided.

        Where cells of a component lie before the reel, they are drawn with the others here, so that draws know what of
        them goes together.
        """
        start, frame, reel = drawn.start, drawn.frame, drawn.reel
        n = len(frame)
        mother = self.mother[start : start + n] - start
        mother[mother < 0] = NO_MOTHER
        load = np.bincount(mother[mother >= 0], minlength=n)
        draws = DecidedDraws.of(drawn.histories, mother, load)
        components = draws.daughter_component, draws.mother_component
        own = np.zeros(n, np.bool_)
        own[drawn.own] = True
        of_own = np.zeros(len(draws.exact), np.bool_)
        for component in components:
            of_own[component[own]] = True
        near = (frame < reel.first) & (frame >= reel.first - MARGIN * self.max_gap // 2)
        before = sum(len(part) for part in self._exact)
        for kind, (component, bits) in enumerate(
            zip(components, (draws.same_mother, draws.same_load), strict=True)
        ):
            theirs = self._component[kind, start : start + n]
            take = np.flatnonzero((own | (near & of_own[component])) & (theirs < 0))
            theirs[take] = component[take] + before
            self._bits[kind, start + take] = bits[take]
        self._exact.append(draws.exact)
        self._chain = draws.chain

    def draws(self) -> DecidedDraws:
        """Of all cells, when the draws of all reels were added."""
        assert (self._component >= 0).all()
        return DecidedDraws(*self._bits, *self._component, np.concatenate(self._exact), self._chain)

    def doubts(self) -> CellDoubts:
        """What may be wrong with each cell."""
        return CellDoubts({kind: self.cells[f"doubt.{kind}"] for kind in REASONS}, self.cells["decision"])
