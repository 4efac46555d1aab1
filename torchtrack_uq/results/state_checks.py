"""What the arrays and numbers of a stored result must be: of the kind and shape that its cells and links ask for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
BOOL, INT = (np.dtype(np.bool_),), (np.dtype(np.int64),)
_OF_LINKS, _OF_CELLS = LinkProbabilities.of_links, ("log_null", "disappear", "divide")
_ROUNDING = 1e-3  # of a float32 log-probability that is 0
PLAIN: dict[str, tuple[type, ...]] = {
    "tracker": (str,),
    "temperature": (int, float),
    "prior": (str, type(None)),
    "calibrated": (bool,),
    "tracks_given": (bool,),
    "settings": (dict,),
}
"""Fields of a `TrackingResult` that are stored as they are, and what each may be."""


def check_array(
    name: str, values: Any, kinds: tuple[np.dtype[Any], ...], shape: tuple[int | None, ...]
) -> None:
    """An array or tensor of one of these dtypes and of this shape, None for any length.

    Raises:
        InputError: It is something else.

    >>> check_array("selected", np.zeros(3, np.bool_), BOOL, (3,))
    """
    array = values.numpy() if isinstance(values, Tensor) else values
    wanted = f"{' or '.join(map(str, kinds))} of shape {shape}"
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name} is {str(values)[:30]!r}; expected {wanted}")
    fits = array.ndim == len(shape) and all(
        n in (None, found) for n, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype not in kinds or not fits:
        raise InputError(f"{name} is {array.dtype} of shape {array.shape}; expected {wanted}")


def check_cells(detections: Detections) -> None:
    """Whole frames and labels, positions and features that are floats, as `Detections` says.

    Raises:
        InputError: Other dtypes, or names of other kinds.
    """
    n = len(detections)
    for name in ("frame", "label", "row"):
        check_array(f"detections.{name}", getattr(detections, name), INT, (n,))
    for name, values in {"coords": detections.coords, **detections.features}.items():
        check_array(f"detections.{name}", values, FLOATS, (n, None))
    names = detections.naming.names
    if names is not None and names.dtype.kind not in "iU":
        raise InputError(f"names of cells are {names.dtype}; expected whole numbers or texts")


def check_probabilities(probabilities: LinkProbabilities) -> None:
    """One number a link, a cell or a problem, and none that is no probability.

    Raises:
        InputError: Other shapes or dtypes, NaN, or probabilities above 1.
    """
    graph = probabilities.graph
    lengths = dict.fromkeys(_OF_LINKS, graph.n_links) | dict.fromkeys(_OF_CELLS, graph.n_cells)
    lengths |= dict.fromkeys(LinkProbabilities.of_problems, graph.n_problems) | {"cell_error": graph.n_cells}
    for name, length in lengths.items():
        values = getattr(probabilities, name)
        if values is None and name not in _OF_LINKS + _OF_CELLS:
            continue
        check_array(f"probabilities.{name}", values, BOOL if name == "exact" else FLOATS, (length,))
    for name in _OF_LINKS + _OF_CELLS:
        values = getattr(probabilities, name)
        most = _ROUNDING if name.startswith("log_") else 1 + _ROUNDING
        if not bool((values <= most).all()):
            what = "probabilities" if most > 1 else "log-probabilities"
            raise InputError(f"probabilities.{name} holds {float(values.max())}; expected {what}")
    if not isinstance(probabilities.method, str) or not isinstance(probabilities.options, Mapping):
        raise InputError(
            f"the method is {probabilities.method!r} with {probabilities.options!r}; expected its name and its options"
        )


def check_choices(
    selected: Any, decided: Any, false: Any, track: Any, share: Mapping[str, Any], p: LinkProbabilities
) -> None:
    """What was decided about links and cells fits them.

    Args:
        selected: (E,) bool, at most one link a daughter.
        decided: (N,) bool, or None.
        false: (N,) float64, or None.
        track: (N,) int64.
        share: (N,) each, for appearing and for disappearing; or none of the two.
        p: Of the E links and N cells.

    Raises:
        InputError: It does not.
    """
    n = p.graph.n_cells
    check_array("selected", selected, BOOL, (p.graph.n_links,))
    check_array("track", track, INT, (n,))
    if decided is not None:
        check_array("decided", decided, BOOL, (n,))
    if false is not None:
        check_array("false", false, FLOATS, (n,))
    if share and set(share) != {"appear", "disappear"}:
        raise InputError(f"border_share is of {sorted(share)}; expected appear and disappear")
    for name, values in share.items():
        check_array(f"border_share.{name}", values, FLOATS, (n,))
    mothers = torch.bincount(p.graph.daughter[torch.from_numpy(selected)], minlength=1)
    if int(mothers.max()) > 1:
        raise InputError(
            f"cell {int(mothers.argmax())} has {int(mothers.max())} selected mothers; expected one"
        )


def check_plain(plain: Any) -> None:
    """Fields of a result that are no arrays.

    Raises:
        InputError: A field of another name or type, or a temperature that is not positive.
    """
    if not isinstance(plain, dict):
        raise InputError(f"plain fields are {plain!r}; expected values by name")
    for name, value in plain.items():
        kinds = PLAIN.get(name)
        if kinds is None or not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(
                f"{name} is {str(value)[:30]!r}; expected {sorted(PLAIN)} as this version writes them"
            )
    if not 0 < plain.get("temperature", 1.0) < np.inf:
        raise InputError(f"temperature is {plain['temperature']}; expected a positive number")
    if "tracker" not in plain:
        raise InputError(f"no tracker is named, only {sorted(plain)}")
