"""Heads that score events from a transformer's embeddings."""

import gc
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch

from tests.support.crews import Pickled
from tests.support.transformer import MODEL, small_transformer
from torchtrack_uq import CandidateGraph, Detections, InputError, Movie, TrackastraTracker, UncertaintyLayer
from torchtrack_uq.trackers.shared_out import SharedOut
from torchtrack_uq.trackers.trackastra import window_model
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads, captured_embeddings
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.places import corner_of
from torchtrack_uq.trackers.trackastra.tracker import MISS
from torchtrack_uq.utils.device import one_torch_thread


def trained_heads(seed: int = 0) -> EventHeads:
    torch.manual_seed(seed)
    heads = EventHeads(32, 8)
    for head in (heads.of_daughter, heads.of_mother):
        torch.nn.init.normal_(head[-1].weight)
        torch.nn.init.normal_(head[-1].bias)
    return heads


def a_model(heads: EventHeads | None, **changes: object) -> object:
    model = MODEL.Trackastra(
        small_transformer(**changes), {"features": "wrfeat", "delta_cutoff": 2}, device="cpu"
    )
    model.event_heads = heads
    return model


@torch.no_grad()
def scored(tracker: TrackastraTracker, cells: Detections) -> CandidateGraph:
    return tracker.candidates(cells, progress=False)


@pytest.mark.parametrize("max_gap", [1, 2])
def test_untrained_heads_change_nothing(crop: tuple[Movie, Detections], max_gap: int) -> None:
    _, cells = crop
    plain, with_heads = (
        scored(TrackastraTracker(a_model(heads), max_gap=max_gap), cells) for heads in (None, EventHeads(32))
    )
    for name in ("mother", "daughter", "score", "appear", "disappear", "divide"):
        assert torch.equal(getattr(plain, name), getattr(with_heads, name)), name


@pytest.mark.usefixtures("exact_distances")
@pytest.mark.parametrize("max_gap", [1, 2])
@pytest.mark.parametrize("mode", ["quiet_softmax", "softmax"])
def test_they_add_the_mean_over_windows_that_can_say_something(
    crop: tuple[Movie, Detections], mode: str, max_gap: int
) -> None:
    _, cells = crop
    heads = trained_heads()
    plain, found = (
        scored(TrackastraTracker(a_model(h, causal_norm=mode), max_gap=max_gap, max_candidates=None), cells)
        for h in (None, heads)
    )
    said: list[list[torch.Tensor]] = [[] for _ in range(len(cells))]
    transformer = small_transformer(causal_norm=mode)
    features = torch.from_numpy(np.concatenate(list(cells.features.values()), axis=-1))
    for start in range(cells.n_frames - 2):
        where = slice(int(cells.offsets[start]), int(cells.offsets[start + 3]))
        place = torch.from_numpy(cells.coords[where]).float()
        points = torch.cat(
            [torch.from_numpy(cells.frame[where, None] - start).float(), place - corner_of(place, 60)], dim=1
        )
        with torch.no_grad(), captured_embeddings(transformer) as embedded:
            transformer(points[None], features=features[where][None])
            rows = heads(**embedded)[0]
        for i, row in zip(range(where.start, where.stop), rows, strict=True):
            frame = cells.frame[i] - start
            said[i].append(row.masked_fill(torch.tensor([frame == 0] + [frame == 2] * 3), torch.nan))
    mean = torch.stack([torch.stack(rows).nanmean(dim=0).nan_to_num() for rows in said])
    for k, name in enumerate(("appear", "disappear", "divide")):
        added = getattr(found, name) - getattr(plain, name)
        torch.testing.assert_close(added, mean[:, k], atol=2e-4, rtol=1e-4)
    over_gap = found.gap == 2
    added = found.score - plain.score
    torch.testing.assert_close(added[over_gap], mean[found.mother[over_gap], 3], atol=2e-4, rtol=1e-4)
    assert not added[~over_gap].any()


