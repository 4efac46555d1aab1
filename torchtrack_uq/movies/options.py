"""What a person may say about how images and masks are to be read."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torchtrack_uq.errors import InputError

Role: TypeAlias = Literal["images", "masks"]
MISSING_FRAMES = ("refuse", "empty", "skip")
"""What becomes of a frame whose file is missing: an error, a frame without cells, or nothing."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read what does not say it all itself.

    Attributes:
        axes: One letter of T, Z, C, Y, X (S for colours) for every axis, in the order in which they are stored; in
            place of what the files state.
        channel: Which channel, counted from 1, or its name.
        scene: Which image of a file that holds several, counted from 1.
        missing_frames: One of `MISSING_FRAMES`.
        role: What the frames are taken for; decides which files of a folder are meant, and labels have no channels.
        spatial: Dimensions of a frame, 2 or 3, where something else says so: images of 3D masks have planes.
    """

    axes: str | None = None
    channel: int | str | None = None
    scene: int | None = None
    missing_frames: str = "refuse"
    role: Role | None = None
    spatial: int | None = None

    def __post_init__(self) -> None:
        if self.missing_frames not in MISSING_FRAMES:
            raise InputError(
                f"missing_frames is {self.missing_frames!r}; expected one of {', '.join(MISSING_FRAMES)}"
            )
        if self.scene is not None and self.scene < 1:
            raise InputError(f"scene is {self.scene}; scenes are counted from 1")
        if self.axes is None:
            return
        axes = self.axes.upper()
        if not {"Y", "X"} <= set(axes) <= set("TZCSYX") or len(set(axes)) < len(axes):
            raise InputError(
                f"axes is {self.axes!r}; expected each of T (time), Z (planes), C (channels), Y and X at most once, "
                "Y and X among them, such as TZYX"
            )
        object.__setattr__(self, "axes", axes)

    @property
    def channel_option(self) -> str:
        """What the option is called on the command line."""
        return "--mask-channel" if self.role == "masks" else "--channel"
