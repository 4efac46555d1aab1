import pytest

from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.training import (
    TrainingSettings,
)
from torchtrack_uq.training.accuracy import LinkAccuracy, held_out_chains, predict_mothers
from torchtrack_uq.training.module import build_model


def test_an_untrained_model_links_to_the_nearest_centroid(movies: list[AnnotatedMovie]) -> None:
    """The initial weights are a distance kernel: near cells are linked, far ones are not."""
    model = build_model(TrainingSettings(n_layers=2))
    for movie in movies:
        correct = LinkAccuracy.of(predict_mothers(model, movie), movie.mother, movie.has_target)
        assert correct.share > 0.9
    at_random = build_model(TrainingSettings(n_layers=2, random_start=True))
    wrong = LinkAccuracy.of(predict_mothers(at_random, movies[0]), movies[0].mother, movies[0].has_target)
    assert wrong.share < 0.6


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_every_held_out_daughter_is_judged_once(movie: AnnotatedMovie, stride: int) -> None:
    judged = [
        (int(t), int(k))
        for chain in held_out_chains(movie, 6, stride, window=3)
        for t, k in zip(
            chain.movie.recording_frame[chain.judged], chain.movie.detections.label[chain.judged], strict=True
        )
    ]
    cells = movie.detections
    assert sorted(judged) == [(t, k) for t, k in zip(cells.frame, cells.label, strict=True) if t >= 6]
