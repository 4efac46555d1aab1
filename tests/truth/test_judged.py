"""Probabilities held against the truth."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq import CandidateGraph, Detections, InputError, ParentalSoftmax, UncertaintyLayer
from torchtrack_uq.truth.judged import JudgedDaughters, judge, judge_events
from torchtrack_uq.truth.targets import LinkTargets


def example(scores=(1.0, 0.0, -1.0, 0.5)):
    """Cells 0, 1 in frame 0; 2, 3 in frame 1; every pair a candidate."""
    cells = Detections.from_points(np.array([0, 0, 1, 1]), np.zeros((4, 2)))
    score = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    return score, CandidateGraph.from_links(cells, [0, 1, 0, 1], [2, 2, 3, 3], score, appear=-0.5)


def targets_of(graph, mothers, known=None):
    return LinkTargets.from_mothers(torch.tensor(mothers), graph.frame, known)


class TestJudge:
    def test_by_hand(self):
        score, graph = example()
        judged = judge(ParentalSoftmax()(graph), targets_of(graph, [-1, -1, 0, -1]))
        first = np.exp([1.0, 0.0, -0.5])
        second = np.exp([-1.0, 0.5, -0.5])
        p, q = first / first.sum(), second / second.sum()
        assert judged.cell.tolist() == [2, 3]
        assert judged.has_mother.tolist() == [True, False]
        assert judged.correct.tolist() == [True, False]
        np.testing.assert_allclose(judged.confidence.numpy(), [p[0], q[1]])
        np.testing.assert_allclose(judged.true_log_p.detach().exp().numpy(), [p[0], q[2]])
        expected = [(p[0] - 1) ** 2 + p[1] ** 2 + p[2] ** 2, q[0] ** 2 + q[1] ** 2 + (q[2] - 1) ** 2]
        np.testing.assert_allclose(judged.brier.detach().numpy(), expected)
        judged.true_log_p.sum().backward()
        np.testing.assert_allclose(score.grad.numpy(), [1 - p[0], -p[1], -q[0], -q[1]], atol=1e-12)

    def test_true_mother_is_no_candidate(self):
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        graph = CandidateGraph.from_links(cells, [0], [2], torch.tensor([0.0]))
        judged = judge(ParentalSoftmax()(graph), targets_of(graph, [-1, -1, 1]))
        assert not judged.reachable.any()
        assert not judged.correct.any()
        assert judged.true_log_p.tolist() == [-math.inf]
        assert judged.brier.tolist() == pytest.approx([0.5**2 + 0.5**2 + 1])

    def test_ties_go_to_the_first_candidate(self):
        _, graph = example((0.0, 0.0, -0.5, -0.5))
        judged = judge(ParentalSoftmax()(graph), targets_of(graph, [-1, -1, 1, 0]))
        assert judged.correct.tolist() == [False, True]

    def test_only_known_daughters(self):
        _, graph = example()
        targets = targets_of(graph, [-1, -1, 0, 1])
        some = targets.only(torch.tensor([True, True, False, True]))
        assert judge(ParentalSoftmax()(graph), some).cell.tolist() == [3]
        assert not some.mother_known.any()
        assert targets.only(torch.ones(4, dtype=torch.bool)).mother_known.tolist() == [
            True,
            True,
            False,
            False,
        ]

    def test_concatenated_and_chosen(self):
        _, graph = example()
        judged = judge(ParentalSoftmax()(graph), targets_of(graph, [-1, -1, 0, 1]))
        both = JudgedDaughters.concatenate([judged, judged.where(judged.cell == 3)])
        assert both.cell.tolist() == [2, 3, 3]
        with pytest.raises(InputError, match="nothing to concatenate"):
            JudgedDaughters.concatenate([])

    @given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.integers(-1, 1), st.integers(-1, 1))
    def test_brier_and_nll_as_from_a_dense_table(self, scores, first, second):
        _, graph = example(tuple(scores))
        p = UncertaintyLayer("exact")(graph)
        judged = judge(p, targets_of(graph, [-1, -1, first, second]))
        table = torch.cat([p.link.reshape(2, 2), p.null[2:, None]], 1).detach().double().numpy()
        for row, truth, i in zip(table, (first, second), range(2), strict=True):
            hot = np.eye(3)[truth]
            assert judged.brier[i].item() == pytest.approx(((row - hot) ** 2).sum(), abs=1e-9)
            assert judged.true_log_p[i].item() == pytest.approx(math.log(row[truth]), abs=1e-9)
            assert judged.correct[i].item() == (row.argmax() == truth % 3)


class TestEvents:
    def test_by_hand(self):
        _, graph = example()
        p = UncertaintyLayer("exact")(graph)
        events = judge_events(p, targets_of(graph, [-1, -1, 0, 0]))
        assert events["link"].happened.tolist() == [True, False, True, False]
        assert events["null"].happened.tolist() == [False, False]
        assert events["division"].happened.tolist() == [True, False]
        assert events["disappearance"].happened.tolist() == [False, True]
        torch.testing.assert_close(events["division"].probability, p.divide[:2].detach().double())

    def test_a_daughter_that_is_not_annotated_hides_what_mothers_did(self):
        _, graph = example()
        targets = targets_of(graph, [-1, -1, 0, 0], torch.tensor([True, True, True, False]))
        assert not targets.mother_known.any()
        assert len(judge_events(ParentalSoftmax()(graph), targets)["division"].probability) == 0


class TestBadTargets:
    def test_refused(self):
        frame = torch.tensor([0, 1])
        with pytest.raises(InputError, match="expected -1"):
            LinkTargets.from_mothers(torch.tensor([-1, 7]), frame)
        with pytest.raises(InputError, match="int64"):
            LinkTargets.from_mothers(torch.tensor([-1.0, 0.0]), frame)
        _, graph = example()
        with pytest.raises(InputError, match="2"):
            LinkTargets.from_mothers(torch.tensor([-1, 0]), frame).true_link(graph)
