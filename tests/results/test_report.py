"""The report stands alone, shows names as text, stays small, and its answers are decisions that `correct` takes."""

import base64
import csv
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.exchange import gap_and_division
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    Movie,
    TrackingResult,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.calibration import Calibration
from torchtrack_uq.calibration.annotations import COLUMNS, Decisions, read_decisions
from torchtrack_uq.guarantees.acceptance import ReviewStatistic
from torchtrack_uq.results.provenance import settings_of
from torchtrack_uq.results.queue import review_queue
from torchtrack_uq.results.report import document
from torchtrack_uq.results.report.doubt_chart import chart_over_time
from torchtrack_uq.results.report.frame_panel import SIDE, place_texts
from torchtrack_uq.results.report.pixels import LARGEST_PICTURE, small_jpeg
from torchtrack_uq.results.report.questions import FIRST, first_questions
from torchtrack_uq.results.report.reliability import reliability_bins

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """All elements in order, and the questions with their answers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.questions: list[tuple[dict[str, str | None], list[dict[str, str | None]]]] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._open = tag
        if tag == "fieldset":
            self.questions.append((attributes, []))
        if tag == "input":
            self.questions[-1][1].append(attributes)

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.inside[self._open] = data
        self._open = ""

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, question: dict[str, str | None], answer: dict[str, str | None]) -> list[Any]:
        """As report.js makes it."""
        keys = ("data-verdict", "data-mother-frame", "data-mother")
        return [question["data-frame"], question["data-label"], *(answer.get(key) or "" for key in keys)]


def report(result: TrackingResult) -> str:
    return document.report_html(result, review_queue(result), settings_of(result))


def spots(names: list[str] | None = None) -> TrackingResult:
    """Points that wander among each other."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 30, (20, 2)) + np.cumsum(rng.normal(0, 1.5, (6, 20, 2)), axis=0)
    table = pd.DataFrame(places.reshape(-1, 2), columns=["y", "x"]).assign(
        frame=np.repeat(np.arange(6), 20) * 2 + 10
    )
    if names is not None:
        table = table.assign(id=np.tile(names, 6))
    return UncertainTracker("distance").track_points(table, voxel_size=(0.5, 0.5), progress=False)


@pytest.fixture(scope="module")
def page(saved: Path) -> Page:
    return Page((saved / "report.html").read_text())


