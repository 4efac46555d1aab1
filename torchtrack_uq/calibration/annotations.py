"""What a person said about some cells of a movie, as targets to fit to."""

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.truth.targets import LinkTargets
from torchtrack_uq.utils.formula_cells import unguarded

COLUMNS = ("frame", "label", "verdict", "mother_frame", "mother")
VERDICTS = ("mother", "none", "bad")
_SAME_PLACE, _ROUNDED = 0.5, 1e-5
"""Pixels that a centroid in a file may be off, by rounding, or that share of it, as files have six digits."""


@dataclass(frozen=True)
class Decisions:
    """What a person said of a movie's N cells.

    Attributes:
        mother: (N,) int64, index of the mother that a cell was given, -1 for none; means nothing where not `known`.
        known: (N,) bool, cells whose mother, or that they have none, was decided.
        bad: (N,) bool, detections that are no cell.
    """

    mother: NDArray[np.int64]
    known: NDArray[np.bool_]
    bad: NDArray[np.bool_]


def read_decisions(file: str | os.PathLike[str], detections: Detections, *, max_gap: int = 1) -> Decisions:
    """What a table of decisions says of some cells; all others are not known.

    A row is a daughter: `frame` and `label`, and the `verdict` "mother" with her mother's label in `mother` and frame
    in `mother_frame` (empty for the frame before), "none" for a cell without mother, or "bad" for what is no cell.
    Rows without verdict are questions that nobody answered. In a log of `torchtrack-uq review`, which has a column
    `time`, the last row of a cell counts, the verdict "undo" withdraws, and "drawn" is none.

    Args:
        file: CSV with the columns `COLUMNS`. Of others, only the centroids in a list of `torchtrack-uq sample` are
            looked at: they tell whether it is of this movie.
        detections: The movie's cells; frames and labels are what outputs call them (`frame_number`, `name`).
        max_gap: How many frames links may span.

    Raises:
        InputError: The file cannot be read or lacks columns, a cell that does not exist or is elsewhere, an unknown
            verdict, a mother who is not in one of the `max_gap` frames before or is no cell, a cell judged twice, a
            mother of more than two, or no verdict at all.
    """
    naming, named = detections.naming, detections.naming.names is not None
    table = _read(Path(file), text=detections.name.dtype.kind != "i")
    cell = detections.by_name
    mother = np.full(len(detections), NO_MOTHER, np.int64)
    known = np.zeros(len(detections), np.bool_)
    bad = np.zeros(len(detections), np.bool_)
    for at, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        where, frame, label = f"{file}, line {at + 1}", int(row["frame"]), row["label"]
        daughter = _cell(cell, frame, label, where)
        _check_place(row, detections.coords[daughter], where)
        if known[daughter] or bad[daughter]:
            raise InputError(
                f"{where}: cell {_plain(label)} of frame {frame} is judged twice; keep one of the rows"
            )
        if row["verdict"] == "bad":
            bad[daughter] = True
            continue
        if detections.frame[daughter] == 0:
            raise InputError(
                f"{where}: cells of frame {frame}, the first, are nobody's daughters; expected a later frame"
            )
        known[daughter] = True
        if row["verdict"] == "mother":
            before = frame - naming.frame_step if pd.isna(row["mother_frame"]) else int(row["mother_frame"])
            if before >= frame or before < naming.first_frame:
                raise InputError(
                    f"{where}: the mother is of frame {before}, her daughter of frame {frame}; expected an earlier "
                    f"frame, from {naming.first_frame} on"
                )
            gap = -((before - frame) // naming.frame_step)
            if gap > max_gap:
                raise InputError(
                    f"{where}: the mother is of frame {before}, her daughter of frame {frame}; links span up to "
                    f"{max_gap} frame(s) here: write none, which is all that such links can say, or pass "
                    f"--max-gap {gap}"
                )
            if pd.isna(row["mother"]):
                raise InputError(
                    f"{where}: the verdict is mother, but the column mother is empty; give her label"
                )
            if row["mother"] == 0 and not named:
                raise InputError(
                    f"{where}: the verdict is mother, but her label is 0, which is background; write none for a cell "
                    "without mother"
                )
            mother[daughter] = _cell(cell, before, row["mother"], where)
    for crowded in np.flatnonzero(np.bincount(mother[mother >= 0], minlength=1) > 2):
        raise InputError(
            f"{file}: cell {detections.name[crowded]} of frame {detections.frame_number[crowded]} is given more than "
            "two daughters; a mother has at most two"
        )
    if not known.any() and not bad.any():
        raise InputError(f"{file} has no verdict; write mother, none or bad in the column verdict")
    return Decisions(mother, known, bad)


def read_annotations(
    file: str | os.PathLike[str], detections: Detections, *, max_gap: int = 1
) -> LinkTargets:
    """The mothers that a table of decisions gives to some daughters, as targets to fit to.

    Bad detections are not judged, neither as daughters nor as mothers.

    Args:
        file: As for `read_decisions`.
        detections: The movie's cells; frames count as theirs do.
        max_gap: How many frames links may span.

    Raises:
        InputError: As `read_decisions`, or no daughter is judged.
    """
    found = read_decisions(file, detections, max_gap=max_gap)
    known = found.known & ~((found.mother >= 0) & found.bad[found.mother.clip(min=0)])
    if not known.any():
        raise InputError(
            f"{file} judges no daughter: {found.bad.sum()} cells are bad, and what is said of others is only that "
            f"these are their mothers; a fit needs daughters with the verdict mother or none"
        )
    nothing = torch.zeros(len(detections), dtype=torch.bool)
    return LinkTargets(torch.from_numpy(found.mother), torch.from_numpy(known), nothing)


def drawn_evenly(file: str | os.PathLike[str]) -> bool:
    """Whether every daughter of a list was as likely to be drawn as any other, as far as the list says.

    `torchtrack-uq sample` prefers doubtful decisions (but with `--random 1`), which makes the answers no random sample:
    errors are more frequent among them than in the movie. Its column `inclusion_probability` tells. In a log of
    `torchtrack-uq review` all cells have to be drawn, none chosen and none passed over. Other tables say nothing.

    Args:
        file: As for `read_annotations`.

    Raises:
        InputError: The file cannot be read.
    """
    table = _rows(Path(file))
    table = table[(table != "").any(axis=1)]
    if _is_log(table.columns):
        verdict = table["verdict"].str.strip().str.lower()
        drawn = set(zip(table["frame"][verdict == "drawn"], table["label"][verdict == "drawn"], strict=True))
        last = table[verdict != "drawn"].drop_duplicates(["frame", "label"], keep="last")
        last = last[last["verdict"].str.strip().str.lower() != "undo"]
        return drawn == set(zip(last["frame"], last["label"], strict=True))
    return len({*map(tuple, table.loc[:, table.columns == "inclusion_probability"].to_numpy())}) <= 1


def _rows(file: Path) -> pd.DataFrame:
    try:
        content = file.read_text(encoding="utf-8-sig")
        header = content.partition("\n")[0]
        separator = max(",;\t", key=header.count)
        rest, _, last = content.rpartition("\n")
        cut = last.count(separator) < header.count(separator) or last.count('"') % 2
        if _is_log(header.split(separator)) and cut:
            content = rest  # a crash has cut the last row off, and perhaps the last digits of a label
        # as text, since pandas takes the word None for nothing; with the header, since it renames columns otherwise
        rows = pd.read_csv(
            io.StringIO(content),
            sep=separator,
            header=None,
            skipinitialspace=True,
            skip_blank_lines=False,
            dtype=str,
            keep_default_na=False,
        ).fillna("")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as a table of decisions: {str(error).strip()}; expected CSV in UTF-8"
        ) from error
    table = rows.iloc[1:].set_axis(rows.iloc[0].str.strip(), axis=1)
    if _is_log(table.columns) and table.columns.is_unique:  # 3.0 is 3, also where it is withdrawn
        whole = {name: table[name].str.strip().str.replace(r"\.0*$", "", regex=True) for name in COLUMNS[:2]}
        table = table.assign(**whole)
    return table


