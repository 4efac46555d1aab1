"""A finished tracking, whoever made it: spots, and links from mothers to daughters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_EXACT = 2**53  # whole numbers up to here are exact as floats
_UNSET: Ints = np.array([-1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TrackTable:
    """N spots and the L links between them, as another program left them.

    Divisions, gaps, a third daughter and a second mother (a merge) are allowed, since trackers make them; links lead
    forward in time, so that there are no circles.

    Attributes:
        source: What made it, such as "TrackMate", for messages.
        frame: (N,) int64, frame of each spot from 0.
        coords: (N, D) float64, (y, x) or (z, y, x); None where the format has none and spots are known by label.
        mother: (L,) int64, row of each link's mother.
        daughter: (L,) int64, row of its daughter.
        label: (N,) int64, the spot's label in that frame's mask; None where the format has none.
        id: (N,) int64, what the spot is called there; by default its row.
        track: (N,) int64, its track there; -1 where it is in none, or nobody says.
        unit: Of the coordinates; "pixel", another one that the file states, or None where it states none.
        masks: Where the masks are whose labels `label` names, where the format has some.
        notes: What was left out or changed on reading, a sentence each.

    Raises:
        InputError: Lengths that differ, a frame below 0, an id or a label in a frame twice, coordinates that are not
            finite, a link that names no spot, stands twice or does not lead to a later frame.

    >>> TrackTable("an example", [0, 1, 1], [[5, 5], [4, 4], [6, 6]], mother=[0, 0], daughter=[1, 2])
    TrackTable(an example: 3 spots in frames 0 to 1, 2 links, 1 divisions)
    """

    source: str
    frame: Ints
    coords: Floats | None
    mother: Ints
    daughter: Ints
    label: Ints | None = None
    id: Ints = field(default_factory=lambda: _UNSET)
    track: Ints = field(default_factory=lambda: _UNSET)
    unit: str | None = None
    masks: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frame = _whole(self.source, "frame", self.frame)
        n = len(frame)
        values: dict[str, Any] = {"frame": frame}
        for name in ("mother", "daughter"):
            values[name] = _whole(self.source, name, getattr(self, name))
        values["id"] = np.arange(n) if self.id is _UNSET else _whole(self.source, "id", self.id)
        values["track"] = (
            np.full(n, -1, np.int64) if self.track is _UNSET else _whole(self.source, "track", self.track)
        )
        values["label"] = None if self.label is None else _whole(self.source, "label", self.label)
        values["coords"] = None if self.coords is None else np.asarray(self.coords, dtype=np.float64)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check_spots()
        self._check_links()

    def _check_spots(self) -> None:
        n, who = len(self.frame), self.source
        if not n:
            raise InputError(f"{who}: the result holds no spot; expected a finished tracking")
        for name, column in (("id", self.id), ("track", self.track), ("label", self.label)):
            if column is not None and column.shape != (n,):
                raise InputError(f"{who}: {name} has shape {column.shape} for {n} spots; expected ({n},)")
        if self.coords is None and self.label is None:
            raise InputError(f"{who}: spots have neither coordinates nor labels; expected one of the two")
        if self.coords is not None:
            if self.coords.ndim != 2 or len(self.coords) != n or self.coords.shape[1] not in (2, 3):
                raise InputError(
                    f"{who}: coordinates have shape {self.coords.shape} for {n} spots; expected ({n}, 2) or ({n}, 3)"
                )
            for i in np.flatnonzero(~np.isfinite(self.coords).all(axis=1)):
                raise InputError(f"{who}: spot {self.id[i]} in frame {self.frame[i]} has no finite position")
        if self.frame.min() < 0:
            raise InputError(
                f"{who}: there is a spot in frame {self.frame.min()}; frames count from 0 (first_frame says what the "
                "file calls the first one)"
            )
        if (twice := _repeated([self.id])) is not None:
            raise InputError(f"{who}: spot {self.id[twice]} stands twice; expected one row for each")
        if self.label is not None and (twice := _repeated([self.label, self.frame])) is not None:
            raise InputError(
                f"{who}: label {self.label[twice]} stands twice in frame {self.frame[twice]}; expected one spot each"
            )

    def _check_links(self) -> None:
        n, who = len(self.frame), self.source
        if self.mother.shape != self.daughter.shape or self.mother.ndim != 1:
            raise InputError(
                f"{who}: there are {self.mother.shape} mothers and {self.daughter.shape} daughters; expected a pair a "
                "link"
            )
        ends = np.concatenate([self.mother, self.daughter])
        if len(ends) and (ends.min() < 0 or ends.max() >= n):
            raise InputError(f"{who}: links name rows {ends.min()} to {ends.max()} of {n} spots")
        for k in np.flatnonzero(self.gap < 1):
            i, j = self.mother[k], self.daughter[k]
            where = (
                f"stays in frame {self.frame[i]}"
                if i == j or self.gap[k] == 0
                else f"leads back in time, from frame {self.frame[i]} to frame {self.frame[j]}"
            )
            raise InputError(
                f"{who}: the link from spot {self.id[i]} to spot {self.id[j]} {where}; expected a later frame"
            )
        if (twice := _repeated([self.mother, self.daughter])) is not None:
            i, j = self.mother[twice], self.daughter[twice]
            raise InputError(f"{who}: the link from spot {self.id[i]} to spot {self.id[j]} stands twice")

    @classmethod
    def from_ids(
        cls, source: str, id: ArrayLike, mother_id: ArrayLike, daughter_id: ArrayLike, **columns: Any
    ) -> "TrackTable":
        """A table whose links name spots by their ids; a link whose ends stand in the wrong order is turned round.

        Args:
            source: As for the class.
            id: (N,) integers.
            mother_id: (L,) integers.
            daughter_id: (L,) integers.
            **columns: Other attributes.

        Raises:
            InputError: A link names an unknown spot; and as the class.
        """
        ids, frame = _whole(source, "id", id), _whole(source, "frame", columns["frame"])
        order = np.argsort(ids, kind="stable")
        if not len(ids) or len(frame) != len(ids):
            raise InputError(
                f"{source}: there are {len(ids)} ids for {len(frame)} frames; expected spots, one id each"
            )
        ends = []
        for name, wanted in (("source", mother_id), ("target", daughter_id)):
            named = _whole(source, name, wanted)
            rows = order[np.minimum(np.searchsorted(ids, named, sorter=order), len(ids) - 1)]
            for k in np.flatnonzero(ids[rows] != named):
                raise InputError(f"{source}: link {k} names spot {named[k]}, which is not among the spots")
            ends.append(rows)
        backward = frame[ends[0]] > frame[ends[1]]
        mother, daughter = np.where(backward, ends[1], ends[0]), np.where(backward, ends[0], ends[1])
        return cls(source, mother=mother, daughter=daughter, id=ids, **columns)

    @classmethod
    def from_runs(
        cls,
        source: str,
        frame: ArrayLike,
        track: ArrayLike,
        parents: Mapping[int, Sequence[int]],
        **columns: Any,
    ) -> "TrackTable":
        """A table in which spots of a track follow each other, and tracks descend from others.

        A track's first spot descends from the last spot of its parent before it.

        Args:
            source: As for the class.
            frame: (N,) integers.
            track: (N,) integers; spots of track -1 are in none.
            parents: By track, those it descends from: one, or several for a merge.
            **columns: Other attributes.

        Raises:
            InputError: A track is twice in a frame, or a parent is unknown or begins too late; and as the class.

        >>> TrackTable.from_runs("an example", [0, 1, 3], [1, 1, 2], {2: [1]}, coords=[[5, 5], [5, 6], [5, 7]]).gap
        array([1, 2])
        """
        frames, tracks = _whole(source, "frame", frame), _whole(source, "track", track)
        if frames.shape != tracks.shape:
            raise InputError(f"{source}: there are {frames.shape} frames for {tracks.shape} tracks")
        order = np.lexsort((frames, tracks))
        order = order[tracks[order] != -1]
        same = tracks[order[1:]] == tracks[order[:-1]]
        for k in np.flatnonzero(same & (frames[order[1:]] == frames[order[:-1]])):
            raise InputError(
                f"{source}: track {tracks[order[k]]} has two spots in frame {frames[order[k]]}; expected one at most"
            )
        mother, daughter = order[:-1][same].tolist(), order[1:][same].tolist()
        parts = np.split(order, np.flatnonzero(~same) + 1)
        rows = {int(tracks[part[0]]): part for part in parts if len(part)}
        for child, above in parents.items():
            for parent in above:
                for one in (child, parent):
                    if one not in rows:
                        raise InputError(
                            f"{source}: track {child} descends from track {parent}, but track {one} has no spot"
                        )
                first = rows[child][0]
                before = rows[parent][frames[rows[parent]] < frames[first]]
                if not len(before):
                    raise InputError(
                        f"{source}: track {child} begins in frame {frames[first]}, not after its parent {parent} does "
                        f"(frame {frames[rows[parent][0]]})"
                    )
                mother.append(int(before[-1]))
                daughter.append(int(first))
        ends = (np.array(mother, dtype=np.int64), np.array(daughter, dtype=np.int64))
        return cls(source, frame=frames, mother=ends[0], daughter=ends[1], track=tracks, **columns)

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return (
            f"TrackTable({self.source}: {len(self)} spots in frames {self.frame.min()} to {self.frame.max()}, "
            f"{len(self.mother)} links, {int((self.n_daughters > 1).sum())} divisions)"
        )

    @property
    def gap(self) -> Ints:
        """(L,) int64, how many frames each link spans."""
        found: Ints = self.frame[self.daughter] - self.frame[self.mother]
        return found

    @property
    def n_daughters(self) -> Ints:
        """(N,) int64."""
        return np.bincount(self.mother, minlength=len(self)).astype(np.int64)

    @property
    def n_mothers(self) -> Ints:
        """(N,) int64; more than 1 is a merge."""
        return np.bincount(self.daughter, minlength=len(self)).astype(np.int64)

    def in_pixels(self, pixel_size: float | Sequence[float] | None) -> "TrackTable":
        """Coordinates divided by the size of a pixel in their units; as they are for None.

        Args:
            pixel_size: One number, or one an axis, ((z,) y, x).

        Raises:
            InputError: Not positive, not one an axis, or positions are known to be in pixels.
        """
        if pixel_size is None or self.coords is None:
            return self
        if self.unit == "pixel":
            raise InputError(f"{self.source}: positions are in pixels already; leave pixel_size out")
        size = np.atleast_1d(np.asarray(pixel_size, dtype=np.float64))
        if size.shape not in ((1,), (self.coords.shape[1],)) or not (np.isfinite(size) & (size > 0)).all():
            axes = "z,y,x" if self.coords.shape[1] == 3 else "y,x"
            raise InputError(
                f"pixel_size is {pixel_size}; expected a positive number, or one for each of {axes}"
            )
        return replace(self, coords=self.coords / size, unit="pixel")

    def from_frame(self, first_frame: int) -> "TrackTable":
        """The same with `first_frame` called 0.

        Raises:
            InputError: There are spots before it.
        """
        return self if first_frame == 0 else replace(self, frame=self.frame - first_frame)


def _whole(source: str, name: str, values: ArrayLike) -> Ints:
    """Whole numbers as int64, also where a table holds them as floats."""
    found = np.asarray(values)
    if not found.size:
        return found.astype(np.int64)
    if found.dtype.kind not in "iuf":
        raise InputError(f"{source}: {name} holds {found.dtype}; expected whole numbers")
    largest = _EXACT if found.dtype.kind == "f" else np.iinfo(np.int64).max
    wrong = np.abs(found) > largest if found.dtype.kind != "i" else np.zeros(found.shape, np.bool_)
    if found.dtype.kind == "f":
        wrong = ~((np.abs(found) <= largest) & (found == np.floor(found)))
    for k in np.flatnonzero(wrong):
        raise InputError(
            f"{source}: {name} of row {k} is {found.flat[k]}; expected whole numbers up to {largest}"
        )
    return found.astype(np.int64)


def _repeated(keys: Sequence[Ints]) -> int | None:
    """A row whose keys stand in an earlier row as well."""
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    found = order[1:][same]
    return int(found[0]) if len(found) else None
