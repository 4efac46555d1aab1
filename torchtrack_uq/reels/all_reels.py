"""All reels of a movie, from the last one to the first, or from where a run that was killed had come."""

from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import numpy as np

from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.posterior.histories import Histories
from torchtrack_uq.reels.ahead import NOTHING_AHEAD, Ahead
from torchtrack_uq.reels.cutting import Reel
from torchtrack_uq.reels.found import of_cells, of_draws, of_links, own_mothers, rows_of_own, that_matter
from torchtrack_uq.reels.link_files import LinkFiles
from torchtrack_uq.reels.one_reel import Drawn, Ints, Setting, Worked, work_on
from torchtrack_uq.reels.store import Columns, Store
from torchtrack_uq.results.left_out import LeftOut
from torchtrack_uq.utils.cores import leaving_pool
from torchtrack_uq.utils.free_memory import give_back_freed_memory
from torchtrack_uq.utils.progress import with_progress


class _Held(NamedTuple):
    """What the reel before needs of the one that was worked on last."""

    ahead: Ahead
    drawn: Drawn


class _Movie:
    """What is known of the movie while its reels are worked on.

    Attributes:
        mother: (N,) mothers that are decided.
        taken: (2, N) bool, cells of which draws are known, see `of_draws`.
    """

    def __init__(self, setting: Setting, store: Store, files: LinkFiles) -> None:
        self.setting, self.store, self.files = setting, store, files
        n = len(setting.detections)
        self.mother = np.full(n, NO_MOTHER, np.int64)
        self.taken = np.zeros((2, n), np.bool_)

    def decide(self, worked: Worked) -> None:
        """Take over the decisions about a reel's cells."""
        self.mother[worked.start + worked.own.start : worked.start + worked.own.stop] = own_mothers(worked)

    def finish(self, worked: Worked, later: Drawn | None) -> _Held:
        """Doubts, files and draws of a reel; and what was drawn of the one after it, of which all is decided now."""
        if later is not None:
            self.add_draws(worked.number + 1, later)
        links, table = of_links(worked), worked.result.links.iloc[rows_of_own(worked)]
        found: Columns = {
            "mother": own_mothers(worked),
            "log_z": np.array(float(worked.result.probabilities.log_z.sum())),  # type: ignore[union-attr]
            "changed": np.array(worked.changed),
            "rows": np.array(len(table)),
            **{f"cell/{name}": values for name, values in of_cells(worked).items()},
            **{f"link/{name}": values for name, values in that_matter(links).items()},
        }
        self.files.add(worked.number, table, links, partial(self._keep, worked.number, found))
        del links, table, found
        held = _Held(worked.ahead, worked.draw(self.setting.n_draws, self.setting.redraws_per_cell))
        self.store.put(f"{worked.number}.held", _as_arrays(held))
        self.store.drop(f"{worked.number + 1}.held")
        give_back_freed_memory()
        return held

    def _keep(self, number: int, found: Columns, files: Columns) -> None:
        self.store.put(f"{number}.found", found | files)

    def add_draws(self, number: int, drawn: Drawn) -> None:
        """Keep in which draws of a reel the decisions are right."""
        found = of_draws(drawn, self.mother, self.taken, self.setting.max_gap)
        self.store.put(f"{number}.draws", found)

    def go_on(self, reels: list[Reel]) -> tuple[int, _Held | None]:
        """How many reels, from the first one, are still to be worked on, and what the last one that is done left."""
        offsets, left = self.setting.detections.offsets, len(reels)
        while left and self.store.has(f"{left - 1}.found"):
            left -= 1
        while left < len(reels) and not self.store.has(f"{left}.held"):
            left += 1
        if left == len(reels) or not all(self.store.has(f"{k}.draws") for k in range(left + 1, len(reels))):
            return len(reels), None
        try:
            for number in range(left, len(reels)):
                found, reel = self.store.get(f"{number}.found"), reels[number]
                self.mother[offsets[reel.first] : offsets[reel.last]] = found["mother"]
                links = {
                    name.removeprefix("link/"): found[name] for name in found if name.startswith("link/")
                }
                self.files.go_on(number, int(found["rows"]), links, found)
                if number > left:
                    draws = self.store.get(f"{number}.draws")
                    for kind, name in enumerate(("mother", "load")):
                        self.taken[kind, draws[f"{name}.cell"]] = True
            return left, _from_arrays(self.store.get(f"{left}.held"), reels[left])
        except (OSError, KeyError, ValueError):  # damaged: done again
            self.mother[:], self.taken[:] = NO_MOTHER, False
            self.files.forget()
            return len(reels), None


def work_on_all(
    setting: Setting, reels: list[Reel], store: Store, files: LinkFiles, *, progress: bool = True
) -> Ints:
    """Work on all reels of a movie; a second thread finishes one while the next is summed.

    Args:
        setting: Of the movie.
        reels: In order.
        store: Where what they find is kept; what an earlier run left there is not done again.
        files: Where their links are kept, in the same folder.
        progress: Whether to show a progress bar.

    Returns:
        (N,) chosen mother of each cell, -1 for none.

    Raises:
        CannotBeCutError: The movie has to be tracked as a whole.
        OSError: Something cannot be written.
    """
    movie = _Movie(setting, store, files)
    left, held = movie.go_on(reels)
    finished: Future[_Held] | None = None
    order = list(range(left - 1, -1, -1))
    with leaving_pool(1, "reels") as pool:
        ahead = NOTHING_AHEAD if held is None else held.ahead
        for number in with_progress(order, "Tracking reels", show=progress):
            worked = work_on(setting, reels[number], number, movie.mother, ahead)
            movie.decide(worked)
            if finished is not None:
                held = finished.result()
            finished = pool.submit(movie.finish, worked, None if held is None else held.drawn)
            ahead, held = worked.ahead, None
            del worked
        if finished is not None:
            held = finished.result()
        assert held is not None
        movie.add_draws(0, held.drawn)
    files.done()
    return movie.mother


def _as_arrays(held: _Held) -> Columns:
    drawn = held.drawn
    histories = drawn.histories
    return {
        **held.ahead._asdict(),
        "place": np.array([drawn.start, drawn.own.start, drawn.own.stop]),
        "frame": drawn.frame,
        **{f"left_out.{name}": values for name, values in drawn.left_out._asdict().items()},
        "mother": histories.mother.astype(np.int32),
        "daughter_component": histories.daughter_component,
        "mother_component": histories.mother_component,
        "exact": histories.exact,
        "chain": histories.chain,
    }


def _from_arrays(kept: Columns, reel: Reel) -> _Held:
    start, first, last = kept["place"].tolist()
    names = ("daughter_component", "mother_component", "exact", "chain")
    histories = Histories(kept["mother"].astype(np.int64), *(kept[name] for name in names))
    left_out = LeftOut(*(kept[f"left_out.{name}"] for name in LeftOut._fields))
    drawn = Drawn(reel, start, slice(first, last), kept["frame"], histories, left_out)
    return _Held(Ahead(*(kept[name] for name in Ahead._fields)), drawn)