def _is_log(columns: Iterable[str]) -> bool:
    return {"time", "frame", "label", "verdict"} <= {name.strip() for name in columns}


def _read(file: Path, *, text: bool = False) -> pd.DataFrame:
    """Rows with a verdict; labels are whole numbers, or with `text` as they stand there."""
    table = _rows(file)
    found = [str(name) for name in table.columns]
    if lacking := [name for name in COLUMNS if name not in found]:
        raise InputError(
            f"{file} lacks the column(s) {', '.join(lacking)}; expected {', '.join(COLUMNS)}, as "
            f"`torchtrack-uq sample` writes them, got {', '.join(found)}"
        )
    if twice := [name for name in COLUMNS if found.count(name) > 1]:
        raise InputError(
            f"{file} has several columns {', '.join(twice)}; expected one of each: keep the right one"
        )
    # where a cell is: of the lists of `sample` only, since other tables may use other units
    axes = [axis for axis in "zyx" if found.count(axis) == 1 and "tracked_mother" in found]
    table = pd.DataFrame({name: table[name].str.strip() for name in (*COLUMNS, *axes)})
    table["verdict"] = table["verdict"].str.lower()
    if "time" in found:
        table = table[table["verdict"] != "drawn"].drop_duplicates(["frame", "label"], keep="last")
        table = table[table["verdict"] != "undo"]
    table = table[table["verdict"] != ""]
    if len(unknown := table[~table["verdict"].isin(VERDICTS)]):
        raise InputError(
            f"{file}, line {unknown.index[0] + 1}: verdict {unknown['verdict'].iloc[0]!r} is unknown; expected "
            f"{', '.join(VERDICTS)}, or nothing"
        )
    if text:
        names = {name: table[name].map(unguarded) for name in ("label", "mother")}
        table = table.assign(label=names["label"], mother=names["mother"].mask(names["mother"] == ""))
    for name in ("frame", "mother_frame") if text else ("frame", "label", "mother_frame", "mother"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        optional = (table[name] == "") if name in ("mother_frame", "mother") else False
        wrong = (numbers.isna() & ~optional) | ((numbers % 1 != 0) & numbers.notna())
        if wrong.any():
            at = table.index[wrong][0]
            raise InputError(f"{file}, line {at + 1}: {name} is {table[name][at]!r}; expected a whole number")
        table = table.assign(**{name: numbers})
    return table


def _check_place(row: dict[Any, Any], coords: NDArray[np.float64], where: str) -> None:
    """Labels come again in other movies and at other strides; the cells are then elsewhere."""
    listed = pd.to_numeric(pd.Series([row.get(axis) for axis in "zyx"[3 - len(coords) :]]), errors="coerce")
    off = np.abs(listed.to_numpy(float) - coords)
    if bool((off > np.maximum(_SAME_PLACE, _ROUNDED * np.abs(coords))).any()):
        raise InputError(
            f"{where}: cell {_plain(row['label'])} of frame {int(row['frame'])} is listed at {_place(listed)}, but is "
            f"at {_place(coords)} here; are these the decisions of another movie or stride?"
        )


def _place(numbers: Iterable[float]) -> str:
    return "(" + ", ".join(f"{number:.4g}" for number in numbers) + ")"


def _cell(cell: dict[tuple[int, Any], int], frame: int, label: Any, where: str) -> int:
    found = cell.get((frame, _plain(label)))
    if found is None:
        raise InputError(
            f"{where}: there is no cell {_plain(label)} in frame {frame}; are these the decisions of another movie or "
            "stride?"
        )
    return found


def _plain(label: Any) -> Any:
    """Text, or a whole number that is no float."""
    return label if isinstance(label, str) else int(label)
