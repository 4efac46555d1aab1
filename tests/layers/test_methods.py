"""Equations 4 to 6 of the paper by hand, and what connects the methods."""

import itertools

import numpy as np
import pytest
import torch

from tests.layers.test_assignment_posterior import check_probabilities
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    FrequencyPosterior,
    InputError,
    Movie,
    NoiseSizes,
    OverlapTracker,
    ParentalSoftmax,
    PerturbedScores,
    TemperatureScaler,
    UncertaintyLayer,
)
from torchtrack_uq.movies.frames import FrameSource
from torchtrack_uq.posterior import map_links

SILENT = FeaturePerturbation(n_copies=3, sizes=NoiseSizes.none())


class TestAWorkedExample:
    """Two mothers, two daughters, all links: costs w = -s, appearance a, disappearance 0, division 0.

    The paper's definitions, evaluated on paper: an assignment gives each daughter mother 0, mother 1 or none.
    """

    w = np.array([[0.2, 1.0], [0.9, 0.4]])  # w[i, j]
    a = np.array([-1.5, -2.0])

    def graph(self, scale: float = 1.0) -> CandidateGraph:
        cells = Detections.from_points(np.array([0, 0, 1, 1]), np.zeros((4, 2)))
        return CandidateGraph.from_links(
            cells,
            [0, 1, 0, 1],
            [2, 2, 3, 3],
            torch.from_numpy(-self.w.T.ravel() * scale),
            appear=[0, 0, *self.a],
        )

    def ranked(self) -> list[tuple[float, tuple[int, int]]]:
        """All nine assignments with their log-weights, best first."""
        found = []
        for parent in itertools.product([0, 1, -1], repeat=2):
            weight = sum(-self.w[i, j] if i >= 0 else self.a[j] for j, i in enumerate(parent))
            found.append((weight, parent))
        return sorted(found, reverse=True)

    def test_sm_is_equation_5(self) -> None:
        p = UncertaintyLayer("SM")(self.graph())
        e = np.exp
        null_2 = e(-1.5)
        total = e(-0.2) + e(-0.9) + null_2
        assert p.link[0].item() == pytest.approx(e(-0.2) / total)
        assert p.link[1].item() == pytest.approx(e(-0.9) / total)
        assert p.null[2].item() == pytest.approx(null_2 / total)
        without_null = ParentalSoftmax(null_class=False)(self.graph())
        assert without_null.link[3].item() == pytest.approx(e(-0.4) / (e(-1.0) + e(-0.4)))

    def test_entropy_is_equation_6(self) -> None:
        p = UncertaintyLayer("SM")(self.graph())
        column = np.exp([-0.2, -0.9, -1.5])
        column /= column.sum()
        assert p.entropy[2].item() == pytest.approx(-(column * np.log(column)).sum())

    @pytest.mark.parametrize("k", [1, 4, 9])
    def test_as_is_equation_4(self, k: int) -> None:
        best = self.ranked()[:k]
        p_k = np.exp([weight for weight, _ in best])
        p_k /= p_k.sum()
        layer = UncertaintyLayer("AS", k=k)
        layer.posterior.leftover = False
        p = layer(self.graph())
        for link, (i, j) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
            by_hand = sum(share for share, (_, parent) in zip(p_k, best, strict=True) if parent[j] == i)
            assert p.link[link].item() == pytest.approx(by_hand, abs=1e-12)
        both_from_0 = sum(share for share, (_, parent) in zip(p_k, best, strict=True) if parent == (0, 0))
        assert p.divide[0].item() == pytest.approx(both_from_0, abs=1e-12)

    def test_fp_is_equation_5_of_averaged_costs(self) -> None:
        copies = [self.graph(scale) for scale in (0.5, 1.0, 3.0)]
        p = UncertaintyLayer("FP")(PerturbedScores.of(self.graph(), copies))
        column = np.exp([-0.2 * 1.5, -0.9 * 1.5, -1.5])
        np.testing.assert_allclose(p.link[:2].detach(), column[:2] / column.sum())

    def test_fp_a_is_the_frequency_among_maps(self) -> None:
        """Copies with costs w, and with mother 0 unlikely for either: MAPs (0, 1), (0, 1), (1, 1)."""
        bad = self.graph()
        bad = bad.with_scores(bad.score - torch.tensor([5.0, 0, 5, 0]), bad.appear, bad.disappear, bad.divide)
        scores = PerturbedScores.of(self.graph(), [self.graph(), self.graph(), bad])
        p = FrequencyPosterior(eps=0.0)(scores)
        np.testing.assert_allclose(p.link, [2 / 3, 1 / 3, 0, 1], atol=1e-12)
        np.testing.assert_allclose(p.divide[:2], [0, 1 / 3], atol=1e-12)
        np.testing.assert_allclose(p.disappear[:2], [1 / 3, 0], atol=1e-12)
        f, eps = np.array([2 / 3, 1 / 3, 0]), 1 / 6
        tempered = (f + eps) ** (1 / 2.5)
        with_eps = FrequencyPosterior()(scores, temperature=2.5)
        np.testing.assert_allclose(with_eps.link[:2], (tempered / tempered.sum())[:2])
        np.testing.assert_allclose(with_eps.null[2], (tempered / tempered.sum())[2])

    def test_exact_is_equation_3(self) -> None:
        everything = self.ranked()
        z = sum(np.exp(weight) for weight, _ in everything)
        p = UncertaintyLayer("exact")(self.graph())
        assert p.log_z is not None
        assert p.log_z.item() == pytest.approx(np.log(z))
        assert p.link[3].item() == pytest.approx(
            sum(np.exp(x) for x, parent in everything if parent[1] == 1) / z
        )


