"""Which column of a table of points is what."""

import re
from collections.abc import Mapping, Sequence

from torchtrack_uq.errors import InputError

ROLES = ("frame", "z", "y", "x", "id")
_NAMES = {
    "frame": ("frame", "t", "time_point", "timepoint", "frame_number", "imagenumber"),
    "z": ("z", "position_z", "location_center_z"),
    "y": ("y", "position_y", "location_center_y"),
    "x": ("x", "position_x", "location_center_x"),
    "id": ("id", "label", "spot_id", "cell_id", "object_id", "objectnumber", "index"),
}
"""In lower case, the likelier first: of trackpy, LapTrack and btrack, TrackMate, CellProfiler, scikit-image, napari."""
_TRACKS = re.compile(
    r"(track|tracklet|tree|particle|parent|lineage|root|generation|mother)(_?id)?|unnamed: \d+"
)
"""Columns that say which cells belong together, and so no features; and nameless ones."""
_OPTIONAL = ("z", "id")


def choose_columns(
    columns: Sequence[str], given: Mapping[str, str | None] | None, name: str
) -> dict[str, str]:
    """The column of each role.

    Points layers of napari have axes by number, `axis-0` for the frame, then (z), y, x; centroids of scikit-image's
    `regionprops_table` likewise, without a frame: `centroid-0`, `centroid-1`.

    Args:
        columns: Names of all columns.
        given: By role, one of `ROLES`, the column to take; None or "" for a role that no column has.
        name: Of the table, for messages.

    Returns:
        By role, in the order of `ROLES`, those found.

    Raises:
        InputError: A role that is unknown, a column that is not there, or none for frame, y or x.

    >>> choose_columns(["ID", "POSITION_X", "POSITION_Y", "FRAME"], None, "spots.csv")
    {'frame': 'FRAME', 'y': 'POSITION_Y', 'x': 'POSITION_X', 'id': 'ID'}
    >>> choose_columns(["index", "axis-0", "axis-1", "axis-2"], {"id": None}, "points.csv")
    {'frame': 'axis-0', 'y': 'axis-1', 'x': 'axis-2'}
    """
    asked = dict(given or {})
    for role, column in asked.items():
        if role not in ROLES:
            raise InputError(f"{role!r} is nothing that a column can be; expected one of {', '.join(ROLES)}")
        if column and column not in columns:
            raise InputError(f"{name} has no column {column!r}; it has {', '.join(columns)}")
    found = {**_by_number(columns, asked, name), **{role: column for role, column in asked.items() if column}}
    for role in ROLES:
        if role not in found and role not in asked:
            column = _by_name(columns, role, name)
            if column is not None:
                found[role] = column
    missing = [role for role in ROLES if role not in found and role not in _OPTIONAL]
    if missing:
        example = ",".join(f"{role}=NAME" for role in missing)
        raise InputError(
            f"{name} has no column for {' and '.join(missing)}; it has {', '.join(columns)}: say which it is, with "
            f"--columns {example} or columns={{'{missing[0]}': 'NAME'}}"
        )
    twice = sorted({column for column in found.values() if list(found.values()).count(column) > 1})
    if twice:
        raise InputError(f"column {twice[0]} of {name} is taken for two things; name another with --columns")
    return {role: found[role] for role in ROLES if role in found}


def feature_columns(columns: Sequence[str], taken: Mapping[str, str]) -> list[str]:
    """Columns that may describe a cell: those that say neither where nor when nor which one it is.

    >>> feature_columns(["frame", "x", "y", "mass", "particle"], {"frame": "frame", "x": "x", "y": "y"})
    ['mass']
    """
    identities = {*_NAMES["id"], *_NAMES["frame"]}
    return [
        column
        for column in columns
        if column not in taken.values()
        and column.lower() not in identities
        and not _TRACKS.fullmatch(column.lower())
    ]


def _by_name(columns: Sequence[str], role: str, name: str) -> str | None:
    for known in _NAMES[role]:
        if known in columns:
            return known
        alike = [column for column in columns if column.lower() == known]
        if len(alike) > 1:
            raise InputError(
                f"{name} has the columns {' and '.join(alike)}; say which is {role}: --columns {role}=NAME"
            )
        if alike:
            return alike[0]
    return None


def _by_number(columns: Sequence[str], asked: Mapping[str, str | None], name: str) -> dict[str, str]:
    """Roles of columns that are numbered axes."""
    for pattern, has_frame in ((r"axis-(\d+)", True), (r"centroid[-_](\d+)", False)):
        numbers = {int(match[1]): match[0] for c in columns if (match := re.fullmatch(pattern, c))}
        if not numbers or any(role in asked for role in ("y", "x")):
            continue
        axes = [numbers[k] for k in sorted(numbers)]
        roles = ["frame"] * has_frame + ["z"] * (len(axes) - has_frame == 3) + ["y", "x"]
        if len(axes) != len(roles):
            raise InputError(
                f"{name} has {len(axes)} axes ({', '.join(axes)}); expected {'frame, ' * has_frame}(z), y, x: "
                "say which is what, with --columns"
            )
        return dict(zip(roles, axes, strict=True))
    return {}
