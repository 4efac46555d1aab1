"""The answers that a question has, each with the key that gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.session import Progress


@dataclass(frozen=True)
class Answer:
    """One answer to "who is its mother?".

    Attributes:
        key: That gives it: "1" to "9" for mothers, "0" for none, "B" for what is no cell.
        text: In words, with its probability.
        decision: What it says.
        chosen: Whether it is what the tracker chose, given all decisions so far.
        decided: Whether a person decided so already.
    """

    key: str
    text: str
    decision: Decision
    chosen: bool = False
    decided: bool = False


def answers_to(question: Mapping[str, Any]) -> list[Answer]:
    """The answers to a question: its candidate mothers, the likeliest first, no mother, and no cell.

    Args:
        question: As `ReviewSession.question` puts it.

    Returns:
        None for a detection that was struck out: only undoing brings it back.

    >>> question = {"frame": 3, "label": 7, "struck_out": False, "none": 0.25, "chosen": [2, 5], "decision": None,
    ...             "candidates": [{"frame": 2, "label": 5, "place": [4.0, 4.0], "probability": 0.75}]}
    >>> for answer in answers_to(question):
    ...     print(answer.key, answer.text, answer.chosen)
    1 cell 5 of frame 2: 75 % True
    0 no mother: 25 % False
    B this is no cell False
    """
    if question["struck_out"]:
        return []
    cell = question["frame"], question["label"]
    given = None if question["decision"] is None else Decision(**question["decision"])
    chosen = None if question["chosen"] is None else tuple(question["chosen"])
    said = [
        (
            str(key),
            f"cell {one['label']} of frame {one['frame']}: {percent(one['probability'])}",
            Decision(*cell, "mother", one["frame"], one["label"]),
            chosen == (one["frame"], one["label"]),
        )
        for key, one in enumerate(question["candidates"], start=1)
    ]
    said.append(
        ("0", f"no mother: {percent(question['none'])}", Decision(*cell, "none"), question["chosen"] is None)
    )
    said.append(("B", "this is no cell", Decision(*cell, "bad"), False))
    return [Answer(*one, decided=one[2] == given) for one in said]


def percent(probability: float) -> str:
    """A probability in whole percent that never says 0 or 100 of what is neither.

    >>> [percent(p) for p in (0.0, 0.001, 0.5, 0.999, 1.0)]
    ['0 %', '< 1 %', '50 %', '> 99 %', '100 %']
    """
    if 0.995 <= probability < 1:
        return "> 99 %"
    if 0 < probability < 0.005:
        return "< 1 %"
    return f"{round(100 * probability)} %"


def progress_in_words(progress: Progress, n_open: int) -> str:
    """How far a session is.

    >>> progress_in_words(Progress(3, 1, 0, expected_errors=2.0, expected_at_start=4.5), n_open=12)
    '3 decided (1 changed, 0 struck out), 12 doubtful cells left; about 2.0 wrong decisions left of 4.5'
    """
    return (
        f"{progress.decided} decided ({progress.changed} changed, {progress.struck_out} struck out), "
        f"{n_open} doubtful cells left; about {progress.expected_errors:.1f} wrong decisions left of "
        f"{progress.expected_at_start:.1f}"
    )