def test_it_holds_all_that_it_needs_and_asks_nobody(page: Page, saved: Path) -> None:
    links = [
        value or "" for _, found in page.elements for name, value in found.items() if name in ("src", "href")
    ]
    assert len(links) > 100
    assert all(link.startswith("data:") for link in links)
    assert {"object", "iframe", "embed", "base", "form"}.isdisjoint(tag for tag, _ in page.elements)
    text = (saved / "report.html").read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|WebSocket|innerHTML|eval\(|sendBeacon", text)
    assert not any(name.startswith("on") or name == "style" for _, found in page.elements for name in found)


def test_its_policy_allows_its_own_style_and_script_alone(page: Page) -> None:
    policy = next(
        one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inside[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_names_are_text_whatever_they_hold() -> None:
    names = [f"{HOSTILE}{k}" if k % 2 else f"a\"b,'{k}&amp;$key" for k in range(20)]
    found = Page(report(spots(names)))
    assert len(found.named("script")) == 1
    assert {question["data-label"] for question, _ in found.questions} <= set(names)
    assert any(HOSTILE in str(question["data-label"]) for question, _ in found.questions)


@pytest.mark.parametrize("kind", ["pixels", "numbered points", "named points", "gap"])
def test_its_answers_are_decisions_that_correct_takes(
    kind: str, tracked: TrackingResult, tmp_path: Path
) -> None:
    results = {
        "pixels": lambda: tracked,
        "numbered points": spots,
        "named points": lambda: spots([f'{HOSTILE}"{k}, ;' for k in range(20)]),
        "gap": gap_and_division,
    }
    result = results[kind]()
    found = Page(report(result))
    by_name = {(str(frame), str(name)): cell for (frame, name), cell in result.detections.by_name.items()}
    assert found.questions
    for verdict in ("chosen", "none", "bad"):
        rows, expected = [], {}
        for question, answers in found.questions:
            cell = by_name[str(question["data-frame"]), str(question["data-label"])]
            mothers = {
                by_name[str(one["data-mother-frame"]), str(one["data-mother"])]: one
                for one in answers
                if one["data-verdict"] == "mother"
            }
            others = {one["data-verdict"]: one for one in answers}
            chosen = int(result.mother[cell])
            answer = others["bad"] if verdict == "bad" else others["none"]
            if verdict == "chosen" and chosen >= 0:
                answer = mothers[chosen]
            rows.append(found.row(question, answer))
            expected[cell] = chosen if verdict == "chosen" else -1
        file = tmp_path / f"{verdict}.csv"
        with file.open("w", newline="") as table:
            csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])
        decided = read_decisions(file, result.detections, max_gap=result.candidates.max_gap)
        which = decided.bad if verdict == "bad" else decided.known
        np.testing.assert_array_equal(np.flatnonzero(which), sorted(expected))
        if verdict != "bad":
            assert {cell: int(decided.mother[cell]) for cell in expected} == expected


def test_it_asks_about_the_first_of_the_queue_in_whole_groups(tracked: TrackingResult) -> None:
    queue = review_queue(tracked)
    for most in (1, 5, 10, 23):
        questions = first_questions(tracked, queue, most)
        assert 0 < len(questions) <= max(most, queue["group_size"].iloc[0])
        labels = tracked.detections.label[[one.cell for one in questions]]
        np.testing.assert_array_equal(labels, queue["label"][: len(questions)])
        sizes = pd.Series([one.rank for one in questions]).value_counts()
        if most > 5:
            assert all(
                sizes[rank] == queue[queue["rank"] == rank]["group_size"].iloc[0] for rank in sizes.index
            )


def test_the_chosen_mother_is_always_offered_and_percentages_are_those_of_the_tables(
    tracked: TrackingResult,
) -> None:
    for one in first_questions(tracked, review_queue(tracked), 60):
        chosen = [candidate.cell for candidate in one.candidates if candidate.chosen]
        assert chosen == ([tracked.mother[one.cell]] if tracked.mother[one.cell] >= 0 else [])
        assert sum(candidate.probability for candidate in one.candidates) + one.none <= 1 + 1e-6
        links = tracked.links[tracked.links["frame"] == tracked.detections.frame[one.cell]]
        links = links[links["daughter"] == tracked.detections.label[one.cell]]
        for candidate in one.candidates:
            same = links[links["mother"] == tracked.detections.label[candidate.cell]]
            assert np.isclose(same["probability"], candidate.probability, atol=1e-6).any()


def crowd() -> TrackingResult:
    """100,000 doubtful cells on images of pure noise, which no picture format makes small."""
    n_frames, side, pitch = 20, 71, 7
    rng = np.random.default_rng(0)
    per_frame = side**2
    index = np.arange(n_frames * per_frame)
    frame, place = index // per_frame, index % per_frame
    mask = np.zeros((side * pitch, side * pitch), np.uint16)
    for row in range(side):
        for column in range(side):
            inside = np.s_[row * pitch + 1 : row * pitch + 6, column * pitch + 1 : column * pitch + 6]
            mask[inside] = row * side + column + 1
    images = rng.integers(0, 255, (n_frames, *mask.shape), dtype=np.uint8)
    coords = np.stack([place // side, place % side], axis=1) * float(pitch) + 3
    cells = Detections(
        frame=frame,
        label=place + 1,
        coords=coords.astype(np.float32),
        n_frames=n_frames,
        features={"equivalent_diameter_area": np.full((len(index), 1), 60, np.float32)},
        field_shape=mask.shape,
    )
    daughters = index[frame > 0]
    beside = daughters[place[daughters] > 0]
    mother = np.concatenate([daughters - per_frame, beside - per_frame - 1])
    daughter = np.concatenate([daughters, beside])
    graph = CandidateGraph.from_links(
        cells, mother, daughter, rng.normal(0, 1, len(mother)), appear=-2.0, disappear=-2.0
    )
    with torch.no_grad():
        found = UncertaintyLayer("SM")(graph)
    movie = Movie.open(images, np.broadcast_to(mask, images.shape))
    straight = (graph.daughter - graph.mother).numpy() == per_frame
    return TrackingResult(movie, cells, found, straight, tracker="crowd")


def test_a_hundred_thousand_cells_on_noise_make_less_than_20_megabytes() -> None:
    result = crowd()
    queue = review_queue(result)
    assert len(result.detections) > 100_000
    assert len(queue) > 90_000
    text = document.report_html(result, queue, settings_of(result))
    assert len(Page(text).questions) in range(FIRST - 6, FIRST + 1)
    assert len(text.encode()) < 20e6


def test_no_picture_is_larger_than_said() -> None:
    noise = np.random.default_rng(0).random((640, 640))
    for grey in (noise, noise[:160, :160].round(), np.indices((160, 160)).sum(0) % 2 * 1.0):
        assert len(small_jpeg(grey)) <= LARGEST_PICTURE


@pytest.mark.parametrize("planes", [0, 5])
def test_scale_bars_stand_where_the_size_of_a_voxel_is_known(planes: int) -> None:
    edges = (2.0, 0.5, 0.5)[-3 if planes else -2 :]
    known, unknown = (gap_and_division(planes=planes, voxel_size=size) for size in (edges, None))
    assert 'class="scale"' in report(known)
    assert 'class="scale"' not in report(unknown)
    assert len(Page(report(known)).named("image")) >= 2 * len(Page(report(known)).questions) > 0


def test_points_are_drawn_where_there_are_no_pixels() -> None:
    found = Page(report(spots()))
    assert not found.named("image")
    assert sum(one.get("class") == "dot" for one in found.named("circle")) > 3 * len(found.questions)


def test_a_corrected_result_says_so_and_knows_what_was_decided(
    tracked: TrackingResult,
) -> None:
    first, second = (one.cell for one in first_questions(tracked, review_queue(tracked))[:2])
    n = len(tracked.detections)
    decisions = Decisions(np.full(n, -1), np.arange(n) == first, np.arange(n) == second)
    corrected = tracked.correct(decisions)
    text = report(corrected)
    assert "decided about 1 cell(s) and struck out 1 detection(s)" in text
    asked = {(one["data-frame"], one["data-label"]) for one, _ in Page(text).questions}
    cells = tracked.detections
    assert (str(cells.frame[second]), str(cells.label[second])) not in asked
    left = corrected.detections.by_name[int(cells.frame[first]), int(cells.label[first])]
    questions = first_questions(corrected, review_queue(corrected))
    assert all(one.none == 1 and one.none_chosen for one in questions if one.cell == left)


def test_bins_count_every_annotated_decision_once() -> None:
    rng = np.random.default_rng(1)
    p = 1 - rng.beta(0.3, 4, 4000)
    right = rng.random(4000) < p
    bins = reliability_bins(ReviewStatistic.of(p, right))
    assert sum(one.n for one in bins) == 4000
    for one in bins:
        inside = (p >= one.lowest) & (p < one.highest)
        assert (one.n, one.right) == (inside.sum(), right[inside].sum())
        assert one.said == pytest.approx(p[inside].mean(), abs=0.012)
        assert one.low < one.right / one.n < one.high or one.right == one.n


def test_it_says_how_often_it_is_right_only_where_truth_is_known(
    tracked: TrackingResult, tmp_path: Path
) -> None:
    assert "No decision of this tracker has been compared with the truth" in report(tracked)
    statistic = ReviewStatistic.of(np.full(50, 0.93), np.arange(50) < 40)
    settings = {**tracked.settings, "calibration": {"movies": ["Movie<1>"]}}
    known = replace(tracked, annotated=statistic, settings=settings)
    assert tracked.movie is not None
    assert "50 annotated decisions of Movie&lt;1&gt;, 10 of them wrong" in report(known)
    (tmp_path / "state.npz").write_bytes(known.state())
    loaded = TrackingResult.load(tmp_path, images=tracked.movie.images, masks=tracked.movie.masks).annotated
    assert loaded is not None
    np.testing.assert_array_equal(loaded.decisions, statistic.decisions)


def test_annotated_decisions_come_from_the_calibration(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    statistic = ReviewStatistic.of(np.full(50, 0.93), np.full(50, True))
    calibration = Calibration(1.0, "SM", "distance", review=statistic, max_gap=1)
    result = UncertainTracker("distance", "SM", calibration).track(*blobs, progress=False)
    assert result.annotated is statistic


def test_a_movie_without_doubts_has_a_report_too() -> None:
    masks = np.zeros((2, 20, 20), np.uint16)
    masks[0, 5:9, 5:9] = 1
    text = report(UncertainTracker("distance").track(None, masks, progress=False))
    assert "No cell is doubtful" in text or Page(text).questions


def test_nothing_is_left_of_a_folder_whose_report_cannot_be_written(
    tracked: TrackingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> str:
        raise OSError("No space left on device")

    monkeypatch.setattr(document, "report_html", full)
    with pytest.raises(OSError, match="No space"):
        tracked.save(tmp_path / "out", progress=False)
    assert not list(tmp_path.iterdir())


def test_long_movies_are_drawn_as_means_that_keep_the_sum() -> None:
    chart = chart_over_time(np.ones(10_000), np.arange(10_000), "cells", filled=False)
    assert chart.count("V") <= 240
    assert "mean of 42 frames" in chart
    assert len({float(y) for y in re.findall(r"V([\d.]+)", chart)}) == 1


def test_texts_stay_inside_and_apart_where_there_is_room() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        anchors = [tuple(place) for place in rng.uniform(20, SIDE - 20, (3, 2)).tolist()]
        places = place_texts(anchors, [8, 8, 8])
        assert all(0 <= x <= SIDE - 8 * 6.6 and 11 <= y <= SIDE for x, y in places)
        for k, (x, y) in enumerate(places):
            assert all(abs(x - u) >= 8 * 6.6 or abs(y - v) >= 13 for u, v in places[:k])
