"""What the picture of doubts shows, and that what is written in it can be read."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from torchtrack_uq import CandidateGraph, Movie, TrackingResult, UncertainTracker
from torchtrack_uq.results import picture as picture_module
from torchtrack_uq.results.picture import draw_doubts
from torchtrack_uq.results.scale_bar import draw_scale_bar


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
        mother = int(result.candidates.mother[result.selected][0])
        assert labels[-1].get_text() == f"{result.detections.name[mother]}: {chosen[0]:.0%}"
    assert all(label.get_path_effects() for label in labels)


@pytest.mark.parametrize("y", [4, 9, 60])
def test_a_number_near_the_top_edge_leaves_the_title_alone(y: int) -> None:
    figure, _ = picture(0, at=(y, 60))
    overview = figure.axes[0]
    [number] = labels_of(overview)
    circle = number.get_bbox_patch()
    assert circle is not None
    assert circle.get_window_extent().y1 < overview.get_window_extent().y1


def test_cells_without_an_image_can_be_told_from_the_background() -> None:
    figure, _ = picture(0)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.min() == 0
    assert shown.max() >= 0.35


def test_a_close_up_shows_both_frames_with_the_labels_of_all_who_may_be_the_mother() -> None:
    figure, _ = picture(0)
    before, after = figure.axes[1:3]
    assert before.get_title().startswith("1: frame 0")
    assert after.get_title().startswith("cell 1 in frame 1")
    named = {label.get_text().split(":")[0] for label in labels_of(before)}
    assert named == {"1", "2", "3", "4"}
    assert [label.get_text() for label in labels_of(after)] == ["1"]
    cells = [int((np.asarray(axes.images[0].get_array()) > 0).sum()) for axes in (before, after)]
    assert cells[0] > 3 * cells[1]  # four mothers, one daughter


@pytest.mark.parametrize("at", [(9, 20), (190, 185), (100, 100)])
def test_a_close_up_at_the_border_stays_inside_the_field(at: tuple[int, int]) -> None:
    figure, _ = picture(0, at=at)
    for axes in figure.axes[1:3]:
        left, right = axes.get_xlim()
        bottom, top = axes.get_ylim()
        assert -0.5 <= left < at[1] < right <= 199.5
        assert -0.5 <= top < at[0] < bottom <= 199.5


def test_numbers_of_spots_at_one_place_do_not_cover_each_other() -> None:
    masks = np.zeros((9, 60, 60), np.int32)
    for t in range(9):
        masks[t, 28:33, 28 + t % 2 : 33 + t % 2] = 1
        masks[t, 36:41, 28:33] = 2
    movie = Movie.open(None, masks)
    result = UncertainTracker("distance", "SM").track_movie(movie, progress=False)
    doubts = replace(result.doubts, decision=np.where(result.detections.frame % 2, 0.4, 0.9))
    figure = draw_doubts(movie, result.detections, result.probabilities, result.selected, doubts)
    figure.canvas.draw()
    numbers = [label for label in labels_of(figure.axes[0]) if label.get_text().isdigit()]
    assert len(numbers) == 4
    boxes = [label.get_window_extent() for label in numbers]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(
    ("voxel_size", "said", "pixels"),
    [(None, "50 px", 50), ((0.5, 0.5), "20 µm", 40), ((4, 0.1, 0.1), "5 µm", 50)],
)
def test_a_scale_bar_is_as_long_as_it_says(
    voxel_size: tuple[float, ...] | None, said: str, pixels: float
) -> None:
    axes = Figure().add_subplot()
    axes.set(xlim=(-0.5, 199.5), ylim=(199.5, -0.5))
    draw_scale_bar(axes, voxel_size)
    assert axes.texts[0].get_text() == said
    begin, end = axes.lines[0].get_xdata()
    assert end - begin == pytest.approx(pixels)
    assert end < 199.5


def test_of_very_many_links_the_doubtful_ones_are_drawn_and_the_title_says_how_many(
    monkeypatch: pytest.MonkeyPatch, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    result = UncertainTracker("distance").track(*blobs, progress=False)
    n, entropy = int(result.selected.sum()), result.probabilities.entropy.numpy()
    monkeypatch.setattr(picture_module, "_MOST_LINKS", 4)
    assert n > 8
    chosen = entropy[result.candidates.daughter.numpy()[result.selected]]
    drawn = chosen[picture_module._drawn(chosen)]
    assert len(drawn) == 4
    assert (drawn[-2:] >= np.sort(chosen)[-2]).all()
    figure = draw_doubts(
        result.movie, result.detections, result.probabilities, result.selected, result.doubts
    )
    assert f"4 of {n} links" in figure.axes[0].get_title()
    lines = [one for one in figure.axes[0].collections if float(one.get_linewidth()[0]) == 1.6]
    assert sum(len(path.vertices) // 2 for one in lines for path in one.get_paths()) == 4


def test_cells_that_touch_are_told_apart_where_there_are_no_images() -> None:
    masks = np.zeros((2, 60, 60), np.int32)
    masks[:, 10:50, 10:30], masks[:, 10:50, 30:50] = 1, 6  # labels of the same grey
    result = UncertainTracker("overlap", "SM", temperature=1.0).track(None, masks, progress=False)
    figure = draw_doubts(Movie.open(None, masks), result.detections, result.probabilities, result.selected)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    row = shown[30]
    inside = row[12], row[48]
    assert min(inside) > 2 * row[[28, 29, 30, 31]].min()
    assert row[5] == 0.0


def test_the_chosen_mother_is_drawn_however_unlikely_she_is() -> None:
    masks = np.zeros((2, 200, 200), np.int32)
    for k, x in enumerate((60, 72)):
        masks[0, 57:64, x - 3 : x + 4] = k + 1
    masks[1, 57:64, 57:64] = 1
    movie = Movie.open(None, masks)
    result = UncertainTracker("distance", "SM", temperature=0.01).track(None, masks, progress=False)
    graph, probabilities = result.candidates, result.probabilities
    assert float(probabilities.link.min()) < 0.005
    unlikely = (probabilities.link == probabilities.link.min()).numpy()
    figure = draw_doubts(movie, result.detections, probabilities, unlikely)
    written = [label.get_text() for axes in figure.axes for label in labels_of(axes)]
    mother = int(graph.mother[int(np.flatnonzero(unlikely)[0])])
    assert f"{result.detections.name[mother]}: 0%" in written
    titles = "".join(axes.get_title() for axes in figure.axes)
    assert "another mother is likelier" in titles
    assert "alike" not in titles
