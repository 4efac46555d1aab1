"""A transformer's links over gaps: from its windows as far as it was trained, from every g-th frame beyond."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.support.transformer import MODEL, small_transformer
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    FeaturePerturbation,
    InputError,
    Movie,
    TrackastraTracker,
    UncertaintyLayer,
)
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.tokens import every_frame


def trained_on(delta_cutoff: int, **changes: object) -> object:
    """A model whose training says how long its links were."""
    transformer = small_transformer(**changes)
    return MODEL.Trackastra(transformer, {"features": "wrfeat", "delta_cutoff": delta_cutoff}, device="cpu")


def scores_over(graph: CandidateGraph, gap: int) -> dict[tuple[int, int], float]:
    of_gap = graph.gap == gap
    columns = (column[of_gap].tolist() for column in (graph.mother, graph.daughter, graph.score))
    return {(i, j): s for i, j, s in zip(*columns, strict=True)}


@pytest.mark.usefixtures("exact_distances")
@pytest.mark.parametrize("mode", ["quiet_softmax", "softmax", "linear"])
def test_within_the_windows_they_are_trackastras_own(crop: tuple[Movie, Detections], mode: str) -> None:
    """Trackastra's own prediction with `delta_t` normalises over the mothers of each earlier frame by themselves."""
    from trackastra.data import build_windows, get_features
    from trackastra.model.predict import predict_windows
    from trackastra.utils import normalize

    def silent(items, **_):
        return items

    movie, cells = crop
    model = trained_on(3, window=cells.n_frames, causal_norm=mode)
    images, masks = np.stack(list(movie.images)), np.stack(list(movie.masks))
    features = get_features(masks, normalize(images), "wrfeat", ndim=2, progbar_class=silent)
    windows = build_windows(features, cells.n_frames, progbar_class=silent, as_torch=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its sparse arrays
        predicted = predict_windows(
            windows,
            features,
            model.transformer,
            edge_threshold=0.0,
            spatial_dim=2,
            delta_t=3,
            progbar_class=silent,
        )
    theirs = {(int(i), int(j)): float(w) for (i, j), w in predicted["weights"]}
    tracker = TrackastraTracker(model, max_candidates=None, max_gap=3, miss=-4.0, from_corner=False)
    with torch.no_grad():
        graph = tracker.candidates(cells, progress=False)
    distance = (graph.coords[graph.mother] - graph.coords[graph.daughter]).norm(dim=1)
    pairs = torch.cdist(graph.coords, graph.coords)
    unsure = ((pairs - tracker.config["spatial_pos_cutoff"]).abs() < 0.2).any(0)
    compared = 0
    for gap in (1, 2, 3):
        of_gap = graph.gap == gap
        score = graph.score[of_gap].double() - (gap - 1) * -4.0
        daughter, null = graph.daughter[of_gap], graph.appear.double()
        weight = (score - null[daughter]).exp()
        p = weight / (1 + torch.zeros(len(cells)).double().index_add(0, daughter, weight))[daughter]
        for i, j, found in zip(graph.mother[of_gap].tolist(), daughter.tolist(), p.tolist(), strict=True):
            if not unsure[j]:
                assert found == pytest.approx(theirs[i, j], abs=1e-5)
                compared += 1
    assert set(graph.gap.tolist()) == {1, 2, 3}
    assert compared > 500
    assert float(distance.max()) <= tracker.config["spatial_pos_cutoff"]


@pytest.mark.usefixtures("exact_distances")
def test_logits_are_averaged_over_the_windows_that_hold_both_cells(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    model = trained_on(2, window=3)
    tracker = TrackastraTracker(model, max_candidates=None, max_gap=2, miss=0.0, from_corner=False)
    with torch.no_grad():
        found = scores_over(tracker.candidates(cells, progress=False), 2)
        t = 3  # frames 1 to 3 are the only window with frames 1 and 3
        frames = slice(cells.in_frame(1).start, cells.in_frame(3).stop)
        features = np.concatenate(list(cells.features.values()), axis=-1)[frames]
        points = np.concatenate([cells.frame[frames, None], cells.coords[frames]], axis=-1)
        logits = model.transformer(torch.tensor(points)[None].float(), torch.tensor(features)[None])[0]
    links = [link for link in found if cells.frame[link[1]] == t]
    assert len(links) > 50
    for i, j in links:
        assert found[i, j] == pytest.approx(float(logits[i - frames.start, j - frames.start]), abs=1e-3)


@pytest.mark.parametrize("max_gap", [2, 3])
def test_beyond_its_training_they_are_those_of_a_slower_recording(
    crop: tuple[Movie, Detections], max_gap: int
) -> None:
    _, cells = crop
    transformer = small_transformer()
    tracker = TrackastraTracker(transformer, max_gap=max_gap, miss=-1.5)
    assert tracker.delta_cutoff == 1
    with torch.no_grad():
        graph = tracker.candidates(cells, progress=False)
        for gap in range(2, max_gap + 1):
            expected: dict[tuple[int, int], float] = {}
            for first in range(gap):
                index, part = every_frame(cells, gap, first)
                slower = TrackastraTracker(transformer).candidates(part, progress=False)
                expected |= {
                    (int(index[i]), int(index[j])): score - 1.5 * (gap - 1)
                    for (i, j), score in scores_over(slower, 1).items()
                }
            found = scores_over(graph, gap)
            assert found.keys() == expected.keys()
            assert list(found.values()) == pytest.approx([expected[link] for link in found], abs=1e-5)


def test_models_are_read_as_far_as_their_training_and_their_windows_go(tmp_path: Path) -> None:
    assert TrackastraTracker(trained_on(2)).delta_cutoff == 2
    assert TrackastraTracker(trained_on(9, window=4)).delta_cutoff == 3
    assert TrackastraTracker(small_transformer()).delta_cutoff == 1
    save_trackastra_folder(small_transformer(), tmp_path / "model", {"delta_cutoff": 2})
    assert TrackastraTracker.from_folder(tmp_path / "model", max_gap=2).delta_cutoff == 2


@pytest.mark.parametrize("said", [0, -1, "two", 1.5, True, None, [2]])
def test_a_delta_cutoff_that_is_no_number_of_frames_is_refused(tmp_path: Path, said: object) -> None:
    save_trackastra_folder(small_transformer(), tmp_path / "model", {})
    file = tmp_path / "model" / "train_config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "delta_cutoff": said}))
    with pytest.raises(InputError, match=r"delta_cutoff.*expected a whole number of frames, at least 1"):
        TrackastraTracker.from_folder(tmp_path / "model")


@pytest.mark.parametrize("delta_cutoff", [1, 2, 3])
def test_copies_in_a_batch_equal_copies_one_by_one(crop: tuple[Movie, Detections], delta_cutoff: int) -> None:
    _, cells = crop
    tracker = TrackastraTracker(trained_on(delta_cutoff, window=4), max_candidates=5, max_gap=3)
    copies = list(FeaturePerturbation(3).copies(cells))
    with torch.no_grad():
        together = tracker.candidates_of_copies(cells, None, copies, progress=False)
        alone = [tracker.candidates(noisy, progress=False) for noisy, _ in copies]
    for a, b in zip(together, alone, strict=True):
        assert set(a.gap.tolist()) == {1, 2, 3}
        assert torch.equal(a.mother, b.mother)
        torch.testing.assert_close(a.score, b.score, atol=1e-4, rtol=1e-4)


def test_they_do_not_depend_on_the_batch_size(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    with torch.no_grad():
        one, many = (
            TrackastraTracker(trained_on(2), batch_size=size, max_gap=3).candidates(cells, progress=False)
            for size in (1, 8)
        )
    assert torch.equal(one.mother, many.mother)
    torch.testing.assert_close(one.score, many.score, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("delta_cutoff", [1, 2])
def test_gradients_reach_the_weights_through_links_over_gaps(
    crop: tuple[Movie, Detections], delta_cutoff: int
) -> None:
    _, cells = crop
    model = trained_on(delta_cutoff)
    graph = TrackastraTracker(model, max_gap=2).candidates(cells, progress=False)
    graph.score[graph.gap == 2].sum().backward()
    gradients = [p.grad for p in model.transformer.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in gradients) > 0
    assert all(torch.isfinite(g).all() for g in gradients)


class TestStreaming:
    def test_a_movie_with_gaps_is_refused_in_a_sentence(self, crop: tuple[Movie, Detections]) -> None:
        _, cells = crop
        with pytest.raises(InputError, match="is one problem and cannot be streamed"):
            TrackastraTracker(small_transformer(), max_gap=2).stream(cells, progress=False)

    @pytest.mark.parametrize("method", ["AS", "exact", "auto"])
    def test_the_layer_scores_the_whole_movie_first(
        self, crop: tuple[Movie, Detections], method: str
    ) -> None:
        _, cells = crop
        tracker = TrackastraTracker(small_transformer(spatial_pos_cutoff=25), max_candidates=3, max_gap=2)
        layer = UncertaintyLayer(method)
        with torch.no_grad():
            p = layer.probabilities(tracker, cells, progress=False)
            expected = layer(tracker.candidates(cells, progress=False))
        assert p.graph.max_gap == 2
        assert bool((p.graph.gap == 2).any())
        torch.testing.assert_close(p.link, expected.link)
        torch.testing.assert_close(p.null, expected.null)