def test_second_daughters_are_never_likelier_than_first_ones(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    for seed in range(5):
        graph = scored(TrackastraTracker(a_model(trained_heads(seed)), max_gap=2), cells)
        assert (graph.disappear + graph.divide <= 1e-5).all()
        assert torch.isfinite(UncertaintyLayer("auto")(graph).link).all()


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("max_gap", [1, 2, 3])
def test_workers_score_the_same_bits(crop: tuple[Movie, Detections], max_gap: int, n: int) -> None:
    _, cells = crop
    tracker = TrackastraTracker(a_model(trained_heads()), max_gap=max_gap)
    with torch.no_grad(), one_torch_thread():
        shared = SharedOut(tracker, Pickled(n)).candidates(cells, None, progress=False)
        alone = tracker.candidates(cells, progress=False)
    for name in ("mother", "daughter", "score", "appear", "disappear", "divide"):
        assert torch.equal(getattr(shared, name), getattr(alone, name)), name


def test_a_stream_has_the_same_events(crop: tuple[Movie, Detections]) -> None:
    from torchtrack_uq.links.chunks import candidates_from_chunks

    _, cells = crop
    tracker = TrackastraTracker(a_model(trained_heads()), batch_size=2)
    with torch.no_grad():
        streamed = candidates_from_chunks(cells, tracker.stream(cells, progress=False))
    whole = scored(tracker, cells)
    for name in ("score", "appear", "disappear", "divide"):
        torch.testing.assert_close(getattr(streamed, name), getattr(whole, name), atol=1e-5, rtol=1e-5)


def test_copies_have_events_of_their_own(crop: tuple[Movie, Detections]) -> None:
    from dataclasses import replace

    _, cells = crop
    rng = np.random.default_rng(0)
    other = replace(cells, coords=cells.coords + rng.normal(size=cells.coords.shape).astype(np.float32))
    tracker = TrackastraTracker(a_model(trained_heads()), max_gap=2, max_candidates=None)
    with torch.no_grad():
        copies = tracker.candidates_of_copies(cells, None, [(cells, None), (other, None)], progress=False)
    for copy, its_cells in zip(copies, (cells, other), strict=True):
        whole = scored(tracker, its_cells)
        for name in ("appear", "disappear", "divide"):
            torch.testing.assert_close(getattr(copy, name), getattr(whole, name), atol=1e-4, rtol=1e-4)


def test_tiles_of_near_cells_have_the_same_events(
    crop: tuple[Movie, Detections], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cells = crop
    tracker = TrackastraTracker(a_model(trained_heads()), max_gap=2)
    whole = scored(tracker, cells)
    monkeypatch.setattr(window_model, "LOCAL_FROM", 1)
    tiled = scored(tracker, cells)
    for name in ("appear", "disappear", "divide"):
        torch.testing.assert_close(getattr(tiled, name), getattr(whole, name), atol=2e-2, rtol=1e-2)


def test_threads_that_share_a_model_have_events_of_their_own() -> None:
    """Both are within `captured_embeddings` at once, and both have made their forward pass before either looks."""
    transformer = small_transformer()
    barrier = Barrier(2)

    def embedded(seed: int) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(seed)
        points = torch.rand(1, 6, 3, generator=random) * 50
        with captured_embeddings(transformer) as found, torch.no_grad():
            barrier.wait()
            transformer(points, features=torch.rand(1, 6, 7, generator=random))
            barrier.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(embedded, (0, 1)))
    barrier = Barrier(1)
    for seed, found in enumerate(together):
        alone = embedded(seed)
        for name in ("mothers", "daughters"):
            torch.testing.assert_close(found[name], alone[name], atol=1e-5, rtol=1e-5)


class TestFolder:
    def test_they_come_back_and_trackastra_reads_the_links(
        self, crop: tuple[Movie, Detections], tmp_path: Path
    ) -> None:
        _, cells = crop
        heads, transformer = trained_heads(), small_transformer()
        save_trackastra_folder(transformer, tmp_path, {"delta_cutoff": 2}, heads)
        before = scored(TrackastraTracker(a_model(heads), max_gap=2), cells)
        after = scored(TrackastraTracker.from_folder(tmp_path, max_gap=2), cells)
        for name in ("score", "appear", "disappear", "divide"):
            assert torch.equal(getattr(before, name), getattr(after, name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Trackastra leaves its files open
            theirs = MODEL.Trackastra.from_folder(tmp_path, device="cpu").transformer
            gc.collect()
        for name, value in transformer.state_dict().items():
            assert torch.equal(theirs.state_dict()[name], value)

    def test_heads_of_other_weights_are_refused(self, tmp_path: Path) -> None:
        """Of the same width they would load, and their scores mean nothing."""
        for name, seed in (("ours", 0), ("others", 1)):
            save_trackastra_folder(small_transformer(seed), tmp_path / name, {}, trained_heads())
        shutil.copy(tmp_path / "others" / "event_heads.pt", tmp_path / "ours")
        TrackastraTracker.from_folder(tmp_path / "ours")  # the same heads, whatever file they are in
        shutil.copy(tmp_path / "others" / "model.pt", tmp_path / "ours")
        with pytest.raises(InputError, match=r"are not those that were trained on the weights in model\.pt"):
            TrackastraTracker.from_folder(tmp_path / "ours")

    @pytest.mark.parametrize("instead", ["nothing", "a folder", "a broken link"])
    def test_heads_that_are_lost_are_missed(self, tmp_path: Path, instead: str) -> None:
        save_trackastra_folder(small_transformer(), tmp_path, {}, trained_heads())
        file = tmp_path / "event_heads.pt"
        file.unlink()
        if instead == "a folder":
            file.mkdir()
        elif instead == "a broken link":
            file.symlink_to(tmp_path / "nowhere")
        with pytest.raises(
            InputError, match=r"event_heads\.pt is (missing|no file), but holds what the model"
        ):
            TrackastraTracker.from_folder(tmp_path)

    def test_a_model_saved_without_them_misses_none(self, tmp_path: Path) -> None:
        save_trackastra_folder(small_transformer(), tmp_path, {}, trained_heads())
        tracker = TrackastraTracker.from_folder(tmp_path)
        save_trackastra_folder(tracker.transformer, tmp_path, {"event_heads": "0123456789ab"})
        assert TrackastraTracker.from_folder(tmp_path).event_heads is None

    def test_a_tracker_saves_all_that_it_has(self, crop: tuple[Movie, Detections], tmp_path: Path) -> None:
        _, cells = crop
        described = {"usual_diameter": 24.0, "usual_spacing": 30.0, "delta_cutoff": 2}
        save_trackastra_folder(small_transformer(), tmp_path / "first", described, trained_heads())
        first = TrackastraTracker.from_folder(tmp_path / "first", max_gap=2)
        first.save(tmp_path / "second", {"why": "a test"})
        save_trackastra_folder(first.transformer, tmp_path / "third", {}, first.event_heads)
        for name in ("second", "third"):
            again = TrackastraTracker.from_folder(tmp_path / name, max_gap=2)
            assert (again.view, again.delta_cutoff, again.identity) == (first.view, 2, first.identity)
            assert torch.equal(scored(again, cells).appear, scored(first, cells).appear)

    def test_another_tracker_than_the_model_without_them(self) -> None:
        identities = {
            TrackastraTracker(a_model(heads)).identity
            for heads in (None, EventHeads(32), trained_heads(0), trained_heads(1))
        }
        assert len(identities) == 4

    def test_a_model_that_replaces_it_does_not_inherit_them(self, tmp_path: Path) -> None:
        save_trackastra_folder(small_transformer(), tmp_path, {}, trained_heads())
        save_trackastra_folder(small_transformer(1), tmp_path, {})
        assert TrackastraTracker.from_folder(tmp_path).event_heads is None

    @pytest.mark.parametrize("damage", ["half", "text", "foreign", "nan"])
    def test_damaged_ones_are_one_sentence(self, tmp_path: Path, damage: str) -> None:
        save_trackastra_folder(small_transformer(), tmp_path, {}, trained_heads())
        file = tmp_path / "event_heads.pt"
        if damage == "half":
            file.write_bytes(file.read_bytes()[:500])
        elif damage == "text":
            file.write_text("no weights")
        elif damage == "foreign":
            torch.save(EventHeads(16).state_dict(), file)
        else:
            state = trained_heads().state_dict()
            state["of_mother.1.weight"][0, 0] = float("nan")
            torch.save(state, file)
        with pytest.raises(InputError, match="the event heads in"):
            TrackastraTracker.from_folder(tmp_path)


def test_they_are_saved_with_the_module_that_owns_them() -> None:
    tracker = TrackastraTracker(a_model(trained_heads()))
    assert any(name.startswith("event_heads.") for name in tracker.state_dict())
    assert tracker.miss == MISS
