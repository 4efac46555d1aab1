"""A batch does every movie as `track` does, whatever happens to single ones, and goes on where it was stopped."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import InputError
from torchtrack_uq.batch.movies import BatchMovie
from torchtrack_uq.batch.run_one import run_movie
from torchtrack_uq.batch.schedule import run_here, run_on_cluster
from torchtrack_uq.cli.main import main

TABLES = ("links.csv", "cells.csv", "tracks.csv", "review.csv", "res_track.txt")


def write_points(file: Path, seed: int, n_frames: int = 6, n: int = 12) -> None:
    """A few points that walk at random."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 60, (n, 2)) + rng.normal(0, 1.5, (n_frames, n, 2)).cumsum(axis=0)
    frame = np.repeat(np.arange(n_frames), n)
    pd.DataFrame({"frame": frame, "y": place[..., 0].ravel(), "x": place[..., 1].ravel()}).to_csv(
        file, index=False
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for k in range(2):
        write_points(tmp_path / f"m{k}.csv", k)
    (tmp_path / "empty.csv").write_text("frame,y,x\n")
    file = tmp_path / "movies.csv"
    file.write_text("points,name,stride\nm0.csv,one,\nempty.csv,none,\nm1.csv,two,2\n")
    return file


def test_a_batch_goes_on_past_a_movie_that_fails_and_later_does_only_what_is_left(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    command = ["batch", str(table), "-o", str(out), "--workers", "2", "--quiet"]
    assert main(command) == 1
    assert "none failed: " in capsys.readouterr().out
    rows = pd.read_csv(out / "batch.csv").set_index("name")
    assert rows["status"].to_dict() == {"one": "done", "none": "failed", "two": "done"}
    assert "empty.csv" in rows["message"]["none"]
    assert (
        main(["track", "--points", str(tmp_path / "m1.csv"), "--stride", "2", "-o", str(alone), "--quiet"])
        == 0
    )
    for name in TABLES:
        assert (out / "two" / name).read_bytes() == (alone / name).read_bytes()
    assert rows["cells"]["two"] == len(pd.read_csv(alone / "cells.csv"))

    times = {name: (out / name / "settings.json").stat().st_mtime_ns for name in ("one", "two")}
    write_points(tmp_path / "empty.csv", 7)
    assert main(command) == 0
    rows = pd.read_csv(out / "batch.csv").set_index("name")
    assert rows["status"].to_dict() == {"one": "done before", "none": "done", "two": "done before"}
    assert times == {name: (out / name / "settings.json").stat().st_mtime_ns for name in ("one", "two")}

    write_points(tmp_path / "m0.csv", 9)
    assert main(command) == 2
    assert "one was made with other input" in capsys.readouterr().err
    assert main([*command, "--stride", "3"]) == 2
    assert "other options" in capsys.readouterr().err


def test_results_that_were_to_be_replaced_are_not_taken_for_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_points(tmp_path / "m.csv", 0)
    (tmp_path / "movies.csv").write_text("points\nm.csv\n")
    command = ["batch", str(tmp_path / "movies.csv"), "-o", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 0
    with monkeypatch.context() as patch:
        (tmp_path / "dies.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
        patch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setattr("torchtrack_uq.batch.run_one._CHILD", "dies")
        capsys.readouterr()
        assert main([*command, "--stride", "2", "--overwrite"]) == 1
        assert "without --overwrite" in capsys.readouterr().err
    assert main([*command, "--stride", "2"]) == 2  # every frame is there still
    said = capsys.readouterr().err
    assert f"{tmp_path / 'out' / 'm'} is from before the last run of this movie" in said
    assert "delete this folder to do only this movie anew" in said
    shutil.rmtree(tmp_path / "out" / "m")
    assert main([*command, "--stride", "2"]) == 0
    assert main([*command, "--stride", "2"]) == 0
    assert "1 of 1 movies tracked, 1 of them before" in capsys.readouterr().out


def test_results_that_lack_a_file_are_named(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text("points,name\nm0.csv,one\nm1.csv,two\n")
    command = ["batch", str(table), "-o", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 0
    (tmp_path / "out" / "one" / "tracks.csv").unlink()
    (tmp_path / "out" / "two" / "review.csv").write_text("")
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "one is not as `track` left it (lacks tracks.csv)" in said
    assert "two is not as `track` left it" in said
    assert "delete these folders" in said


def test_of_two_batches_into_one_folder_the_second_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    script = tmp_path / "holds.py"
    script.write_text(
        "import pathlib, sys, time\nfrom torchtrack_uq.utils.staged_folder import output_folder\n"
        "with output_folder(pathlib.Path(sys.argv[1]), overwrite=True):\n"
        "    print('in', flush=True)\n    time.sleep(600)\n"
    )
    first = subprocess.Popen([sys.executable, str(script), str(out)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "in\n"
        assert main(["batch", str(table), "-o", str(out), "--quiet"]) == 2
        assert f"another run (process {first.pid}" in capsys.readouterr().err
        assert not out.exists()
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    table.write_text("points\nm0.csv\n")
    assert main(["batch", str(table), "-o", str(out), "--quiet"]) == 0  # the dead one's claim is void


def test_the_help_states_the_defaults_of_track(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["batch", "--help"])
    said = capsys.readouterr().out
    assert "default: None" not in said
    assert "(default: auto)" in said


def test_results_of_others_are_not_taken_for_its_own(table: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "two").mkdir(parents=True)
    (tmp_path / "out" / "two" / "thesis.txt").write_text("mine")
    assert main(["batch", str(table), "-o", str(tmp_path / "out"), "--quiet"]) == 2
    assert (tmp_path / "out" / "two" / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "out" / "one").exists()


def test_a_run_whose_batch_is_gone_ends_and_leaves_nothing(tmp_path: Path) -> None:
    write_points(tmp_path / "long.csv", 0, n_frames=2000, n=60)
    command = [sys.executable, "-m", "torchtrack_uq.cli.child", "track"]
    out = tmp_path / "out"
    run = subprocess.Popen(
        [*command, "--points", str(tmp_path / "long.csv"), "-o", str(out), "--quiet"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert run.stdin is not None
    time.sleep(1)
    run.stdin.close()  # as the system does when the other process dies
    assert run.wait(120) in (130, 143, -signal.SIGTERM)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["long.csv"]


def test_a_run_that_is_killed_is_tried_once_more_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "dies.py"
    tries = tmp_path / "tries"
    script.write_text(f"import os\nopen({str(tries)!r}, 'a').write('x')\nos.kill(os.getpid(), 9)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("torchtrack_uq.batch.run_one._CHILD", "dies")
    outcome = run_movie(BatchMovie("m", (), ()), tmp_path, overwrite=False, threads=1)
    assert (outcome.code, tries.read_text()) == (-9, "xx")
    assert "killed by signal 9" in outcome.message


def test_a_loop_that_is_left_ends_the_runs_that_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "sleeps.py"
    script.write_text("import sys, time\ntime.sleep(0 if 'quick' in str(sys.argv) else 600)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("torchtrack_uq.batch.run_one._CHILD", "sleeps")
    movies = [BatchMovie(name, (), ()) for name in ("quick", "slow", "never")]
    outcomes = run_here(movies, tmp_path, overwrite=False, workers=2)
    movie, _ = next(outcomes)
    assert movie.name == "quick"
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        outcomes.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 60


def test_a_dask_cluster_runs_the_same_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    script = tmp_path / "says.py"
    script.write_text("import sys\nprint(sys.argv[1:])\nsys.exit(2 if 'bad' in str(sys.argv) else 0)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("torchtrack_uq.batch.run_one._CHILD", "says")
    movies = [BatchMovie(name, (f"--points={name}.csv", "--stride=2"), ()) for name in ("m0", "m1", "bad")]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        address = cluster.scheduler_address
        there = {
            movie.name: one
            for movie, one in run_on_cluster(movies, tmp_path, overwrite=False, address=address)
        }
    here = {movie.name: one for movie, one in run_here(movies, tmp_path, overwrite=False, workers=2)}
    assert {name: one.code for name, one in there.items()} == {"m0": 0, "m1": 0, "bad": 2}
    assert {name: (one.code, one.log) for name, one in there.items()} == {
        name: (one.code, one.log) for name, one in here.items()
    }


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no dask scheduler answers at nowhere"):
        list(run_on_cluster([], tmp_path, overwrite=False, address="nowhere"))


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A program in place of `track`; `name` in it is the movie's folder."""
    (folder / "stands_in.py").write_text(
        f"import os, sys, time\nname = os.path.basename(sys.argv[-1])\n{code}"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("torchtrack_uq.batch.run_one._CHILD", "stands_in")


def test_a_full_disk_stops_the_batch_with_one_sentence_and_what_is_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(4):
        write_points(tmp_path / f"m{k}.csv", k)
    table, out = tmp_path / "movies.csv", tmp_path / "out"
    table.write_text("points\nm0.csv\n")
    command = ["batch", str(table), "-o", str(out), "--quiet", "--workers", "1"]
    assert main(command) == 0
    table.write_text("points\n" + "".join(f"m{k}.csv\n" for k in range(4)))
    with monkeypatch.context() as patch:
        tries = tmp_path / "tries"
        stand_in(
            tmp_path,
            patch,
            f"open({str(tries)!r}, 'a').write(name + ' ')\n"
            "print('torchtrack-uq: [Errno 28] No space left on device; nothing was written')\nsys.exit(1)\n",
        )
        capsys.readouterr()
        assert main(command) == 1
    assert tries.read_text().split() in (
        ["m1"],
        ["m1", "m2"],
    )  # one may have begun before the first was looked at
    said = capsys.readouterr().err
    assert said == (
        f"torchtrack-uq: No space left on device: 1 of 4 movies are done; make room on the disk of {out}, or choose an "
        "output on another one, then the same command goes on with the others\n"
    )
    rows = pd.read_csv(out / "batch.csv").set_index("name")
    assert rows["status"].to_dict() == {"m0": "done before", "m1": "failed", "m2": "waiting", "m3": "waiting"}
    assert (out / "m0" / "links.csv").is_file()


def test_a_disk_that_is_full_for_the_batch_itself_is_the_same_sentence(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("torchtrack_uq.batch.record.BatchRecord.begin", full)
    table.write_text("points\nm0.csv\n")
    assert main(["batch", str(table), "-o", str(tmp_path / "out"), "--quiet"]) == 1
    assert "0 of 1 movies are done; make room on the disk of" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_a_signal_ends_a_batch_and_its_runs_with_one_sentence(tmp_path: Path, number: signal.Signals) -> None:
    """Finished movies are kept, nothing is left of the others, and the same command does what is left."""
    for name, n_frames in (("quick", 6), ("long1", 3000), ("long2", 3000)):
        write_points(tmp_path / f"{name}.csv", 0, n_frames=n_frames, n=12 if name == "quick" else 60)
    (tmp_path / "movies.csv").write_text("points\nquick.csv\nlong1.csv\nlong2.csv\n")
    out = tmp_path / "out"
    code = "import sys; from torchtrack_uq.cli.main import main; sys.exit(main())"
    arguments = ["batch", str(tmp_path / "movies.csv"), "-o", str(out), "--quiet", "--workers", "2"]
    batch = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    claims = [out / ".long1.uq-lock", out / ".long2.uq-lock"]
    end = time.monotonic() + 300
    while not (out / "quick" / "links.csv").exists() or not all(claim.exists() for claim in claims):
        assert batch.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    while "done" not in (out / "batch.csv").read_text():
        time.sleep(0.05)
    batch.send_signal(number)
    said = batch.communicate(timeout=300)[1]
    assert batch.returncode == 128 + number
    what = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert said == (
        f"torchtrack-uq: {what}; 1 of 3 movies are done, and the same command goes on with the others\n"
    )
    assert sorted(item.name for item in out.iterdir()) == ["batch.csv", "logs", "quick"]
    assert not [name for name in (tmp_path / "out" / "logs").iterdir() if ".uq-" in name.name]


def test_movies_that_cannot_be_read_are_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_points(tmp_path / "a.csv", 0)
    write_points(tmp_path / "z.csv", 1)
    (tmp_path / "empty").mkdir()
    tifffile.imwrite(tmp_path / "cut.tif", np.ones((5, 40, 40), np.uint16), photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:900])
    (tmp_path / "movies.csv").write_text("name,points,masks\na,a.csv,\nb,,empty\nc,,cut.tif\nz,z.csv,\n")
    assert main(["batch", str(tmp_path / "movies.csv"), "-o", str(tmp_path / "out"), "--quiet"]) == 1
    said = capsys.readouterr()
    rows = pd.read_csv(tmp_path / "out" / "batch.csv").set_index("name")
    assert rows["status"].to_dict() == {"a": "done", "b": "failed", "c": "failed", "z": "done"}
    assert "empty" in rows["message"]["b"]
    assert "cut.tif" in rows["message"]["c"]
    assert all(f"{name} failed: {rows['message'][name]}" in said.out for name in "bc")
    assert "2 of 4 movies failed" in said.err
