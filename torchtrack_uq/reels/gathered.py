"""What is known of all cells of a movie, put together from what its reels left on the disk."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.reels.one_reel import Ints
from torchtrack_uq.reels.store import Columns, Store
from torchtrack_uq.results.decided_draws import DecidedDraws
from torchtrack_uq.results.doubts import REASONS, CellDoubts
from torchtrack_uq.results.left_out import LeftOut


@dataclass(frozen=True, eq=False)
class Gathered:
    """What reels found, in the movie's numbering.

    Attributes:
        detections: The movie's N cells.
        mother: (N,) chosen mother of each cell, -1 for none.
        cells: By name, (N,) numbers, see `of_cells`.
        links: By name, numbers of the links that matter, see `that_matter`.
        draws: In which draws what was decided is right.
        left_out: Links that no draw holds.
        log_z: Estimate of log Z.
        changed: Decisions that hang on where the movie was cut, see `Worked`.
    """

    detections: Detections
    mother: Ints
    cells: Columns
    links: Columns
    draws: DecidedDraws
    left_out: LeftOut
    log_z: float
    changed: int

    @classmethod
    def of(cls, store: Store, n_reels: int, detections: Detections, mother: Ints) -> "Gathered":
        """From the entries of all reels."""
        cells: Columns = {}
        links: dict[str, list[NDArray[Any]]] = {}
        at, log_z, changed = 0, 0.0, 0
        for number in range(n_reels):
            found = store.get(f"{number}.found")
            log_z += float(found["log_z"])
            changed += int(found["changed"])
            n = len(found["mother"])
            for name, values in found.items():
                kind, _, name = name.partition("/")
                if kind == "cell":
                    column = cells.setdefault(name, np.empty(len(detections), values.dtype))
                    column[at : at + n] = values
                elif kind == "link":
                    links.setdefault(name, []).append(values)
            at += n
        assert at == len(detections)
        joined = {name: np.concatenate(parts) for name, parts in links.items()}
        return cls(
            detections, mother, cells, joined, *_draws(store, n_reels, len(detections)), log_z, changed
        )

    def doubts(self) -> CellDoubts:
        """What may be wrong with each cell."""
        return CellDoubts({kind: self.cells[f"doubt.{kind}"] for kind in REASONS}, self.cells["decision"])


def _draws(store: Store, n_reels: int, n_cells: int) -> tuple[DecidedDraws, LeftOut]:
    exact: list[NDArray[np.bool_]] = []
    left_out: list[LeftOut] = []
    component, bits, before = np.full((2, n_cells), -1, np.int64), None, 0
    for number in range(n_reels):
        part = store.get(f"{number}.draws")
        if bits is None:
            bits = np.zeros((2, n_cells, part["mother.bits"].shape[1]), np.uint8)
        for kind, name in enumerate(("mother", "load")):
            cell = part[f"{name}.cell"]
            component[kind, cell] = part[f"{name}.component"] + before
            bits[kind, cell] = part[f"{name}.bits"]
        exact.append(part["exact"])
        left_out.append(LeftOut(*(part[f"left_out.{name}"] for name in LeftOut._fields)))
        before += len(part["exact"])
    assert bits is not None
    assert (component >= 0).all()
    draws = DecidedDraws(bits[0], bits[1], component[0], component[1], np.concatenate(exact), part["chain"])
    return draws, LeftOut(*(np.concatenate(values) for values in zip(*left_out, strict=True)))
