"""`paper=True` against a second reading of equations 1 to 6, in loops over all assignments and without this package."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    InputError,
    PerturbedScores,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.layers.paper import PAPER

SEEDS = range(25)
Assignment = frozenset[tuple[int, int]]


@dataclass
class TwoFrames:
    """Cells of two frames: costs w[i, j] of the pairs that are candidates, and those of appearing and disappearing."""

    w: dict[tuple[int, int], float]
    m: int
    n: int
    w_a: float
    w_d: float

    @classmethod
    def random(cls, seed: int) -> "TwoFrames":
        rng = np.random.default_rng(seed)
        m, n = (int(k) for k in rng.integers(1, 5, 2))
        pairs = [pair for pair in itertools.product(range(m), range(n)) if rng.uniform() < 0.7][:8]
        w = {pair: float(rng.normal(0, 1.5)) for pair in pairs}
        return cls(w, m, n, *(float(c) for c in rng.uniform(0, 3, 2)))

    def noisy(self, seed: int) -> "TwoFrames":
        rng = np.random.default_rng(seed)
        return TwoFrames(
            {pair: cost + float(rng.normal()) for pair, cost in self.w.items()},
            self.m,
            self.n,
            self.w_a,
            self.w_d,
        )

    def graph(self) -> CandidateGraph:
        cells = Detections.from_points(np.repeat([0, 1], [self.m, self.n]), np.zeros((self.m + self.n, 2)))
        return CandidateGraph.from_links(
            cells,
            torch.tensor([i for i, _ in self.w], dtype=torch.int64),
            torch.tensor([self.m + j for _, j in self.w], dtype=torch.int64),
            torch.tensor([-cost for cost in self.w.values()], dtype=torch.float64),
            appear=-self.w_a,
            disappear=-self.w_d,
        )

    def feasible(self) -> list[Assignment]:
        """Every mother at most twice, every daughter at most once."""
        found = []
        for size in range(len(self.w) + 1):
            for links in itertools.combinations(self.w, size):
                mothers, daughters = [i for i, _ in links], [j for _, j in links]
                if all(mothers.count(i) <= 2 for i in mothers) and len(set(daughters)) == size:
                    found.append(frozenset(links))
        return found

    def log_likelihood(self, links: Assignment) -> float:
        """Equation 1."""
        appearing = self.n - len({j for _, j in links})
        disappearing = self.m - len({i for i, _ in links})
        return sum(-self.w[pair] for pair in links) - appearing * self.w_a - disappearing * self.w_d

    def ranked(self) -> list[Assignment]:
        return sorted(self.feasible(), key=self.log_likelihood, reverse=True)

    def conditional(
        self, p: dict[tuple[int, int], float]
    ) -> tuple[dict[tuple[int, int], float], list[float]]:
        """P_i|j = P_ij / sum_k P_kj, and the probability that daughter j has no mother."""
        column = [sum(p[i, k] for i, k in self.w if k == j) for j in range(self.n)]
        given = {(i, j): p[i, j] / column[j] if column[j] > 0 else 0.0 for i, j in self.w}
        return given, [0.0 if column[j] > 0 else 1.0 for j in range(self.n)]

    def softmax(self, temperature: float) -> tuple[dict[tuple[int, int], float], list[float]]:
        """Equation 5."""
        return self.conditional({pair: np.exp(-cost / temperature) for pair, cost in self.w.items()})

    def top_k(self, k: int, temperature: float) -> tuple[dict[tuple[int, int], float], list[float]]:
        """Equation 4, normalised by columns."""
        best = self.ranked()[:k]
        weight = [np.exp(self.log_likelihood(links) / temperature) for links in best]
        p = {
            pair: sum(share for share, links in zip(weight, best, strict=True) if pair in links) / sum(weight)
            for pair in self.w
        }
        return self.conditional(p)

    def entropy(self, given: dict[tuple[int, int], float]) -> list[float]:
        """Equation 6."""
        return [
            -sum(given[i, k] * np.log(given[i, k]) for i, k in self.w if k == j and given[i, k] > 0)
            for j in range(self.n)
        ]

    def check(
        self, p, expected: tuple[dict[tuple[int, int], float], list[float]], temperature: float = 1.0
    ) -> None:
        given, none = expected
        for link in range(p.graph.n_links):
            pair = int(p.graph.mother[link]), int(p.graph.daughter[link]) - self.m
            assert float(p.link[link].detach()) == pytest.approx(given[pair], abs=1e-9)
        np.testing.assert_allclose(p.null[self.m :].detach(), none, atol=1e-9)
        np.testing.assert_allclose(p.entropy[self.m :].detach(), self.entropy(given), atol=1e-8)


@pytest.mark.parametrize("temperature", [1.0, 2.3])
@pytest.mark.parametrize("seed", SEEDS)
class TestToTheLetter:
    def test_sm_is_equation_5_without_a_null_class(self, seed: int, temperature: float) -> None:
        frames = TwoFrames.random(seed)
        p = UncertaintyLayer("SM", temperature, paper=True)(frames.graph())
        frames.check(p, frames.softmax(temperature))

    def test_fp_is_equation_5_of_averaged_costs(self, seed: int, temperature: float) -> None:
        frames = TwoFrames.random(seed)
        copies = [frames.noisy(100 * seed + r) for r in range(4)]
        mean = {pair: float(np.mean([copy.w[pair] for copy in copies])) for pair in frames.w}
        averaged = TwoFrames(mean, frames.m, frames.n, frames.w_a, frames.w_d)
        scores = PerturbedScores.of(frames.graph(), [copy.graph() for copy in copies])
        p = UncertaintyLayer("FP", temperature, paper=True)(scores)
        averaged.check(p, averaged.softmax(temperature))

    def test_fpa_is_the_plain_frequency_normalised_by_columns(self, seed: int, temperature: float) -> None:
        frames = TwoFrames.random(seed)
        copies = [frames.noisy(100 * seed + r) for r in range(5)]
        optimal = [copy.ranked()[0] for copy in copies]
        frequency = {pair: sum(pair in links for links in optimal) / len(copies) for pair in frames.w}
        scores = PerturbedScores.of(frames.graph(), [copy.graph() for copy in copies])
        layer = UncertaintyLayer("FP+A", temperature, paper=True)
        p = layer(scores)
        frames.check(p, frames.conditional({pair: f ** (1 / temperature) for pair, f in frequency.items()}))
        (gradient,) = torch.autograd.grad(
            p.link.square().sum() + p.divide.sum(), layer.scaler.raw_temperature
        )
        assert torch.isfinite(gradient)

    @pytest.mark.parametrize("k", [1, 3, 10_000])
    def test_as_is_equation_4_normalised_by_columns(self, seed: int, temperature: float, k: int) -> None:
        frames = TwoFrames.random(seed)
        layer = UncertaintyLayer("AS", temperature, k=k, paper=True)
        p = layer(frames.graph())
        frames.check(p, frames.top_k(k, temperature))
        if frames.w:
            (gradient,) = torch.autograd.grad(p.link.square().sum(), layer.scaler.raw_temperature)
            assert torch.isfinite(gradient)


def test_the_random_frames_hold_what_the_equations_tell_apart() -> None:
    """Daughters that are never linked, and MAP assignments with events and with a mother of two."""
    frames = [TwoFrames.random(seed) for seed in SEEDS]
    best = [one.ranked()[0] for one in frames]
    assert any({j for _, j in one.w} < set(range(one.n)) for one in frames)
    assert any(len(links) < one.n for one, links in zip(frames, best, strict=True))
    assert any(len({i for i, _ in links}) < len(links) for links in best)
    assert any(1.0 in one.top_k(1, 1.0)[1] and one.w for one in frames)


@pytest.mark.parametrize("method", ["exact", "auto", "bp"])
def test_methods_that_are_not_in_the_paper_have_no_such_version(method: str) -> None:
    with pytest.raises(
        InputError, match=f"method {method} has no paper version; choose one of the paper's methods: SM"
    ):
        UncertaintyLayer(method, paper=True)
    with pytest.raises(InputError, match="no paper version"):
        UncertainTracker(DistanceTracker(), method, paper=True)


def test_it_is_for_methods_by_name() -> None:
    with pytest.raises(InputError, match="given by name"):
        UncertaintyLayer(UncertaintyLayer("AS").posterior, paper=True)
    with pytest.raises(InputError, match="give paper=True to the layer"):
        UncertainTracker(DistanceTracker(), UncertaintyLayer("AS"), paper=True)
    with pytest.raises(InputError, match="unknown"):
        UncertaintyLayer("nothing", paper=True)


@pytest.mark.parametrize("method", PAPER)
def test_results_say_which_version_they_are_of(method: str, blobs: tuple[np.ndarray, np.ndarray]) -> None:
    tracker = UncertainTracker(DistanceTracker(), method, paper=True)
    result = tracker.track(*blobs, progress=False)
    assert result.probabilities.method == method
    assert result.probabilities.options == PAPER[method]
    assert f"{method} with " in result.summary()
    assert "null_class=False" in result.summary()


def test_what_is_proved_of_eq_3_is_not_claimed_after_normalising_by_columns() -> None:
    p = UncertaintyLayer("AS", paper=True)(TwoFrames.random(3).graph())
    assert p.error_bound is not None
    assert p.exact is not None
    assert torch.isinf(p.error_bound).all()
    assert not p.exact.any()
