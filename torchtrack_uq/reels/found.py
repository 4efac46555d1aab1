"""What a reel says of its own cells and of their links, as arrays in the movie's numbering."""

import numpy as np
import torch

from torchtrack_uq.links.names import EVENT_SCORES, NO_MOTHER
from torchtrack_uq.reels.cutting import half_margin
from torchtrack_uq.reels.one_reel import Drawn, Ints, Worked
from torchtrack_uq.reels.store import Columns
from torchtrack_uq.results.decided_draws import DecidedDraws
from torchtrack_uq.results.doubts import REASONS
from torchtrack_uq.results.geff_probabilities import LEAST

OF_CELLS = ("log_null", "disappear", "divide", "cell_error", "confidence", "entropy")
"""Fields of `LinkProbabilities` that are kept of each cell."""


def own_mothers(worked: Worked) -> Ints:
    """(n,) chosen mothers of a reel's own cells, -1 for none."""
    mother = worked.result.mother[worked.own]
    found: Ints = np.where(mother < 0, NO_MOTHER, mother + worked.start)
    return found


def of_cells(worked: Worked) -> Columns:
    """By name, (n,) numbers of a reel's own cells.

    `OF_CELLS`, event scores as the tracker gave them (`appear_score`) and at the temperature (`scaled.appear`), doubts
    (`doubt.false`), and `decision`.
    """
    result = worked.result
    p, graph, scaled = result.probabilities, result.candidates, result.scaled
    assert scaled is not None
    found = {name: getattr(p, name).numpy() for name in OF_CELLS}
    for name in EVENT_SCORES:
        found[f"{name}_score"] = getattr(graph, name).numpy()
        found[f"scaled.{name}"] = getattr(scaled, name).numpy()
    found |= {f"doubt.{kind}": result.doubts.part[kind] for kind in REASONS}
    found["decision"] = result.doubts.decision
    return {name: values[worked.own] for name, values in found.items()}


def own_links(worked: Worked) -> slice:
    """Where the links of a reel's own daughters stand among all that it scored."""
    ends = torch.tensor([worked.own.start, worked.own.stop])
    return slice(*torch.searchsorted(worked.result.candidates.daughter, ends).tolist())


def of_links(worked: Worked) -> Columns:
    """By name, (e,) numbers of the links of a reel's own daughters, in order."""
    result = worked.result
    p, graph, scaled = result.probabilities, result.candidates, result.scaled
    assert scaled is not None
    own = own_links(worked)
    return {
        "mother": graph.mother.numpy()[own] + worked.start,
        "daughter": graph.daughter.numpy()[own] + worked.start,
        "score": graph.score.numpy()[own],
        "log_link": p.log_link.numpy()[own],
        "scaled": scaled.score.numpy()[own],
        "selected": result.selected[own],
    }


def that_matter(links: Columns) -> Columns:
    """Links that were chosen or are not improbable: those that lists, pictures and graphs show."""
    kept = (np.exp(links["log_link"]) >= LEAST) | links["selected"]
    return {name: values[kept] for name, values in links.items()}


def rows_of_own(worked: Worked) -> slice:
    """Where rows of its own daughters stand in `links`: one for each candidate and one for none, but in frame 0."""
    links, frame = own_links(worked), worked.result.detections.frame
    none = [int((frame[:cell] > 0).sum()) for cell in (worked.own.start, worked.own.stop)]
    return slice(links.start + none[0], links.stop + none[1])


def of_draws(
    drawn: Drawn, mother: Ints, taken: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]", max_gap: int
) -> Columns:
    """In which draws what was decided is right, when all that a reel saw is decided.

    Where cells of a component lie before the reel, they are drawn with the others here, so that draws know what of
    them goes together.

    Args:
        drawn: Draws of the reel's cells.
        mother: (N,) decided mothers of the movie's cells, -1 for none.
        taken: (2, N) bool, cells whose mothers, and whose numbers of daughters, were drawn with a later reel; those of
            this one are added, in place.
        max_gap: How many frames links may span.

    Returns:
        `cell`, `component` and `bits` of mothers (`mother.cell`) and of numbers of daughters (`load.cell`), `exact`,
        `chain`, and links that are `left_out`.
    """
    start, frame, reel = drawn.start, drawn.frame, drawn.reel
    n = len(frame)
    mother = mother[start : start + n] - start
    mother[mother < 0] = NO_MOTHER
    load = np.bincount(mother[mother >= 0], minlength=n)
    draws = DecidedDraws.of(drawn.histories, mother, load)
    components = draws.daughter_component, draws.mother_component
    own = np.zeros(n, np.bool_)
    own[drawn.own] = True
    of_own = np.zeros(len(draws.exact), np.bool_)
    for component in components:
        of_own[component[own]] = True
    near = (frame < reel.first) & (frame >= reel.first - half_margin(max_gap))
    found: Columns = {"exact": draws.exact, "chain": draws.chain}
    found |= {f"left_out.{name}": values for name, values in drawn.left_out._asdict().items()}
    for kind, component, bits in zip(
        ("mother", "load"), components, (draws.same_mother, draws.same_load), strict=True
    ):
        theirs = taken[int(kind == "load"), start : start + n]
        take = np.flatnonzero((own | (near & of_own[component])) & ~theirs)
        theirs[take] = True
        found |= {
            f"{kind}.cell": take + start,
            f"{kind}.component": component[take],
            f"{kind}.bits": bits[take],
        }
    return found
