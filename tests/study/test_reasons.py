import pandas as pd

from study.reasons import why_above


def test_reasons_follow_from_the_numbers() -> None:
    base = {
        "recording": "one", "stride": 1, "tracker": "Distance", "method": "SM", "error": "", "temperature": 1.0,
        "n_daughters": 100, "n_unreachable": 0, "accuracy": 0.9, "ece_if_calibrated_upper": 0.03,
    }  # fmt: skip
    cases = {
        "chance": (0.025, 0.0, 0),
        "unreachable": (0.08, 0.08, 5),
        "drift": (0.08, 0.01, 0),
        "shape": (0.08, 0.07, 0),
    }
    rows = []
    for movie, (ece, oracle, unreachable) in cases.items():
        rows.append({**base, "movie": movie, "ts": "in time", "ece": ece, "n_unreachable": unreachable})
        rows.append({**base, "movie": movie, "ts": "oracle", "ece": oracle, "n_unreachable": unreachable})
    found = why_above(pd.DataFrame(rows))
    assert (found["reason"] == found["movie"]).all()
    assert len(found) == len(cases)
