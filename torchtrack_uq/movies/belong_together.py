"""Whether images and masks are of the same recording: not the same files, the same frames, the same voxels."""

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.numbering import in_words
from torchtrack_uq.movies.scale import by_axis
from torchtrack_uq.movies.source import FrameSource

_TOLERANCE = 0.01
"""Relative; files round their resolutions."""


def check_same_recording(images: FrameSource, masks: FrameSource, *, stated_scale: bool = True) -> None:
    """Refuse images and masks that cannot belong together.

    Args:
        images: Images of a movie, all frames.
        masks: Its label masks, all frames.
        stated_scale: Whether the voxel sizes that they state matter.

    Raises:
        InputError: They are the same files, have other frame numbers where frames are missing, or state voxel sizes
            that contradict each other.
    """
    one, other = images.reading, masks.reading
    same_files = (
        one.files == other.files if one.files else images.name == masks.name and one.format != "array"
    )
    if images is not masks and same_files and one.channel == other.channel:
        raise InputError(
            f"images and masks are the same files, {masks.name}; expected label masks with one number a cell as masks"
        )
    if one.missing or other.missing:
        alone = [number for number in one.missing if number in other.numbers and number not in other.missing]
        if alone and images.n_frames == masks.n_frames:
            raise InputError(
                f"{images.name} has no image of frame {in_words(alone)}, but {masks.name} has its mask; expected both "
                "or neither"
            )
        if images.n_frames == masks.n_frames == len(one.numbers) == len(other.numbers) and _from_first(
            one.numbers
        ) != _from_first(other.numbers):
            k = next(
                k for k, pair in enumerate(zip(one.numbers, other.numbers, strict=True)) if pair[0] != pair[1]
            )
            raise InputError(
                f"{images.name} goes on with frame {one.numbers[k]} where {masks.name} has {other.numbers[k]}; "
                "expected the same frame numbers"
            )
    if stated_scale and images.voxel_size is not None and masks.voxel_size is not None:
        if len(images.voxel_size) != len(masks.voxel_size):
            return  # their shapes differ, of which a sentence of its own speaks
        if not np.allclose(images.voxel_size, masks.voxel_size, rtol=_TOLERANCE, atol=0):
            raise InputError(
                f"{images.name} states voxels of {by_axis(images.voxel_size)} µm but {masks.name} of "
                f"{by_axis(masks.voxel_size)} µm; say which with --voxel-size"
            )


def _from_first(numbers: tuple[int, ...]) -> list[int]:
    return [number - numbers[0] for number in numbers]
