"""Decisions in a folder whose results were replaced by results of other cells: refused, since labels are used again."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.review.decision_log import separator_of


def refuse_earlier_cells(results: Path, decisions: Path) -> None:
    """Refuse decisions that were made before the results became those of other cells (`track --overwrite`).

    A label that was one cell then is another now, and the decision would be applied to it without a word. Decisions
    about the same cells, tracked anew with other settings, are taken; so are tables without times.

    Args:
        results: Folder of results.
        decisions: A log of decisions, or another table.

    Raises:
        InputError: One of them is from before.
    """
    try:
        since = _time(json.loads((results / "settings.json").read_text()).get("cells_since"))
        content = decisions.read_bytes()
    except (OSError, ValueError, AttributeError, RecursionError):
        return  # who reads them says it better
    if since is None:
        return
    text = io.StringIO(content.decode("utf-8-sig", errors="replace"))
    try:
        times = [_time(row.get("time")) for row in csv.DictReader(text, delimiter=separator_of(content))]
    except csv.Error:
        return
    earlier = sum(time is not None and time < since for time in times)
    if earlier:
        raise InputError(
            f"{earlier} row(s) of {decisions} are from before {since.isoformat(timespec='seconds')}, when the results "
            f"in {results} were replaced by those of other cells, which have the same labels: move the file away to "
            f"begin anew; if they are of these cells all the same, pass them to `torchtrack-uq correct` without the "
            f"column time"
        )


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
