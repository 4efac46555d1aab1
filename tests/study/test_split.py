import pytest
import torch

from study.split import alternating, part_of, second_half
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.layers import UncertaintyLayer


@pytest.mark.parametrize("method", ["AS", "exact"])
def test_the_parts_of_a_split_hold_every_daughter_and_event_once(scored: ScoredMovie, method: str) -> None:
    layer = UncertaintyLayer(method)
    whole = scored.solve(layer)
    for judged in (alternating(scored.graph.n_frames - 1), second_half(scored.graph.n_frames - 1)):
        parts = [part_of(whole, pairs) for pairs in (judged, ~judged)]
        assert len(whole.judge(layer)) == sum(len(part.judge(layer)) for part in parts)
        assert sum(part.targets.mother_known.sum() for part in parts) == whole.targets.mother_known.sum()
        found = torch.cat([part.judge(layer).true_log_p for part in parts]).sort().values
        torch.testing.assert_close(found, whole.judge(layer).true_log_p.sort().values)


@pytest.mark.parametrize("n_pairs", [1, 2, 3, 9, 10, 11, 47, 240])
def test_blocks_alternate_and_the_last_is_judged(n_pairs: int) -> None:
    judged = alternating(n_pairs)
    assert judged[-1]
    assert 1 + int((judged[1:] != judged[:-1]).sum()) == min(n_pairs, 10)
    assert n_pairs / 2 - 12 <= judged.sum() <= n_pairs / 2 + 12
