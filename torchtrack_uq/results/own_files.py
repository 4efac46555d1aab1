"""Names of the files in a folder of results that are this package's to replace."""

import re
from pathlib import Path

OURS = re.compile(
    r"mask\d+\.tif|links\.(csv|parquet)|(?:cells|tracks)\.csv|res_track\.txt|(tracks|candidates)\.geff|settings\.json"
    r"|doubts\.(?:png|csv)|report\.html|state\.npz|review\.csv"
)
"""Names of what `save_result` may write, and `ScoredTracks.save` beside it."""


def own_files(folder: Path) -> list[Path]:
    """What of a folder of results was written by this package; the rest is the user's.

    >>> own_files(Path("nowhere"))
    []
    """
    if not folder.is_dir():
        return []
    return sorted(item for item in folder.iterdir() if OURS.fullmatch(item.name))
