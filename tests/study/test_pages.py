import re
from pathlib import Path

import pytest

pytest.importorskip("tabulate", reason="the study's pages need the extra bench")

from common.data import CHECKOUT
from study.command import PAGES, RESULTS, main
from study.fill_pages import TEMPLATES, write_pages
from study.tables import load_tables
from study.unit import Options

LINK = re.compile(r"\]\(([^)#:]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_pages(load_tables(RESULTS), folder, Options())
    return folder


def test_the_pages_in_the_repository_are_those_of_its_tables(pages: Path) -> None:
    written = {file.relative_to(pages) for file in pages.rglob("*") if file.is_file()}
    figures = {Path("data/figure_2a.csv"), Path("data/figure_2b.csv")}
    assert written | figures == {
        file.relative_to(PAGES) for file in PAGES.rglob("*") if file.suffix in (".md", ".csv")
    }
    for name in written:
        assert (pages / name).read_text() == (PAGES / name).read_text(), (
            f"{name}: run `python -m study --pages`"
        )


def test_every_link_of_a_page_leads_somewhere_inside_the_docs() -> None:
    for template in TEMPLATES.glob("*.md"):
        links = [a or b for a, b in LINK.findall((PAGES / template.name).read_text())]
        assert links
        for link in links:
            target = (PAGES / link).resolve()
            assert target.is_file(), f"{template.name} links to {link}"
            assert target.is_relative_to(CHECKOUT / "docs")


def test_no_number_of_a_page_is_missing(pages: Path) -> None:
    for file in pages.glob("*.md"):
        text = file.read_text()
        assert not re.search(r"\bnan\b|\bNone\b|[{}]|\(–\)|≈ –", text)


def test_pages_need_tables(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"holds no study\.csv"):
        main(["--pages", "-o", str(tmp_path)])
