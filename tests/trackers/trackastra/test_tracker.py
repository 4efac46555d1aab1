import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.transformer import MODEL, small_transformer
from torchtrack_uq import Detections, InputError, Movie, ParentalSoftmax, TrackastraTracker
from torchtrack_uq.functional import parental_log_softmax
from torchtrack_uq.trackers.trackastra.tokens import as_model_sees_it


def trackastras_own(
    transformer: torch.nn.Module, movie: Movie, threshold: float
) -> dict[tuple[int, int], float]:
    """Weights of Trackastra's own prediction, by cell indices, from its public pieces."""
    from trackastra.data import build_windows, get_features
    from trackastra.model.predict import predict_windows
    from trackastra.utils import normalize

    def silent(items, **_):
        return items

    images, masks = np.stack(list(movie.images)), np.stack(list(movie.masks))
    ndim = transformer.config["coord_dim"]
    features = get_features(masks, normalize(images), "wrfeat", ndim=ndim, progbar_class=silent)
    windows = build_windows(features, transformer.config["window"], progbar_class=silent, as_torch=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its sparse arrays
        predicted = predict_windows(
            windows,
            features,
            transformer,
            edge_threshold=threshold,
            spatial_dim=masks.ndim - 1,
            progbar_class=silent,
        )
    return {(int(i), int(j)): float(w) for (i, j), w in predicted["weights"]}


def ours(tracker: TrackastraTracker, cells: Detections) -> dict[tuple[int, int], float]:
    with torch.no_grad():
        graph = tracker.candidates(cells, progress=False)
    p = ParentalSoftmax()(graph).link
    unsure = at_the_cutoff(tracker, cells)
    links = zip(graph.mother.tolist(), graph.daughter.tolist(), p.tolist(), strict=True)
    return {(i, j): q for i, j, q in links if not unsure[j]}


def at_the_cutoff(tracker: TrackastraTracker, cells: Detections) -> np.ndarray:
    """Daughters with a mother as far as the model's cutoff, where Trackastra's distances are 0.1 px off."""
    pairs = np.linalg.norm(cells.coords[:, None].astype(float) - cells.coords[None], axis=-1)
    before = cells.frame[:, None] + 1 == cells.frame[None]
    return (before & (abs(pairs - tracker.config["spatial_pos_cutoff"]) < 0.2)).any(axis=0)


@pytest.mark.usefixtures("exact_distances")
class TestAgainstTrackastrasOwnNormalisation:
    @pytest.mark.parametrize("mode", ["quiet_softmax", "softmax", "linear"])
    def test_one_window_without_threshold_is_the_same(
        self, crop: tuple[Movie, Detections], mode: str
    ) -> None:
        movie, cells = crop
        transformer = small_transformer(window=cells.n_frames, causal_norm=mode)
        theirs = trackastras_own(transformer, movie, threshold=0.0)
        found = ours(TrackastraTracker(transformer, max_candidates=None, from_corner=False), cells)
        assert max(found.values()) > 0.9
        assert len(found) > 400
        for link, p in found.items():
            assert p == pytest.approx(theirs[link], abs=1e-5)
        unsure = at_the_cutoff(TrackastraTracker(transformer, from_corner=False), cells)
        assert unsure.mean() < 0.2
        assert all(w == 0 for (i, j), w in theirs.items() if (i, j) not in found and not unsure[j])

    def test_a_3d_model_sees_a_2d_movie_as_trackastra_shows_it(self, crop: tuple[Movie, Detections]) -> None:
        movie, cells = crop
        transformer = small_transformer(window=cells.n_frames, coord_dim=3, feat_dim=12)
        theirs = trackastras_own(transformer, movie, threshold=0.0)
        for link, p in ours(
            TrackastraTracker(transformer, max_candidates=None, from_corner=False), cells
        ).items():
            assert p == pytest.approx(theirs[link], abs=1e-5)

    def test_its_default_threshold_raises_what_survives_and_drops_the_rest(
        self, crop: tuple[Movie, Detections]
    ) -> None:
        """Trackastra averages a link only over the windows in which it reaches 0.05, and forgets the others.

        We average over every window that holds both cells. So the two agree where no window is left out,
        Trackastra is higher where one is, and what it drops has less than 0.05 in ours.
        """
        movie, cells = crop
        transformer = small_transformer(window=3)
        theirs = trackastras_own(transformer, movie, threshold=0.05)
        found = ours(
            TrackastraTracker(transformer, max_candidates=None, average="probabilities", from_corner=False),
            cells,
        )
        higher = same = 0
        for link, p in found.items():
            if link not in theirs:
                assert p < 0.05
            elif theirs[link] > p + 1e-5:
                higher += 1
            else:
                assert p == pytest.approx(theirs[link], abs=1e-5)
                same += 1
        assert higher > 0
        assert same > 100

    def test_independent_sigmoids_keep_their_odds(self, crop: tuple[Movie, Detections]) -> None:
        """causal_norm "none" gives p = sigmoid(A) for each link by itself; ours conditions on one mother."""
        movie, cells = crop
        transformer = small_transformer(window=cells.n_frames, causal_norm="none")
        theirs = trackastras_own(transformer, movie, threshold=0.0)
        with torch.no_grad():
            graph = TrackastraTracker(transformer, max_candidates=None, from_corner=False).candidates(
                cells, progress=False
            )
        p = ParentalSoftmax()(graph)
        odds = p.link / p.null[graph.daughter]
        for i, j, o in zip(graph.mother.tolist(), graph.daughter.tolist(), odds.tolist(), strict=True):
            assert o / (1 + o) == pytest.approx(theirs[i, j], abs=1e-5)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_scores_do_not_depend_on_the_batch_size(crop: tuple[Movie, Detections], average: str) -> None:
    _, cells = crop
    transformer = small_transformer()
    one = ours(TrackastraTracker(transformer, batch_size=1, average=average), cells)
    many = ours(TrackastraTracker(transformer, batch_size=8, average=average), cells)
    assert one.keys() == many.keys()
    assert list(one.values()) == pytest.approx(list(many.values()), abs=1e-5)


@pytest.mark.usefixtures("exact_distances")
def test_logits_are_averaged_over_the_windows_that_hold_both_cells(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    transformer = small_transformer(window=2)
    single = TrackastraTracker(transformer, max_candidates=None, from_corner=False).candidates(
        cells, progress=False
    )
    t = 3
    frames = slice(cells.in_frame(t - 1).start, cells.in_frame(t).stop)
    features = np.concatenate(list(cells.features.values()), axis=-1)[frames]
    points = np.concatenate([cells.frame[frames, None], cells.coords[frames]], axis=-1)
    logits = transformer(torch.tensor(points)[None].float(), torch.tensor(features)[None])[0]
    links = slice(int(single.link_offsets[t]), int(single.link_offsets[t + 1]))
    i, j = single.mother[links] - frames.start, single.daughter[links] - frames.start
    torch.testing.assert_close(single.score[links], logits[i, j], atol=1e-4, rtol=1e-4)


def test_only_the_likeliest_mothers_are_kept(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    transformer = small_transformer()
    every = TrackastraTracker(transformer, max_candidates=None).candidates(cells, progress=False)
    few = TrackastraTracker(transformer, max_candidates=3).candidates(cells, progress=False)
    for daughter in few.daughter.unique().tolist():
        expected = every.score[every.daughter == daughter].sort(descending=True).values[:3]
        torch.testing.assert_close(few.score[few.daughter == daughter].sort(descending=True).values, expected)


def test_gradients_reach_the_weights(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    transformer = small_transformer()
    graph = TrackastraTracker(transformer).candidates(cells, progress=False)
    log_link, _ = parental_log_softmax(graph.score, graph.daughter, graph.appear)
    log_link.sum().backward()
    gradients = [p.grad for p in transformer.parameters() if p.grad is not None]
    assert len(gradients) > 20
    assert all(torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_frames_without_cells_are_skipped(crop: tuple[Movie, Detections]) -> None:
    movie, _ = crop
    masks = np.stack(list(movie.masks))
    masks[[0, 3, 4, 5]] = 0
    cells = Detections.from_movie(Movie.open(None, masks), progress=False)
    graph = TrackastraTracker(small_transformer(window=2)).candidates(cells, progress=False)
    assert graph.n_frames == 6
    assert cells.frame[graph.daughter].min() == cells.frame[graph.daughter].max() == 2


def test_a_window_longer_than_the_movie_is_cut(crop: tuple[Movie, Detections]) -> None:
    movie, _ = crop
    cells = Detections.from_movie(
        Movie.open(None, np.stack([movie.read_mask(0), movie.read_mask(1)])), progress=False
    )
    assert TrackastraTracker(small_transformer(window=6)).candidates(cells, progress=False).n_links > 50


def test_a_3d_movie_and_a_model_without_features() -> None:
    rng = np.random.default_rng(0)
    cells = Detections.from_points(np.repeat(np.arange(4), 10), rng.uniform(0, 50, (40, 3)))
    graph = TrackastraTracker(small_transformer(coord_dim=3, feat_dim=0)).candidates(cells, progress=False)
    assert graph.n_links > 100


class TestRefuses:
    def test_something_that_is_no_model(self) -> None:
        with pytest.raises(InputError, match=r"expected a trackastra\.model\.Trackastra"):
            TrackastraTracker(torch.nn.Linear(2, 2))

    def test_models_on_image_embeddings(self) -> None:
        whole = MODEL.Trackastra(small_transformer(), {"features": "pretrained_feats"}, device="cpu")
        with pytest.raises(InputError, match="image embeddings"):
            TrackastraTracker(whole)

    def test_a_3d_movie_for_a_2d_model(self) -> None:
        cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 3)))
        with pytest.raises(InputError, match="movie is 3D but the model 2D"):
            TrackastraTracker(small_transformer()).candidates(cells)

    def test_points_for_a_model_that_looks_at_features(self) -> None:
        cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        with pytest.raises(InputError, match="lack equivalent_diameter_area"):
            TrackastraTracker(small_transformer()).candidates(cells)

    def test_a_model_with_other_features(self, crop: tuple[Movie, Detections]) -> None:
        with pytest.raises(InputError, match="expects 5 features a cell but 7 are measured"):
            as_model_sees_it(crop[1], coord_dim=2, feat_dim=5)

    @pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_candidates": 0}, {"average": "median"}])
    def test_options_out_of_range(self, options: dict) -> None:
        with pytest.raises(InputError, match=next(iter(options))):
            TrackastraTracker(small_transformer(), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_where_there_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sees no CUDA GPU here; use --device cpu"):
        TrackastraTracker(small_transformer(), device="cuda")


@pytest.mark.parametrize("max_gap", [1, 2])
def test_weights_too_large_to_compute_with_are_said_to_be_the_models(
    crop: tuple[Movie, Detections], max_gap: int
) -> None:
    transformer = small_transformer()
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.mul_(1e30)
    tracker = TrackastraTracker(transformer, max_gap=max_gap)
    with (
        torch.no_grad(),
        pytest.raises(InputError, match=r"model gives \d+ link scores that are no finite"),
    ):
        tracker.candidates(crop[1], progress=False)
