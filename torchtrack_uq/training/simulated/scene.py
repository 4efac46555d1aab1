"""What a simulated window shows: drawn anew for each, far wider than any one movie."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scene:
    """Cells of one kind, and how they are imaged. Lengths in mean diameters, times in frames.

    Attributes:
        ndim: Dimensions, 2 or 3.
        n_frames: Frames.
        n_cells: Cells that the first frame shows, about.
        diameter: Mean diameter in pixels.
        size_sd: Standard deviation of the logarithm of a cell's diameter.
        spacing: Mean distance of neighbours.
        apart: How near two cells come, as a share of the mean of their diameters.
        step: Standard deviation of a cell's step along each axis.
        step_sd: Standard deviation of the logarithm of `step` from cell to cell.
        persistence: Correlation of a cell's step with its next one.
        drift: Length of a step that all cells have in common.
        shake: Standard deviation of a displacement of each frame.
        flow: Amplitude of a smooth field of steps.
        flow_length: Its wavelength.
        strain: Standard deviation of the field's gradient (tissue that shears and spreads).
        expansion: Share by which all distances grow from frame to frame: a packed colony makes room for its daughters.
        aspect: Ratio of the longest to the other axes.
        aspect_sd: Standard deviation of its logarithm from cell to cell.
        aligned: Share of cells that lie the same way.
        turn: Standard deviation of a cell's rotation, radians.
        deform: Standard deviation of the change of each axis' logarithm.
        swell: Standard deviation of the change of the size's logarithm.
        rough: How far outlines are from ellipses: their spread exceeds that of the ellipse by up to this share.
        grows: Whether cells double from birth to division.
        divide: Probability of a division.
        separation: Distance of two daughters.
        uneven: Standard deviation of the logarithm of the ratio of two daughters' sizes.
        die: Probability that a cell vanishes.
        brightness: Mean intensity of cells, 0 without images.
        brightness_sd: Standard deviation of its logarithm from cell to cell.
        flicker: And from frame to frame.
        depth_noise: Standard deviation of the error of places along the first axis, in 3D.
        missed: Share of cells that are not detected.
        false: Share of detections that are no cell.
        merged: Share of cells that are one detection with a neighbour.
        split: Share of cells that are two detections.
        is_field: Whether the window is a whole field of view, with borders, or a box in a larger one.
        is_whole: Whether there are no other cells than those that the window shows, in an empty field.
    """

    ndim: int
    n_frames: int
    n_cells: int
    diameter: float
    size_sd: float
    spacing: float
    apart: float
    step: float
    step_sd: float
    persistence: float
    drift: float
    shake: float
    flow: float
    flow_length: float
    strain: float
    expansion: float
    aspect: float
    aspect_sd: float
    aligned: float
    turn: float
    deform: float
    swell: float
    rough: float
    grows: bool
    divide: float
    separation: float
    uneven: float
    die: float
    brightness: float
    brightness_sd: float
    flicker: float
    depth_noise: float
    missed: float
    false: float
    merged: float
    split: float
    is_field: bool
    is_whole: bool

    @classmethod
    def draw(
        cls, rng: np.random.Generator, ndim: int, n_frames: int, most_cells: int, diameter: float
    ) -> "Scene":
        """A scene at random.

        Args:
            rng: Source of randomness.
            ndim: Dimensions, 2 or 3.
            n_frames: Frames.
            most_cells: Cells that a frame shows at most, about; of whole colonies, one in the middle of the window.
            diameter: Mean diameter in pixels that scenes scatter around, by a factor of up to 1.5.
        """

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def log_between(low: float, high: float) -> float:
            return float(np.exp(rng.uniform(math.log(low), math.log(high))))

        def sometimes(share: float, value: float) -> float:
            return value if rng.random() < share else 0.0

        is_colony = rng.random() < 0.2
        shape = rng.random() + 0.3 * is_colony
        aspect = between(1, 1.4) if shape < 0.5 else between(1.4, 2.5) if shape < 0.8 else between(2.5, 6)
        errors = rng.random() < 0.6
        spacing = log_between(0.9, 1.5 if is_colony else 3.5)
        n_cells = log_between(min(8, most_cells), most_cells)
        divide = log_between(0.05, 0.9) if is_colony else log_between(0.002, 0.4)
        is_whole = is_colony and rng.random() < 0.6
        if is_whole:  # so many in the middle of the window
            n_cells /= (1 + divide) ** ((n_frames - 1) / 2)
        # a cell that goes much farther than its neighbours are apart is nobody's to find
        step = min(log_between(0.02, 1.2), 0.45 * spacing) * (1 if rng.random() < 0.85 else 1.5)
        return cls(
            ndim=ndim,
            n_frames=n_frames,
            n_cells=max(2, round(n_cells)),
            diameter=diameter * log_between(1 / 1.5, 1.5),
            size_sd=between(0, 0.3),
            spacing=spacing,
            apart=between(0.4, 0.95),
            step=step,
            step_sd=sometimes(0.7, between(0, 0.9)),
            persistence=sometimes(0.5, between(-0.2, 0.95)),
            drift=sometimes(0.35, between(0, 1.0)),
            shake=sometimes(0.25, log_between(0.03, 0.4)),
            flow=sometimes(0.4, log_between(0.05, 0.8)),
            flow_length=log_between(4, 25),
            strain=sometimes(0.4, log_between(0.005, 0.2)),
            expansion=((1 + divide) ** (1 / ndim) - 1) * between(0.6, 1.1) if is_colony else 0.0,
            aspect=aspect,
            aspect_sd=between(0, 0.25),
            aligned=sometimes(0.3, between(0.5, 1)),
            turn=log_between(0.02, 1.0) if aspect < 2.5 else log_between(0.02, 0.5),
            deform=log_between(0.01, 0.25),
            swell=log_between(0.01, 0.2),
            rough=sometimes(0.5, between(0, 0.5)),
            grows=is_colony or bool(rng.random() < 0.5),
            divide=divide,
            separation=between(0.5, 1.1),
            uneven=log_between(0.02, 0.3),
            die=log_between(0.0005, 0.1),
            brightness=sometimes(0.5, between(0.1, 0.9)),
            brightness_sd=between(0, 0.5),
            flicker=log_between(0.02, 0.25),
            depth_noise=sometimes(0.6, between(0, 0.25)) if ndim == 3 else 0.0,
            missed=sometimes(0.7, between(0, 0.12)) if errors else 0.0,
            false=sometimes(0.6, between(0, 0.1)) if errors else 0.0,
            merged=sometimes(0.5, between(0, 0.06)) if errors else 0.0,
            split=sometimes(0.5, between(0, 0.06)) if errors else 0.0,
            is_field=not is_whole and bool(rng.random() < 0.5),
            is_whole=is_whole,
        )