@pytest.fixture(scope="module")
def crowd() -> Detections:
    """Five frames of 25 cells, some of which may have changed places."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 60, (25, 2))
    coords = np.concatenate([start + rng.normal(0, 2, start.shape) for _ in range(5)])
    return Detections.from_points(np.repeat(np.arange(5), 25), coords)


def test_without_noise_fp_is_sm_and_fp_a_is_the_map(crowd: Detections) -> None:
    tracker = DistanceTracker()
    graph, scores = tracker.candidates(crowd), SILENT(tracker, crowd, progress=False)
    torch.testing.assert_close(UncertaintyLayer("FP")(scores).link, UncertaintyLayer("SM")(graph).link)
    counted = FrequencyPosterior(eps=0.0)(scores)
    assert np.array_equal(counted.link.numpy(), map_links(graph).astype(np.float32))
    # with eps, the MAP stays the likeliest class of every daughter
    softened = FrequencyPosterior()(scores)
    chosen = map_links(graph)
    assert torch.equal(softened.link[chosen], softened.confidence[graph.daughter[chosen]])


def test_without_noise_masks_stay_as_they_are(hela: Movie, hela_cells: Detections) -> None:
    ((cells, movie),) = FeaturePerturbation(1, NoiseSizes.none()).copies(hela_cells, hela)
    assert movie is not None
    assert np.array_equal(cells.coords, hela_cells.coords)
    for t in (0, 7):
        assert np.array_equal(movie.read_mask(t), hela.read_mask(t))


class TestNoise:
    def test_is_the_same_for_the_same_seed_and_other_for_another(self, crowd: Detections) -> None:
        tracker = DistanceTracker()
        first, again, other = (
            FeaturePerturbation(4, seed=s)(tracker, crowd, progress=False) for s in (1, 1, 2)
        )
        assert torch.equal(first.score, again.score)
        assert first.score.shape != other.score.shape or not torch.equal(first.score, other.score)
        fewer = FeaturePerturbation(2, seed=1).copies(crowd)
        more = FeaturePerturbation(3, seed=1).copies(crowd)
        for (a, _), (b, _) in zip(fewer, more, strict=False):
            assert np.array_equal(a.coords, b.coords)

    def test_has_the_stated_size_in_units_of_the_cell(self, hela_cells: Detections) -> None:
        sizes = NoiseSizes(position=0.1, size=0.05, intensity=0.02)
        ((noisy, _),) = FeaturePerturbation(1, sizes).copies(hela_cells)
        diameter = hela_cells.features["equivalent_diameter_area"]
        assert ((noisy.coords - hela_cells.coords) / diameter).std() == pytest.approx(0.1, rel=0.05)
        ratio = noisy.features["equivalent_diameter_area"] / diameter
        assert np.log(ratio).std() == pytest.approx(0.05, rel=0.05)
        np.testing.assert_allclose(
            noisy.features["inertia_tensor"], hela_cells.features["inertia_tensor"] * ratio**2, rtol=1e-4
        )
        change = noisy.features["intensity_mean"] - hela_cells.features["intensity_mean"]
        assert change.std() == pytest.approx(0.02, rel=0.05)

    def test_moves_masks_with_their_cells(self, hela: Movie) -> None:
        """Measured again, perturbed masks have the perturbed centroids and sizes, and every cell is still there."""
        corner = Movie(_Corner(hela.masks))
        hela_cells = Detections.from_movie(corner, progress=False)
        sizes = NoiseSizes(position=0.06, size=0.04, boundary=0.01)
        ((noisy, movie),) = FeaturePerturbation(1, sizes).copies(hela_cells, corner)
        assert movie is not None
        found = Detections.from_movie(Movie(movie.masks), progress=False)
        assert np.array_equal(found.label, hela_cells.label)
        shift, wanted = found.coords - hela_cells.coords, noisy.coords - hela_cells.coords
        assert np.corrcoef(shift.ravel(), wanted.ravel())[0, 1] > 0.9
        grown, grow = (
            np.log(x.features["equivalent_diameter_area"] / hela_cells.features["equivalent_diameter_area"])
            for x in (found, noisy)
        )
        assert np.corrcoef(grown.ravel(), grow.ravel())[0, 1] > 0.8

    def test_leaves_frames_without_cells_and_single_pixels(self) -> None:
        masks = np.zeros((3, 16, 16), np.uint16)
        masks[0, 4, 4], masks[2, 8:11, 8:11] = 5, 7
        movie = Movie.open(None, masks)
        cells = Detections.from_movie(movie, progress=False)
        for _, noisy in FeaturePerturbation(20, NoiseSizes(0.3, 0.3, 0.0, 0.1)).copies(cells, movie):
            assert noisy is not None
            assert [set(np.unique(noisy.read_mask(t))) for t in range(3)] == [{0, 5}, {0}, {0, 7}]

    @pytest.mark.parametrize("bad", [{"position": -1.0}, {"size": float("nan")}, {"boundary": np.inf}])
    def test_of_impossible_size_is_refused(self, bad: dict[str, float]) -> None:
        with pytest.raises(InputError, match="noise of"):
            NoiseSizes(**bad)

    def test_in_no_copy_at_all_is_refused(self) -> None:
        with pytest.raises(InputError, match="n_copies must be at least 1"):
            FeaturePerturbation(0)


class TestLinksThatSomeCopiesLack:
    cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))

    def graph(self, links: dict[int, float], appear: float = -4.0) -> CandidateGraph:
        return CandidateGraph.from_links(
            self.cells, list(links), [2] * len(links), torch.tensor(list(links.values())), appear=appear
        )

    def test_count_there_as_their_lowest_score_or_null(self) -> None:
        copies = [self.graph({0: -1.0, 1: -3.0}), self.graph({0: -2.0}), self.graph({0: -3.0}, appear=-2.0)]
        scores = PerturbedScores.of(self.graph({0: -1.0}), copies)
        assert scores.graph.mother.tolist() == [0, 1]
        assert scores.graph.score.tolist() == [-1.0, -np.inf]  # the tracker's own score, which it has not
        mean = scores.mean_graph()
        assert mean.score.tolist() == pytest.approx([-2.0, (-3.0 - 4.0 - 3.0) / 3])
        assert mean.appear.tolist() == pytest.approx([-10 / 3] * 3)

    def test_keep_their_own_score_if_no_copy_offers_them(self) -> None:
        scores = PerturbedScores.of(self.graph({0: -1.0, 1: -2.5}), [self.graph({0: -1.0})])
        assert scores.mean_graph().score.tolist() == [-1.0, -2.5]

    def test_pass_gradients(self) -> None:
        score = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)

        def fp(score: torch.Tensor) -> torch.Tensor:
            own = CandidateGraph.from_links(self.cells, [0, 1], [2, 2], score, appear=-4.0)
            less = CandidateGraph.from_links(self.cells, [0], [2], score[:1] * 2, appear=-4.0)
            return UncertaintyLayer("FP")(PerturbedScores.of(own, [own, less])).link

        assert torch.autograd.gradcheck(fp, (score,))

    def test_shapes_that_do_not_fit_are_refused(self) -> None:
        graph = self.graph({0: -1.0})
        event = torch.zeros(2, 3)
        with pytest.raises(InputError, match="score has shape"):
            PerturbedScores(graph, torch.zeros(2, 2), event, event, event)
        with pytest.raises(InputError, match="divide has shape"):
            PerturbedScores(graph, torch.zeros(2, 1), event, event, torch.zeros(1, 3))


@pytest.mark.parametrize("method", ["FP+A", "AS", "exact", "auto"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 30.0])
def test_at_most_two_daughters_are_expected_at_any_temperature(method: str, temperature: float) -> None:
    """One mother, five daughters that have no other candidate: SM promises her all five."""
    cells = Detections.from_points(np.array([0, 1, 1, 1, 1, 1]), np.arange(12.0).reshape(6, 2) / 10)
    tracker = DistanceTracker(search_range=30, scale=3)
    layer = UncertaintyLayer(method, temperature, k=3)
    check_probabilities(layer(layer.scores(tracker, cells, progress=False)))
    assert UncertaintyLayer("SM")(tracker.candidates(cells)).expected_daughters[0] > 4


class TestUncertaintyLayer:
    def test_state_dict_brings_back_the_temperature_and_refuses_other_methods(
        self, crowd: Detections
    ) -> None:
        fitted = UncertaintyLayer("AS", TemperatureScaler(2.5))
        fitted.scaler.fitted.fill_(True)
        fresh = UncertaintyLayer("AS")
        fresh.load_state_dict(fitted.state_dict())
        assert fresh.temperature.item() == pytest.approx(2.5)
        assert bool(fresh.scaler.fitted)
        graph = DistanceTracker().candidates(crowd)
        assert torch.equal(fresh(graph).link, fitted(graph).link)
        with pytest.raises(InputError, match="saved by method AS, but the layer's method is FP"):
            UncertaintyLayer("FP").load_state_dict(fitted.state_dict())

    def test_saved_and_read_back_as_weights_only(self, tmp_path) -> None:
        torch.save(UncertaintyLayer("FP+A", 1.7).state_dict(), tmp_path / "layer.pt")
        fresh = UncertaintyLayer("FP+A")
        fresh.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
        assert fresh.temperature.item() == pytest.approx(1.7)

    @pytest.mark.parametrize("method", ["SM", "FP", "FP+A", "AS", "exact", "auto", "bp"])
    def test_temperature_gets_a_gradient_and_the_graph_keeps_its_scores(
        self, crowd: Detections, method: str
    ) -> None:
        tracker = DistanceTracker(search_range=8, scale=4)
        layer = UncertaintyLayer(method, 2.0, k=20, perturbation=FeaturePerturbation(3))
        scores = layer.scores(tracker, crowd, progress=False)
        p = layer(scores)
        check_probabilities(p, capacity=method not in ("SM", "FP", "bp"))
        assert p.method == method
        columns = [getattr(p.graph, name).tolist() for name in ("mother", "daughter", "score")]
        own = {(i, j): s for i, j, s in zip(*columns, strict=True)}
        plain = tracker.candidates(crowd)
        for i, j, s in zip(plain.mother.tolist(), plain.daughter.tolist(), plain.score.tolist(), strict=True):
            assert own[i, j] == s
        p.entropy.sum().backward()
        gradient = layer.scaler.raw_temperature.grad
        assert gradient is not None
        assert torch.isfinite(gradient)
        assert gradient != 0

    def test_likelihood_at_a_temperature(self) -> None:
        graph = TestAWorkedExample().graph()
        mother = torch.tensor([-1, -1, 0, 1])
        layer = UncertaintyLayer("exact", 2.0)
        every = TestAWorkedExample().ranked()
        z = sum(np.exp(weight / 2) for weight, _ in every)
        found = layer.log_prob(graph, mother)
        assert found.item() == pytest.approx((-0.2 - 0.4) / 2 - np.log(z))
        found.sum().backward()
        assert layer.scaler.raw_temperature.grad is not None
        with pytest.raises(InputError, match="no joint likelihood"):
            UncertaintyLayer("SM").log_prob(graph, mother)

    def test_a_method_may_be_an_object(self) -> None:
        graph = TestAWorkedExample().graph()
        layer = UncertaintyLayer(ParentalSoftmax(null_class=False))
        assert layer.method == "ParentalSoftmax"
        assert (layer(graph).null[2:] == 0).all()

    def test_plain_scores_are_refused_where_perturbed_ones_are_needed(self) -> None:
        for method in ("FP", "FP+A"):
            with pytest.raises(InputError, match="needs scores under noise"):
                UncertaintyLayer(method)(TestAWorkedExample().graph())
        with pytest.raises(InputError, match="unknown"):
            UncertaintyLayer("MC dropout")

    def test_trains_under_distributed_data_parallel(self, tmp_path) -> None:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1
        )
        try:
            layer = torch.nn.parallel.DistributedDataParallel(UncertaintyLayer("exact", 2.0))
            layer(TestAWorkedExample().graph()).entropy.sum().backward()
            assert layer.module.scaler.raw_temperature.grad.abs() > 0
        finally:
            torch.distributed.destroy_process_group()

    @pytest.mark.parametrize("method", ["SM", "AS", "bp"])
    def test_compiled_it_gives_the_same(self, method: str) -> None:
        graph = TestAWorkedExample().graph()
        layer = UncertaintyLayer(method, 1.5)
        torch.testing.assert_close(torch.compile(layer, backend="eager")(graph).link, layer(graph).link)


def test_overlap_tracker_sees_perturbed_masks(hela: Movie, hela_cells: Detections) -> None:
    corner = Movie(_Corner(hela.masks))
    cells = Detections.from_movie(corner, progress=False)
    scores = FeaturePerturbation(3)(OverlapTracker(), cells, corner, progress=False)
    overlapping = (scores.score > scores.appear[:, scores.graph.daughter]).all(0)  # others have a fixed cost
    offered = (scores.score > -torch.inf).all(0) & overlapping
    assert (scores.score[:, offered].std(0) > 0).float().mean() > 0.9
    check_probabilities(FrequencyPosterior()(scores))


class _Corner(FrameSource):
    """The first four frames of a corner of a frame source."""

    def __init__(self, source: FrameSource) -> None:
        self.source, self.name, self.n_frames, self.frame_shape = source, "corner", 4, (300, 400)
        self.dtype = source.dtype

    def read(self, t: int) -> np.ndarray:
        return self.source.read(t)[:300, :400]
