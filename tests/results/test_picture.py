"""What the picture of doubts shows, and that what is written in it can be read."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from torchtrack_uq import CandidateGraph, Movie, TrackingResult, UncertainTracker
from torchtrack_uq.results.picture import draw_doubts


class Crowded:
    """Links every cell to all mothers; which of those that are near each other is chosen, says a seed."""

    name = "crowded"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def candidates(self, detections, movie=None, *, progress=True):
        earlier, later = detections.in_frame(0), detections.in_frame(1)
        mother, daughter = (i.ravel() for i in np.meshgrid(np.r_[earlier], np.r_[later], indexing="ij"))
        score = np.random.default_rng(self.seed).normal(0, 0.5, len(mother))
        return CandidateGraph.from_links(detections, mother, daughter, score, appear=-1.0)


def picture(seed: int, at: tuple[int, int] = (60, 60)) -> tuple[Figure, TrackingResult]:
    """Four mothers within two diameters of one daughter, without images."""
    masks = np.zeros((2, 200, 200), np.int32)
    y, x = at
    for k, (dy, dx) in enumerate(((-6, 8), (2, 10), (8, 6), (-5, -12))):
        masks[0, y + dy - 3 : y + dy + 4, x + dx - 3 : x + dx + 4] = k + 1
    masks[1, y - 3 : y + 4, x - 3 : x + 4] = 1
    movie = Movie.open(None, masks)
    result = UncertainTracker(Crowded(seed), "SM").track(None, masks, progress=False)
    figure = draw_doubts(movie, result.detections, result.probabilities, result.selected)
    figure.canvas.draw()
    return figure, result


def labels_of(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation)]


@pytest.mark.parametrize("seed", range(6))
def test_labels_of_a_close_up_do_not_cover_each_other(seed: int) -> None:
    figure, result = picture(seed)
    close_up = figure.axes[1]
    labels = labels_of(close_up)
    assert len(labels) == len(result.candidates.mother)
    boxes = [label.get_window_extent() for label in labels]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    frame = close_up.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


@pytest.mark.parametrize("seed", range(6))
def test_the_chosen_mother_is_drawn_last(seed: int) -> None:
    figure, result = picture(seed)
    chosen = result.probabilities.link.numpy()[result.selected]
    labels = labels_of(figure.axes[1])
    if len(chosen):
        assert labels[-1].get_text() == f"{chosen[0]:.0%}"
    assert all(label.get_path_effects() for label in labels)


@pytest.mark.parametrize(("y", "below"), [(9, True), (60, False)])
def test_a_number_near_the_top_edge_leaves_the_title_alone(y: int, below: bool) -> None:
    figure, _ = picture(0, at=(y, 60))
    overview = figure.axes[0]
    [number] = labels_of(overview)
    point = overview.transData.transform(number.xy)
    assert (number.get_window_extent().y1 < point[1]) == below
    assert number.get_window_extent().y1 < overview.get_window_extent().y1


def test_cells_without_an_image_can_be_told_from_the_background() -> None:
    figure, _ = picture(0)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.min() == 0
    assert shown.max() >= 0.35
