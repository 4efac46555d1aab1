"""Tables of decisions as targets: whatever is wrong with them is said, and nothing is guessed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import Detections, InputError
from torchtrack_uq.calibration import Calibration
from torchtrack_uq.calibration.annotations import drawn_evenly, read_annotations
from torchtrack_uq.cli import main
from torchtrack_uq.datasets.example import hela_example

CELLS = Detections.from_points(
    np.array([0, 0, 1, 1, 1, 2, 2]), np.zeros((7, 2)), label=np.array([3, 5, 2, 4, 9, 2, 7])
)


def written(folder: Path, *rows: str, header: str = "frame,label,verdict,mother_frame,mother") -> Path:
    file = folder / "decisions.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_verdicts_become_mothers_and_the_rest_is_not_known(tmp_path: Path) -> None:
    file = written(tmp_path, "1,2,mother,0,3", "1,4,None,,", "1,9,,,", "2,7, mother ,,9", "2,2,mother,0,5")
    targets = read_annotations(file, CELLS, max_gap=2)
    assert targets.known.tolist() == [False, False, True, True, False, True, True]
    assert targets.mother[targets.known].tolist() == [0, -1, 1, 4]
    assert not targets.mother_known.any()


def test_what_is_no_cell_is_judged_neither_as_daughter_nor_as_mother(tmp_path: Path) -> None:
    file = written(tmp_path, "1,2,mother,0,3", "1,9,bad,,", "2,7,mother,1,9", "0,5,bad,,")
    assert read_annotations(file, CELLS).known.tolist() == [False, False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,2,yes,0,3"], "line 2: verdict 'yes' is unknown"),
        (["1,8,none,,"], "line 2: there is no cell 8 in frame 1"),
        (["1,2,mother,0,99"], "there is no cell 99 in frame 0"),
        (["1,4,none,,", "2,2,mother,0,5"], "line 3: .* pass --max-gap 2"),
        (["1,2,mother,1,4"], "the mother is of frame 1, .* expected an earlier frame"),
        (["1,2,mother,0,"], "the column mother is empty"),
        (["0,3,none,,"], "nobody's daughters"),
        (["1,2,none,,", "1,2,mother,0,3"], "judged twice"),
        (["1,2,none,,", "1,2,bad,,"], "judged twice"),
        (["1,2,mother,0,3", "1,4,mother,0,3", "1,9,mother,0,3"], "more than two daughters"),
        (["1,2,,,"], "has no verdict"),
        (["1,9,bad,,"], "judges no daughter: 1 cells are bad"),
        (["1,9,bad,,", "2,7,mother,1,9"], "judges no daughter: 1 cells are bad"),
        (["1,2,mother,2,2"], "the mother is of frame 2, .* expected an earlier frame"),
        (["1,2,mother,-1,3"], "expected an earlier frame, from 0 on"),
        (["1,2,mother,0,0"], "her label is 0, which is background; write none"),
        (["", "", "1,2,yes,,"], "line 4: verdict"),
        (["1,2,mother,0,3,", "1,4,none,,,"], "cannot be read .* line 2, saw 6"),
        (["1.5,2,none,,"], "frame is .1.5."),
        (["one,2,none,,"], "expected a whole number"),
        (["1,2,mother,0,three"], "mother is 'three'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_annotations(written(tmp_path, *rows), CELLS)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks the column"):
        read_annotations(written(tmp_path, "1,2", header="frame,label"), CELLS)
    with pytest.raises(InputError, match="cannot be read"):
        read_annotations(tmp_path / "nothing.csv", CELLS)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(InputError):
        read_annotations(binary, CELLS)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    rows = [
        "frame,label,verdict,mother_frame,mother,remark",
        "1,2,mother,0.0,3.0,ü",
        "1,4",
        "",
        "1,9,none,,,",
    ]
    file = tmp_path / "decisions.csv"
    file.write_bytes((end.join(rows) + end).replace(",", separator).encode(encoding))
    targets = read_annotations(file, CELLS)
    assert targets.known.nonzero().squeeze(1).tolist() == [2, 4]
    assert targets.mother[targets.known].tolist() == [0, -1]


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    for name in ("verdict", "verdict "):
        file = written(
            tmp_path, "1,2,none,,,mother", header=f"frame,label,verdict,mother_frame,mother,{name}"
        )
        with pytest.raises(InputError, match="several columns verdict"):
            read_annotations(file, CELLS)


@pytest.mark.parametrize("axes", ["yx", "zyx"])
def test_a_list_of_another_movie_or_stride_is_known_by_where_its_cells_are(tmp_path: Path, axes: str) -> None:
    cells = Detections.from_points(np.array([0, 1]), np.full((2, len(axes)), 7.25), label=np.array([3, 3]))
    header = ",".join(["frame,label,verdict,mother_frame,mother,tracked_mother", *axes])
    for place, fits in ((7.2, True), ("", True), (9, False)):
        file = written(
            tmp_path, f"1,3,mother,0,3,3,{','.join(['7.25'] * (len(axes) - 1))},{place}", header=header
        )
        if fits:
            assert read_annotations(file, cells).known.tolist() == [False, True]
        else:
            with pytest.raises(
                InputError, match=r"line 2: cell 3 of frame 1 is listed at .*, 9\), but is at .*stride"
            ):
                read_annotations(file, cells)
    other = written(tmp_path, "1,3,mother,0,3,99,99", header="frame,label,verdict,mother_frame,mother,y,x")
    assert read_annotations(other, cells).known.any()  # a table of one's own, perhaps in micrometres


@pytest.mark.parametrize(
    ("rows", "even"),
    [
        (("1,2,drawn,,", "1,2,none,,", "1,4,drawn,,", "1,4,bad,,"), True),
        (("1,2,drawn,,", "1,2,none,,", "1,4,none,,"), False),  # 4 was chosen
        (("1,2,drawn,,", "1,2,none,,", "1,4,drawn,,"), False),  # 4 was passed over
        (("1,2,drawn,,", "1,2,none,,", "1,4,none,,", "1,4,undo,,"), True),
    ],
)
def test_a_log_of_a_review_is_drawn_evenly_only_where_nothing_was_chosen_or_passed_over(
    tmp_path: Path, rows: tuple[str, ...], even: bool
) -> None:
    header = "frame,label,verdict,mother_frame,mother,time,who"
    assert (
        drawn_evenly(written(tmp_path, *(f"{row},2026-11-27T00:00:00,me" for row in rows), header=header))
        == even
    )


def test_a_list_says_whether_it_prefers_some_daughters(tmp_path: Path) -> None:
    header = "frame,label,verdict,mother_frame,mother,inclusion_probability"
    assert drawn_evenly(written(tmp_path, "1,2,none,,"))
    assert drawn_evenly(written(tmp_path, "1,2,none,,,0.5", "", "1,4,,,,0.5", header=header))
    assert not drawn_evenly(written(tmp_path, "1,2,none,,,0.5", "1,4,,,,1", header=header))
    assert not drawn_evenly(
        written(tmp_path, "1,2,none,,,0.5", "1,4,none,,,", header=header)
    )  # one of their own


@pytest.mark.parametrize("random", ["0.5", "1"])
def test_from_a_tracked_movie_to_a_fit_with_what_the_list_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], random: str
) -> None:
    """Track, ask, answer (here as the tracker decided), fit, and track again with the fit."""
    images, masks = (str(path) for path in hela_example())
    shared = ["-i", images, "-m", masks, "--tracker", "distance", "--quiet"]
    assert main(["track", *shared, "-o", str(tmp_path / "OUT")]) == 0
    asked = tmp_path / "asked.csv"
    assert main(["sample", str(tmp_path / "OUT"), "-n", "30", "-o", str(asked), "--random", random]) == 0
    table = pd.read_csv(asked)
    table["verdict"] = np.where(table["tracked_mother"] > 0, "mother", "none")
    table["mother"], table["mother_frame"] = table["tracked_mother"], table["tracked_mother_frame"]
    table.to_csv(asked, index=False)
    file = tmp_path / "calibration.json"
    assert main(["fit", "--decisions", str(asked), *shared, "-o", str(file)]) == 0
    fitted = Calibration.load(file)
    assert fitted.n_daughters == 30
    assert fitted.prior is not None
    assert main(["track", *shared, "-o", str(tmp_path / "NEW"), "--temperature", str(file)]) == 0
    # the promise about accepted decisions is about a random sample
    assert (fitted.review is not None) == (random == "1")
    assert ("prefers doubtful decisions" in capsys.readouterr().out) == (random != "1")
    accept = [
        "track",
        *shared,
        "-o",
        str(tmp_path / "OK"),
        "--temperature",
        str(file),
        "--accept-error",
        "0.3",
    ]
    assert main(accept) == (0 if random == "1" else 2)


def test_decisions_are_of_one_movie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "1,2,none,,")
    for arguments in (["--decisions", str(file)], [], [str(tmp_path), "--decisions", str(file), "-m", "x"]):
        assert main(["fit", *arguments, "-o", str(tmp_path / "c.json"), "--tracker", "distance"]) == 2
        assert "CTC_FOLDER" in capsys.readouterr().err


def test_the_default_tracker_is_fitted_to_decisions_too(
    blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """Its scores come out of a network, whose graph the fit must not go through again and again."""
    images, masks = blobs
    for name, array in (("images.tif", images), ("masks.tif", masks)):
        tifffile.imwrite(tmp_path / name, array)
    rows = [f"{t},{label},mother,{t - 1},{label}" for t in (1, 2) for label in (1, 9)]
    file = written(tmp_path, *rows, "3,2,mother,2,1")
    out = tmp_path / "calibration.json"
    where = ["-i", str(tmp_path / "images.tif"), "-m", str(tmp_path / "masks.tif"), "--quiet"]
    assert main(["fit", "--decisions", str(file), *where, "-o", str(out)]) == 0
    assert Calibration.load(out).n_daughters == 5
