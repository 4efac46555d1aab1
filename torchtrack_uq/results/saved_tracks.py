"""Tracks as other programs want them: cells, who is whose mother, and how sure that is. From a result or its folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from torchtrack_uq.errors import InputError
from torchtrack_uq.results.provenance import Made, settings_of
from torchtrack_uq.results.saved_checks import check_input, checked_table
from torchtrack_uq.utils.formula_cells import unguarded
from torchtrack_uq.utils.json_text import parse_json
from torchtrack_uq.utils.staged_folder import recover_results

_NAMES = ("label", "mother", "daughter")
_CELL_COLUMNS = ("frame", "label", "track", "y", "x")
_LINK_COLUMNS = ("frame", "mother", "daughter", "score", "probability", "selected", "mother_frame")


class Tables(Made, Protocol):
    """What tracks are taken from: a `TrackingResult`."""

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell."""
        ...

    @property
    def links(self) -> pd.DataFrame:
        """All candidate links."""
        ...


@dataclass(frozen=True)
class SavedTracks:
    """Tracks with probabilities, as tables.

    Attributes:
        cells: One row for each of N cells, as `TrackingResult.cells`.
        links: All candidate links, as `TrackingResult.links`.
        settings: How they were made, see `settings_of`; empty where nobody knows.
        mother: (N,) int64, row of each cell's mother in `cells`, -1 for none.
        probability: (N,) probability of what was decided about each cell's mother, NaN in the first frame.
        score: (N,) the tracker's score of it, NaN in the first frame.

    Raises:
        InputError: Tables that do not belong together.
    """

    cells: pd.DataFrame
    links: pd.DataFrame
    settings: Mapping[str, Any]
    mother: NDArray[np.int64]
    probability: NDArray[np.float64]
    score: NDArray[np.float64]

    @classmethod
    def of(cls, result: Tables) -> "SavedTracks":
        """Those of a result in memory."""
        return cls._joined(result.cells, result.links, settings_of(result), "the result")

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "SavedTracks":
        """Those of a folder that `TrackingResult.save` or `torchtrack-uq track` wrote.

        Raises:
            InputError: It is no such folder, or was changed so that its tables do not belong together.
        """
        place = Path(folder)
        recover_results(place)
        cells = _table(place, "cells.csv", _CELL_COLUMNS)
        links = _table(place, "links.csv", _LINK_COLUMNS)
        settings = _settings(place / "settings.json")
        tracks = cls._joined(cells, links, settings, str(place))
        check_input(settings, len(tracks.axes), place / "settings.json")
        return tracks

    @classmethod
    def _joined(
        cls, cells: pd.DataFrame, links: pd.DataFrame, settings: Mapping[str, Any], name: str
    ) -> "SavedTracks":
        row = {key: i for i, key in enumerate(_keys(cells["frame"], cells["label"]))}
        if len(row) != len(cells):
            raise InputError(f"{name} has a cell twice: a label may stand once in a frame of cells.csv")
        chosen = links[links["selected"].astype(bool)]
        mother = np.full(len(cells), -1, np.int64)
        probability, score = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
        try:
            daughter = np.array(
                [row[key] for key in _keys(chosen["frame"], chosen["daughter"])], dtype=np.int64
            )
            linked = chosen["mother_frame"].notna().to_numpy()
            named = chosen[linked]
            mothers = [row[key] for key in _keys(named["mother_frame"], named["mother"])]
        except KeyError as error:
            label, frame = error.args[0][1], error.args[0][0]
            raise InputError(
                f"{name} has a link of label {label} in frame {frame}, which is no cell in cells.csv; expected the "
                "tables as torchtrack-uq wrote them"
            ) from error
        if len(np.unique(daughter)) != len(daughter):
            raise InputError(f"{name} has two selected mothers for one daughter in links.csv; expected one")
        mother[daughter[linked]] = mothers
        probability[daughter] = chosen["probability"].to_numpy(float)
        score[daughter] = chosen["score"].to_numpy(float)
        frame = cells["frame"].to_numpy()
        if (frame[mother[mother >= 0]] >= frame[mother >= 0]).any():
            raise InputError(f"{name} has a mother that is not in an earlier frame than her daughter")
        return cls(cells, links, settings, mother, probability, score)

    @property
    def axes(self) -> list[str]:
        """Names of the spatial axes, ["z",] "y", "x"."""
        return [axis for axis in "zyx" if axis in self.cells]

    @property
    def voxel_size(self) -> dict[str, float] | None:
        """Micrometres a pixel along each axis, None where nobody knows."""
        known = self.settings.get("input", {}).get("voxel_size_um")
        return None if known is None else dict(zip(self.axes, map(float, known), strict=True))

    @property
    def interval(self) -> float | None:
        """Seconds from a frame number to the next one, which may be no frame; None where nobody knows."""
        if "time_s" not in self.cells or self.cells["frame"].nunique() < 2:
            known = self.settings.get("input", {}).get("interval_s")
            return None if known is None else float(known)
        first, last = self.cells["frame"].idxmin(), self.cells["frame"].idxmax()
        ends = self.cells.loc[[first, last], ["frame", "time_s"]].to_numpy(float)
        return float((ends[1, 1] - ends[0, 1]) / (ends[1, 0] - ends[0, 0]))

    @property
    def radius(self) -> float:
        """Half the median diameter of the cells in pixels; 5 where nobody measured them."""
        diameter = self.settings.get("input", {}).get("median_diameter_px")
        return 5.0 if diameter is None else float(diameter) / 2

    @cached_property
    def edges(self) -> pd.DataFrame:
        """One row a chosen link: `mother`, `daughter` (rows of `cells`), `score`, `probability`."""
        daughter = np.flatnonzero(self.mother >= 0)
        return pd.DataFrame(
            {
                "mother": self.mother[daughter],
                "daughter": daughter,
                "score": self.score[daughter],
                "probability": self.probability[daughter],
            }
        )

    @cached_property
    def lineage(self) -> NDArray[np.int64]:
        """(N,) number of the tree that each cell is in, 0, 1, ... in order of first appearance."""
        n, edges = len(self.cells), self.edges
        ends = (edges["mother"].to_numpy(), edges["daughter"].to_numpy())
        _, lineage = connected_components(
            coo_array((np.ones(len(edges)), ends), shape=(n, n)), directed=False
        )
        return lineage.astype(np.int64)


