"""Looked at in pairs of near cells, a movie has the links and scores that it has looked at in all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.transformer import small_transformer
from torchtrack_uq import CandidateGraph, Detections, FeaturePerturbation, TrackastraTracker
from torchtrack_uq.trackers.trackastra import window_model
from torchtrack_uq.trackers.trackastra.local_attention import has_local_form, local_embeddings
from torchtrack_uq.trackers.trackastra.tiles import near_pairs, tiles_of
from torchtrack_uq.trackers.trackastra.window_model import near_links


def cells_in_a_field(seed: int = 0, side: float = 400.0) -> Detections:
    """Fifty cells a frame in a field several times as wide as the model looks, one frame empty."""
    rng = np.random.default_rng(seed)
    frame = np.repeat([0, 1, 2, 3, 5], 50)
    cells = Detections.from_points(frame, rng.uniform(0, side, (250, 2)))
    features = {
        "equivalent_diameter_area": rng.uniform(5, 15, (250, 1)),
        "intensity_mean": rng.uniform(0, 1, (250, 1)),
        "inertia_tensor": rng.uniform(0, 20, (250, 4)),
        "border_dist": rng.integers(0, 2, (250, 1)),
    }
    return Detections(
        frame=cells.frame,
        label=cells.label,
        coords=cells.coords,
        n_frames=6,
        features={name: values.astype(np.float32) for name, values in features.items()},
        has_images=True,
    )


def both_ways(
    tracker: TrackastraTracker, cells: Detections, monkeypatch: pytest.MonkeyPatch
) -> tuple[CandidateGraph, CandidateGraph]:
    whole = tracker.candidates(cells, progress=False)
    monkeypatch.setattr(window_model, "LOCAL_FROM", 0)
    return whole, tracker.candidates(cells, progress=False)


@pytest.mark.parametrize("mode", ["quiet_softmax", "softmax", "linear", "none"])
@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("max_gap", [1, 3])
@torch.no_grad()
def test_links_and_scores_are_those_of_all_pairs(
    mode: str, average: str, max_gap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = TrackastraTracker(
        small_transformer(causal_norm=mode).double(), average=average, max_gap=max_gap, max_candidates=5
    )
    whole, near_only = both_ways(tracker, cells_in_a_field(), monkeypatch)
    assert whole.n_links > 300
    assert torch.equal(whole.mother, near_only.mother)
    assert torch.equal(whole.daughter, near_only.daughter)
    for name in ("score", "appear", "disappear", "divide"):
        # distances of all pairs at once are off by up to a tenth of a pixel in single precision
        torch.testing.assert_close(getattr(near_only, name), getattr(whole, name), rtol=1e-2, atol=0.03)


def test_a_crowded_window_is_never_looked_at_in_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_pairs(*_: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(window_model.WindowModel, "logits", all_pairs)
    tracker = TrackastraTracker(small_transformer())
    with pytest.raises(MemoryError):
        tracker.candidates(cells_in_a_field(), progress=False)
    monkeypatch.setattr(window_model, "LOCAL_FROM", 149)  # of 150 in three frames
    assert tracker.candidates(cells_in_a_field(), progress=False).n_links > 0


def test_gradients_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_transformer().double()
    tracker = TrackastraTracker(model, max_candidates=None)
    weights = list(model.parameters())
    found = [
        torch.autograd.grad((graph.score.tanh()).sum(), weights, allow_unused=True)
        for graph in both_ways(tracker, cells_in_a_field(), monkeypatch)
    ]
    for a, b in zip(*found, strict=True):
        assert a is not None
        assert b is not None
        assert float((a - b).norm() / (b.norm() + 1e-9)) < 0.02


@torch.no_grad()
def test_perturbed_copies_have_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = cells_in_a_field()
    tracker = TrackastraTracker(small_transformer())
    copies = FeaturePerturbation(n_copies=2).copies(cells)
    whole = tracker.candidates_of_copies(cells, None, copies, progress=False)
    monkeypatch.setattr(window_model, "LOCAL_FROM", 0)
    near_only = tracker.candidates_of_copies(cells, None, copies, progress=False)
    assert len(whole) == len(near_only) == 2
    for a, b in zip(whole, near_only, strict=True):
        assert torch.equal(a.mother, b.mother)
        torch.testing.assert_close(a.score, b.score, rtol=1e-2, atol=0.03)


@pytest.mark.parametrize("mode", ["rope", "none"])
@pytest.mark.parametrize("nearness", ["v0", "v1"])
@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_embeddings_do_not_depend_on_tiles(mode: str, nearness: str, dims: int) -> None:
    model = small_transformer(attn_positional_bias=mode, attn_dist_mode=nearness, coord_dim=dims).double()
    assert has_local_form(model)
    torch.manual_seed(0)
    points = torch.rand(1, 60, 1 + dims, dtype=torch.float64) * 300
    points[..., 0] = torch.arange(60) // 20 + 7
    features = torch.rand(1, 60, 7, dtype=torch.float64)
    expected = model(points, features=features)[0]
    for most_pairs in (1, 50, 10**6):
        x, y = local_embeddings(model, points, features, most_pairs=most_pairs)
        torch.testing.assert_close(x @ y.T, expected, rtol=1e-5, atol=1e-5)
    assert not any("forward" in vars(layer) for layer in model.modules())


def test_models_that_attend_otherwise_are_run_on_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_local_form(small_transformer(attn_positional_bias="bias"))
    model = small_transformer()
    attention = type(model.encoder[0].attn)
    original = attention.forward
    monkeypatch.setattr(attention, "forward", lambda self, *args, **more: 2 * original(self, *args, **more))
    assert not has_local_form(model)


places = st.lists(st.tuples(*[st.integers(-40, 40)] * 2), max_size=30)


@given(places, places, st.integers(1, 60), st.integers(1, 200))
def test_tiles_hold_every_query_once_and_every_near_key(
    queries: list[tuple[int, int]], keys: list[tuple[int, int]], reach: int, most_pairs: int
) -> None:
    q, k = (torch.tensor(given, dtype=torch.float64).reshape(-1, 2) for given in (queries, keys))
    tiles = tiles_of(q, k, float(reach), most_pairs)
    assert sorted(i for tile in tiles for i in tile.queries.tolist()) == list(range(len(q)))
    assert all(len(tile.queries) * len(tile.keys) <= max(most_pairs, len(tile.keys)) for tile in tiles)
    expected = (torch.cdist(k, q, compute_mode="donot_use_mm_for_euclid_dist") <= reach).nonzero().tolist()
    mother, daughter = near_links(k, q, float(reach))
    assert sorted(zip(mother.tolist(), daughter.tolist(), strict=True)) == [tuple(pair) for pair in expected]
    assert sum(int(near.sum()) for _, near in near_pairs(q, k, float(reach))) == len(expected)
