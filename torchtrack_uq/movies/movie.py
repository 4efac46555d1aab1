"""A movie: masks and, where there are any, images, checked against each other before any work starts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.belong_together import check_same_recording
from torchtrack_uq.movies.frames import Frame, FramesLike, FrameSource, open_frames
from torchtrack_uq.movies.scale import check_scale

_LARGEST_LABEL = np.iinfo(np.int64).max
_BRIGHTEST = 1e37


@dataclass(frozen=True)
class Movie:
    """Images and label masks of one movie, read one frame at a time.

    Attributes:
        masks: Integer label masks; 0 is background, every other value one cell.
        images: Single-channel images of the same shape, or None where a movie has masks only.
        stride: Which frames of the recording these are: frame t here is frame t * stride there.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x); None where nobody knows: voxels are cubes then.
        interval: Seconds from one frame of the movie to the next; None where nobody knows.
    """

    masks: FrameSource
    images: FrameSource | None = None
    stride: int = 1
    voxel_size: tuple[float, ...] | None = None
    interval: float | None = None

    @classmethod
    def open(
        cls,
        images: FramesLike | None,
        masks: FramesLike,
        stride: int = 1,
        *,
        voxel_size: Sequence[float] | None = None,
        interval: float | None = None,
        axes: str | None = None,
        channel: int | str | None = None,
        mask_channel: int | str | None = None,
        scene: int | None = None,
        missing_frames: str = "refuse",
    ) -> "Movie":
        """Open and check images and masks; `stride` takes every `stride`-th frame.

        Args:
            images: Images, or None; see `open_frames`.
            masks: Label masks of the same frames and shape.
            stride: Take every `stride`-th frame.
            voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x); by default what masks or images state.
            interval: Seconds between frames of the recording; by default what masks or images state.
            axes: What each axis is, such as "TCYX", in place of what images and masks state; see `open_frames`.
            channel: Which channel of the images, counted from 1, or its name.
            mask_channel: Which channel of the masks, where they are one.
            scene: Which of several images in a file, counted from 1.
            missing_frames: "refuse", "empty" or "skip"; see `open_frames`.

        Raises:
            InputError: Axes, channels or files that nobody can tell apart, see `open_frames`; images and masks of
                different frames or voxels; lengths, shapes, types or sizes that do not fit, or fewer than two frames.

        >>> masks = np.zeros((5, 8, 8), np.uint16)
        >>> Movie.open(None, masks, stride=2).n_frames
        3
        """
        if stride < 1:
            raise InputError(f"stride must be at least 1, got {stride}")
        if channel is not None and images is None:
            raise InputError(
                "channel is of images, of which there are none; channels of masks are mask_channel's"
            )
        mask_frames = open_frames(
            masks,
            "masks",
            axes=axes,
            channel=mask_channel,
            scene=scene,
            missing_frames=missing_frames,
            role="masks",
        )
        _check_masks(mask_frames)
        image_frames = None
        if images is not None:
            image_frames = open_frames(
                images,
                "images",
                axes=axes,
                channel=channel,
                scene=scene,
                missing_frames=missing_frames,
                role="images",
                spatial=len(mask_frames.frame_shape),
            )
            check_same_recording(image_frames, mask_frames, stated_scale=voxel_size is None)
            _check_images(image_frames, mask_frames)
        n_kept = -(-mask_frames.n_frames // stride)
        if n_kept < 2:
            raise InputError(
                f"{mask_frames.name} has {mask_frames.n_frames} frame(s)"
                + (f", of which stride {stride} keeps {n_kept}" if stride > 1 else "")
                + "; tracking needs at least two"
            )
        sources = [source for source in (mask_frames, image_frames) if source is not None]
        if voxel_size is None:
            voxel_size = next((one.voxel_size for one in sources if one.voxel_size is not None), None)
        if interval is None:
            interval = next((one.interval for one in sources if one.interval is not None), None)
        check_scale(voxel_size, interval, len(mask_frames.frame_shape))
        return cls(
            mask_frames.strided(stride),
            None if image_frames is None else image_frames.strided(stride),
            stride,
            None if voxel_size is None else tuple(float(edge) for edge in voxel_size),
            None if interval is None else float(interval) * stride,
        )

    def select(self, frames: range) -> "Movie":
        """Some frames, at equal distances, as a movie of their own; `stride` counts on from this one's."""
        return Movie(
            self.masks.select(frames),
            None if self.images is None else self.images.select(frames),
            self.stride * frames.step,
            self.voxel_size,
            None if self.interval is None else self.interval * frames.step,
        )

    @property
    def n_frames(self) -> int:
        """Number of frames after subsampling."""
        return self.masks.n_frames

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame, (Y, X) or (Z, Y, X)."""
        return self.masks.frame_shape

    def read_mask(self, t: int) -> Frame:
        """Label mask of frame `t`; refuses labels that are negative or do not fit int64."""
        mask = self.masks.read(t)
        if mask.dtype.kind == "i" and mask.size and mask.min() < 0:
            raise InputError(
                f"{self.masks.name} holds the negative label {mask.min()} in frame {t}; expected 0 for "
                "background and positive labels (were unsigned labels saved in a signed type?)"
            )
        if mask.dtype == np.uint64 and mask.size and mask.max() > _LARGEST_LABEL:
            raise InputError(
                f"{self.masks.name} holds the label {mask.max()} in frame {t}; expected labels of at most "
                f"{_LARGEST_LABEL} (were negative labels saved in an unsigned type?)"
            )
        return mask

    def read_image(self, t: int) -> Frame | None:
        """Image of frame `t`, or None if the movie has none; refuses NaN, infinite pixels and those beyond float32."""
        if self.images is None:
            return None
        image = self.images.read(t)
        if image.dtype.kind == "f" and image.size:
            brightest = max(float(image.max()), -float(image.min()))
            if not math.isfinite(brightest):
                n_bad = int(np.count_nonzero(~np.isfinite(image)))
                raise InputError(
                    f"{self.images.name} holds {n_bad} NaN or infinite pixel(s) in frame {t}; "
                    "replace them, for instance with numpy.nan_to_num"
                )
            if brightest > _BRIGHTEST:
                raise InputError(
                    f"{self.images.name} holds intensities up to {brightest:.3g} in frame {t}; expected at most "
                    f"{_BRIGHTEST:g}, so that single precision holds them and their differences"
                )
        return image


def _check_masks(masks: FrameSource) -> None:
    if masks.n_frames == 0:
        raise InputError(f"{masks.name} is empty: it has no frame")
    if 0 in masks.frame_shape:
        raise InputError(f"{masks.name} has empty frames of shape {masks.frame_shape}")
    if masks.dtype.kind == "b":
        raise InputError(
            f"{masks.name} is a yes/no mask (bool); expected one integer label a cell, "
            "for instance from scipy.ndimage.label"
        )
    if masks.dtype.kind not in "iu":
        raise InputError(
            f"{masks.name} has pixels of type {masks.dtype}; expected integer labels: "
            "convert them with astype(numpy.int32) if they are whole numbers"
        )


def _check_images(images: FrameSource, masks: FrameSource) -> None:
    if len(images.frame_shape) == len(masks.frame_shape) + 1:
        raise InputError(
            f"{images.name} looks like colour or multi-channel images, frames of shape {images.frame_shape} "
            f"where {masks.name} has {masks.frame_shape}; expected a single channel: select the one to track on"
        )
    if images.n_frames != masks.n_frames:
        raise InputError(
            f"{images.name} has {images.n_frames} frames but {masks.name} has {masks.n_frames}; "
            "images and masks must be the same frames"
        )
    if images.frame_shape != masks.frame_shape:
        raise InputError(
            f"{images.name} has frames of shape {images.frame_shape} but {masks.name} {masks.frame_shape}; "
            "images and masks must have the same shape"
        )
    if images.dtype.kind not in "iufb":
        raise InputError(f"{images.name} has pixels of type {images.dtype}; expected integers or floats")