def _keys(frame: "pd.Series[Any]", label: "pd.Series[Any]") -> list[tuple[int, str]]:
    return list(zip(frame.astype(int).tolist(), label.astype(str).tolist(), strict=True))


def read_with_names(file: Path, **types: str) -> pd.DataFrame:
    """A table of results in which cells are called what stands there: ids of points may be text, such as 007 or NA.

    Args:
        file: `cells.csv` or `links.csv`.
        **types: dtypes of further columns.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no table.
    """
    empty = {str(column): [""] for column in pd.read_csv(file, nrows=0) if column not in _NAMES}
    known = {**dict.fromkeys(_NAMES, "str"), **types}
    table = pd.read_csv(file, dtype=known, keep_default_na=False, na_values=empty)
    return table.assign(**{name: table[name].map(unguarded) for name in _NAMES if name in table})


def _table(folder: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    file = folder / name
    try:
        table = read_with_names(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder} is no folder of results, {name} is missing; expected what `torchtrack-uq track -o` wrote"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as a table: {error}") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(
            f"{file} has no column {missing[0]}; expected the table as `torchtrack-uq track` wrote it"
        )
    table = checked_table(table, file)
    return table.assign(**{column: _whole_or_text(table[column]) for column in _NAMES if column in table})


def _whole_or_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Whole numbers where all are some, written plainly; text otherwise."""
    known = values[values != ""]
    if not known.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
        return values
    return values.astype("int64") if len(known) == len(values) else values.replace("", None).astype("Int64")


def _settings(file: Path) -> dict[str, Any]:
    """Empty where there is none, as in results of earlier versions."""
    if not file.exists():
        return {}
    try:
        content = parse_json(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not str(content.get("format")).startswith("torchtrack-uq settings"):
        raise InputError(f"{file} is no file of settings of torchtrack-uq; take it out of the folder")
    return content
