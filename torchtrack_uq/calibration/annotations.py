"""What a person said about some cells of a movie, as targets to fit to."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.truth.targets import LinkTargets

COLUMNS = ("frame", "label", "verdict", "mother_frame", "mother")
VERDICTS = ("mother", "none", "bad")


def read_annotations(
    file: str | os.PathLike[str], detections: Detections, *, max_gap: int = 1
) -> LinkTargets:
    """The mothers that a table of decisions gives to some daughters; all others are not known.

    A row is a daughter: `frame` and `label`, and the `verdict` "mother" with her mother's label in `mother` and frame
    in `mother_frame` (empty for the frame before), "none" for a cell without mother, or "bad" for what is no cell.
    Rows without verdict are questions that nobody answered; bad detections are not judged, neither as daughters nor
    as mothers.

    Args:
        file: CSV with the columns `COLUMNS`; others are not looked at.
        detections: The movie's cells; frames count as theirs do.
        max_gap: How many frames links may span.

    Raises:
        InputError: The file cannot be read or lacks columns, a cell that does not exist, an unknown verdict, a mother
            who is not in one of the `max_gap` frames before, a cell judged twice, a mother of more than two, or no
            verdict at all.
    """
    table = _read(Path(file))
    cell = {
        key: i for i, key in enumerate(zip(detections.frame.tolist(), detections.label.tolist(), strict=True))
    }
    mother = np.full(len(detections), NO_MOTHER, np.int64)
    known = np.zeros(len(detections), np.bool_)
    bad = np.zeros(len(detections), np.bool_)
    for at, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        where, frame, label = f"{file}, line {at + 2}", int(row["frame"]), int(row["label"])
        daughter = _cell(cell, frame, label, where)
        if known[daughter] or bad[daughter]:
            raise InputError(f"{where}: cell {label} of frame {frame} is judged twice; keep one of the rows")
        if row["verdict"] == "bad":
            bad[daughter] = True
            continue
        if frame == 0:
            raise InputError(f"{where}: cells of frame 0 are nobody's daughters; expected a later frame")
        known[daughter] = True
        if row["verdict"] == "mother":
            before = frame - 1 if pd.isna(row["mother_frame"]) else int(row["mother_frame"])
            if not frame - max_gap <= before < frame:
                raise InputError(
                    f"{where}: the mother is of frame {before}, her daughter of frame {frame}; links span up to "
                    f"{max_gap} frame(s) here: pass --max-gap {max(frame - before, 1)}, or correct the row"
                )
            if pd.isna(row["mother"]):
                raise InputError(
                    f"{where}: the verdict is mother, but the column mother is empty; give her label"
                )
            mother[daughter] = _cell(cell, before, int(row["mother"]), where)
    for crowded in np.flatnonzero(np.bincount(mother[mother >= 0], minlength=1) > 2):
        raise InputError(
            f"{file}: cell {detections.label[crowded]} of frame {detections.frame[crowded]} is given more than two "
            "daughters; a mother has at most two"
        )
    known &= ~((mother >= 0) & bad[mother.clip(min=0)])
    if not known.any():
        raise InputError(f"{file} has no verdict; write mother, none or bad in the column verdict")
    nothing = torch.zeros(len(detections), dtype=torch.bool)
    return LinkTargets(torch.from_numpy(mother), torch.from_numpy(known), nothing)


def _read(file: Path) -> pd.DataFrame:
    try:
        # as text, since pandas takes the word None for nothing
        table = pd.read_csv(file, skipinitialspace=True, dtype=str, keep_default_na=False)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as a table of decisions: {error}") from error
    table.columns = table.columns.str.strip()
    if lacking := [name for name in COLUMNS if name not in table]:
        raise InputError(
            f"{file} lacks the column(s) {', '.join(lacking)}; expected {', '.join(COLUMNS)}, as "
            "`torchtrack-uq sample` writes them"
        )
    table = table.assign(**{name: table[name].str.strip() for name in COLUMNS})
    table["verdict"] = table["verdict"].str.lower()
    table = table[table["verdict"] != ""]
    if len(unknown := table[~table["verdict"].isin(VERDICTS)]):
        raise InputError(
            f"{file}, line {unknown.index[0] + 2}: verdict {unknown['verdict'].iloc[0]!r} is unknown; expected "
            f"{', '.join(VERDICTS)}, or nothing"
        )
    for name in ("frame", "label", "mother_frame", "mother"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        optional = (table[name] == "") if name in ("mother_frame", "mother") else False
        wrong = (numbers.isna() & ~optional) | ((numbers % 1 != 0) & numbers.notna())
        if wrong.any():
            at = table.index[wrong][0]
            raise InputError(f"{file}, line {at + 2}: {name} is {table[name][at]!r}; expected a whole number")
        table = table.assign(**{name: numbers})
    return table


def _cell(cell: dict[tuple[int, int], int], frame: int, label: int, where: str) -> int:
    found = cell.get((int(frame), int(label)))
    if found is None:
        raise InputError(
            f"{where}: there is no cell {label} in frame {frame}; are these the decisions of another movie or stride?"
        )
    return found
