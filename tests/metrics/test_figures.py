"""Reliability diagrams and sparsification plots show the numbers that the metrics compute."""

import io

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from tests.support.ragged import daughters, ragged_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.sparsification import sparsification_curve
from torchtrack_uq.metrics import summarise
from torchtrack_uq.metrics.figures import draw_reliability, draw_sparsification
from torchtrack_uq.truth.judged import judge_events


def dots(axes):
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    points = np.concatenate([np.stack(line.get_data(), 1) for line in lines])
    return points[np.argsort(points[:, 0])]


def pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


class TestReliability:
    def test_dots_are_bins(self):
        p = torch.tensor([0.5] * 20 + [0.9] * 20, dtype=torch.float64)
        correct = torch.arange(40) % 4 != 0
        upper, lower = draw_reliability(daughters(p, correct), n_bins=10).axes
        np.testing.assert_allclose(dots(upper), [[0.5, 0.75], [0.9, 0.75]])
        assert upper.get_title() == "ECE 0.200"
        assert [bar.get_height() for bar in lower.patches if bar.get_height()] == [20, 20]
        for segments in upper.collections:  # the interval of a bin holds its share
            for (_, low), (_, high) in segments.get_segments():
                assert 0 <= low < 0.75 < high <= 1

    def test_a_panel_each(self):
        movie = ragged_movie(0)
        figure = draw_reliability({"before": movie.judged, "after": movie.judged})
        assert len(figure.axes) == 4
        expected = f"before\nECE {summarise(movie.judged)['ece']:.3f}"
        assert figure.axes[0].get_title() == expected

    def test_events(self):
        movie = ragged_movie(0)
        events = judge_events(movie.probabilities, movie.targets)
        figure = draw_reliability({kind: events[kind] for kind in ("link", "null", "division")})
        assert "happened" in figure.axes[0].get_ylabel()

    def test_light_and_not_empty(self):
        image = pixels(draw_reliability(ragged_movie(0).judged))
        assert image[0, 0, :3].tolist() == [1, 1, 1]
        assert 0.75 < image[..., :3].mean() < 0.99

    def test_refused(self):
        judged = ragged_movie(0).judged
        with pytest.raises(InputError, match="nothing to draw for empty"):
            draw_reliability({"empty": judged.where(torch.zeros_like(judged.correct))})
        with pytest.raises(InputError, match="nothing to draw"):
            draw_reliability({})
        with pytest.raises(InputError, match="at most 4"):
            draw_reliability({str(k): judged for k in range(5)})


class TestSparsification:
    @pytest.mark.parametrize("by", ["confidence", "entropy"])
    def test_curves(self, by):
        judged = ragged_movie(0).judged
        axes = draw_sparsification({"SM": judged}, by).axes[0]
        uncertainty = judged.entropy if by == "entropy" else 1 - judged.confidence
        curve = sparsification_curve(uncertainty, judged.correct)
        np.testing.assert_allclose(axes.lines[0].get_ydata(), curve.accuracy.numpy())
        np.testing.assert_allclose(axes.lines[1].get_ydata(), curve.oracle.numpy())
        numbers = summarise(judged)
        suffix = "_entropy" if by == "entropy" else ""
        aurc, ause = numbers[f"aurc{suffix}"], numbers[f"ause{suffix}"]
        assert axes.lines[0].get_label() == f"SM: AURC {aurc:.2g}, AUSE {ause:.2g}"

    def test_long_curves_are_thinned_to_both_ends(self):
        n = 30_000
        judged = daughters(torch.linspace(0.5, 1, n), torch.arange(n) % 50 != 0)
        removed, _ = draw_sparsification(judged).axes[0].lines[0].get_data()
        assert len(removed) == 2000
        assert removed[0] == 0
        assert removed[-1] == pytest.approx(1 - 1 / n)

    @pytest.mark.parametrize("outcome", [True, False])
    def test_all_right_or_all_wrong_can_be_drawn(self, outcome):
        judged = daughters(torch.full((30,), 0.9), torch.full((30,), outcome))
        assert pixels(draw_sparsification(judged))[0, 0, :3].tolist() == [1, 1, 1]

    def test_refused(self):
        judged = ragged_movie(0).judged
        with pytest.raises(InputError, match="at most 6"):
            draw_sparsification({str(k): judged for k in range(7)})
        with pytest.raises(InputError, match="'confidence' or 'entropy'"):
            draw_sparsification(judged, "variance")
