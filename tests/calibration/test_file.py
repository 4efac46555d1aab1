"""Calibration files."""

import json
import math
from pathlib import Path

import pytest

from torchtrack_uq import InputError
from torchtrack_uq.calibration import (
    Calibration,
    CalibrationWarning,
)


class TestFile:
    def test_comes_back_as_it_was(self, tmp_path: Path) -> None:
        one = Calibration(
            1.5, "AS", "distance", stride=2, offsets={"appear": 1.0, "disappear": 0.5, "divide": -2.0}
        )
        read = Calibration.load(one.save(tmp_path / "c.json"))
        assert math.isnan(read.nll_before)
        assert {**read.__dict__, "nll_before": 0, "nll_after": 0} == {
            **one.__dict__,
            "nll_before": 0,
            "nll_after": 0,
        }
        layer = read.layer()
        assert float(layer.temperature.detach()) == pytest.approx(1.5)
        assert layer.events.values == one.offsets
        assert layer.scaler.fitted

    def test_what_a_miss_costs_is_kept_where_it_was_fitted(self, tmp_path: Path) -> None:
        offsets = {"appear": 1.0, "disappear": 0.5, "divide": -2.0, "miss": -3.0}
        read = Calibration.load(Calibration(1.5, "AS", "distance", offsets=offsets).save(tmp_path / "c.json"))
        assert read.offsets == read.layer().events.values == offsets

    @pytest.mark.parametrize("max_gap", [0, -1, "2", 1e9, 10**9, 1.5, True, None, [2]])
    def test_gaps_that_cannot_be_are_refused_with_the_file(self, max_gap: object, tmp_path: Path) -> None:
        file = Calibration(1.5, "AS", "distance", max_gap=2).save(tmp_path / "c.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"max_gap": max_gap}))
        with pytest.raises(InputError, match=r"c\.json cannot be used: max_gap"):
            Calibration.load(file)

    def test_a_file_that_lost_its_gap_is_refused_where_it_matters(self, tmp_path: Path) -> None:
        offsets = {"appear": 1.0, "disappear": 0.5, "divide": -2.0, "miss": -3.0}
        for known, file in ((offsets, "with.json"), (None, "without.json")):
            one = Calibration(1.5, "AS", "distance", offsets=known, max_gap=2)
            content = json.loads(one.save(tmp_path / file).read_text())
            del content["max_gap"]
            (tmp_path / file).write_text(json.dumps(content))
        with pytest.raises(InputError, match="lacks an entry: max_gap"):
            Calibration.load(tmp_path / "with.json")
        assert Calibration.load(tmp_path / "without.json").max_gap == 1  # as in files of earlier versions

    def test_other_methods_and_trackers_are_refused_other_strides_warned_of(self) -> None:
        one = Calibration(1.5, "AS", "distance", stride=2)
        one.check("AS", "distance", 2)
        with pytest.raises(InputError, match="fitted for method AS"):
            one.check("SM", "distance")
        with pytest.raises(InputError, match="fitted for tracker distance"):
            one.check("AS", "trackastra:0123")
        with pytest.raises(InputError, match=r"pass --method AS, or fit one with .* --method SM"):
            one.check("SM", "distance")
        with pytest.raises(InputError, match="pass the --model that it was fitted for, or fit one"):
            Calibration(1.5, "AS", "trackastra:4567").check("AS", "trackastra:0123")
        with pytest.warns(CalibrationWarning, match="stride 2"):
            one.check("AS", "distance", 4)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "cannot be read"),
            ('{"temperature": 2}', "not a calibration file"),
            ('{"format": "torchtrack-uq calibration 1", "method": "AS"}', "lacks an entry"),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "XX", "tracker": "a", "temperature": 1}',
                "XX",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": -1}',
                "-1",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": "1"}',
                "positive number",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": 1, '
                '"nll_before": "x"}',
                "cannot be used",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": 1, '
                '"offsets": {"foo": 1}}',
                "appear, disappear and divide",
            ),
            *(
                (
                    '{"format": "torchtrack-uq calibration 2", "method": "AS", "tracker": "a", "temperature": 1, '
                    f"{entry}}}",
                    message,
                )
                for entry, message in (
                    ('"prior": 3', "prior must be a name"),
                    ('"prior_width": "x"', "prior_width must be a positive number"),
                    ('"standard_errors": "x"', "standard_errors must be numbers"),
                    ('"standard_errors": {"appear": -1}', "standard_errors must be numbers"),
                    ('"standard_errors": {"appear": NaN}', "standard_errors must be numbers"),
                )
            ),
        ],
    )
    def test_files_that_are_none(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "c.json").write_text(content)
        with pytest.raises(InputError, match=message):
            Calibration.load(tmp_path / "c.json")
        with pytest.raises(InputError, match="torchtrack-uq fit"):
            Calibration.load(tmp_path / "missing.json")
