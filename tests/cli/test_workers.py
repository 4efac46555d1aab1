"""One movie tracked by several workers: the same bytes, whatever happens to a worker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.support.crews import Pickled
from torchtrack_uq.cli.main import main
from torchtrack_uq.utils import processes


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen frames of fifteen squares that wander."""
    folder = tmp_path_factory.mktemp("movie")
    rng = np.random.default_rng(0)
    place = rng.integers(4, 110, (15, 2)) + rng.integers(-3, 4, (18, 15, 2)).cumsum(axis=0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for t in range(18):
        mask = np.zeros((120, 120), np.uint16)
        for k, (y, x) in enumerate(np.clip(place[t], 0, 112)):
            mask[y : y + 7, x : x + 7] = k + 1
        image = (mask * 11 + rng.integers(0, 60, mask.shape)).astype(np.uint16)
        tifffile.imwrite(folder / "masks" / f"t{t:03d}.tif", mask)
        tifffile.imwrite(folder / "images" / f"t{t:03d}.tif", image)
    return folder


def track(movie: Path, out: Path, *options: object) -> int:
    given = [str(movie / "images"), "-m", str(movie / "masks"), "-o", str(out), "--quiet", "--device", "cpu"]
    return main(["track", "-i", *given, *map(str, options)])


def results(out: Path) -> dict[str, bytes]:
    """Content of tables, masks and lists of candidates."""
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if _kept(file)}


def _kept(file: Path) -> bool:
    """Whether a file says nothing of the command or the time."""
    return file.is_file() and (file.suffix in (".csv", ".tif") or file.name == "res_track.txt")


@pytest.fixture(scope="module")
def alone(movie: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """By one worker, which is this process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert track(movie, out, "--workers", 1) == 0
    found = results(out)
    assert len(found) == 18 + 5
    return found


@pytest.mark.parametrize("n", [3])
def test_the_same_bytes_from_any_number_of_workers(
    n: int, movie: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    assert track(movie, tmp_path / "out", "--workers", n) == 0
    assert results(tmp_path / "out") == alone


def test_the_same_bytes_if_workers_are_killed_over_their_work(
    movie: Path, alone: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = processes._Member.ask, []

    def killed(self: processes._Member, content: bytes, task: bytes) -> object:
        asked.append(self)
        if len(asked) in (2, 13):
            os.kill(self.process.pid, signal.SIGKILL)
        return ask(self, content, task)

    monkeypatch.setattr(processes._Member, "ask", killed)
    assert track(movie, tmp_path / "out", "--workers", 2) == 0
    assert len({id(one) for one in asked}) == 4
    assert results(tmp_path / "out") == alone


def test_the_same_bytes_from_a_cluster_that_loses_a_worker(
    movie: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        lost = [worker.process.pid for worker in cluster.workers.values()][:1]
        code = "import sys; from torchtrack_uq.cli.main import main; sys.exit(main(sys.argv[1:]))"
        command = [
            sys.executable,
            "-c",
            code,
            "track",
            "-i",
            str(movie / "images"),
            "-m",
            str(movie / "masks"),
        ]
        options = [
            "-o",
            str(tmp_path / "out"),
            "--dask",
            cluster.scheduler_address,
            "--quiet",
            "--device",
            "cpu",
        ]
        with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as run:
            scoring = "torchtrack-uq-score_share"
            while run.poll() is None and not any(
                str(key).startswith(scoring) for key in cluster.scheduler.tasks
            ):
                time.sleep(0.01)
            os.kill(lost[0], signal.SIGKILL)
            said = run.communicate()[1]
    assert run.returncode == 0, said
    assert results(tmp_path / "out") == alone


@pytest.mark.parametrize("tracker", ["overlap", pytest.param("activity", marks=pytest.mark.nightly)])
def test_the_same_bytes_from_other_trackers(
    tracker: str, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert track(movie, tmp_path / "one", "--tracker", tracker) == 0
    crew = Pickled(2)
    monkeypatch.setattr(processes.Processes, "map", lambda _, *work: crew.map(*work))
    assert track(movie, tmp_path / "two", "--tracker", tracker, "--workers", 2) == 0
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_a_method_whose_noise_is_drawn_here(movie: Path, tmp_path: Path) -> None:
    options = ("--tracker", "overlap", "--method", "FP", "--max-gap", 1)
    assert track(movie, tmp_path / "one", *options) == 0
    assert track(movie, tmp_path / "two", *options, "--workers", 2) == 0
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_points_need_no_worker_that_sees_pixels(tmp_path: Path) -> None:
    rows = [f"{t},{10 * k},{t + k}" for t in range(4) for k in range(3)]
    (tmp_path / "points.csv").write_text("frame,y,x\n" + "\n".join(rows) + "\n")
    for n in (1, 2):
        given = ["track", "--points", str(tmp_path / "points.csv"), "-o", str(tmp_path / str(n)), "--quiet"]
        assert main([*given, "--workers", str(n)]) == 0
    assert results(tmp_path / "1") == results(tmp_path / "2")


def test_an_error_in_a_worker_is_the_same_sentence(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for file in (movie / "masks").iterdir():
        content = file.read_bytes()
        cut = len(content) - 9000 if file.name in ("t007.tif", "t012.tif") else len(content)
        (masks / file.name).write_bytes(content[:cut])
    said = []
    for n in (1, 2):
        out = tmp_path / f"out{n}"
        given = [
            "track",
            "-m",
            str(masks),
            "-o",
            str(out),
            "--tracker",
            "overlap",
            "--trust-masks",
            "--quiet",
        ]
        assert main([*given, "--workers", str(n)]) == 2
        said.append(capsys.readouterr().err)
        assert not out.exists()
    assert said[0] == said[1]
    assert "t007.tif" in said[0]
    assert said[0].count("\n") == 1


def test_ctrl_c_ends_all_workers_and_leaves_nothing(movie: Path, tmp_path: Path) -> None:
    code = "import sys; from torchtrack_uq.cli.main import main; sys.exit(main(sys.argv[1:]))"
    given = ["-i", str(movie / "images"), "-m", str(movie / "masks"), "-o", str(tmp_path / "out")]
    command = [sys.executable, "-c", code, "track", *given, "--workers", "2", "--quiet", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        workers: list[int] = []
        while run.poll() is None and len(workers) < 2:
            workers = _children(run.pid)
            time.sleep(0.01)
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        said = run.communicate()[1]
    assert (run.returncode, said) == (130, "torchtrack-uq: interrupted; nothing was written\n")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not list(tmp_path.iterdir())


def _children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return [one for one in found if "crew_member" in Path(f"/proc/{one}/cmdline").read_text()]


def test_two_crews_are_refused(movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert track(movie, tmp_path / "out", "--workers", 2, "--dask", "tcp://127.0.0.1:1") == 2
    assert "give one of them" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        track(movie, tmp_path / "out", "--workers", 0)
    assert "no number of workers" in capsys.readouterr().err


def test_what_a_killed_run_kept_is_for_any_number_of_workers(movie: Path, tmp_path: Path) -> None:
    from torchtrack_uq.cli.main import build_parser
    from torchtrack_uq.cli.track import _stages

    digests = set()
    for options in ([], ["--workers", "1"], ["--workers", "5"], ["--dask", "tcp://10.0.0.1:8786"]):
        given = ["track", "-m", str(movie / "masks"), "-o", str(tmp_path / "out"), "--quiet", *options]
        digests.add(_stages(build_parser().parse_args(given)).digest)
    assert len(digests) == 1
