"""The pages as a site and in the repository: the same text, links that lead somewhere, nothing from elsewhere."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import markdown
import pytest
from markdown_it import MarkdownIt

from ta_pipeline.drawings.all import DRAWINGS, draw_all
from ta_pipeline.local.settings import REPOSITORY

DOCS = REPOSITORY / "docs"
CONFIG = DOCS / "site" / "mkdocs.yml"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MAX_PICTURE_BYTES = 200_000
_FROM_ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=[\"']?(?:https?:)?//|<link[^>]+rel=[\"']?(?:stylesheet|preload|preconnect)"
    r"[^>]*href=[\"']?(?:https?:)?//|@import|url\([\"']?(?:https?:)?//"
)


def build(config: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """The site, as `make docs` builds it."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(into),
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("site")
    done = build(CONFIG, into)
    assert done.returncode == 0, done.stderr
    return into


def test_every_page_is_built_and_in_the_menu(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")} - {"404.md"}
    assert built == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_a_browser_fetches_nothing_from_elsewhere(site: Path) -> None:
    looked_at = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    assert len(looked_at) > 20
    assert [(path.name, found[0]) for path in looked_at if (found := _FROM_ELSEWHERE.search(path.read_text()))] == []


def test_a_wrong_link_a_wrong_anchor_and_a_page_outside_of_the_menu_fail_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text("# Here\n\n[gone](nowhere.md), [lost](other.md#nowhere), [fine](other.md#there)\n")
    (pages / "other.md").write_text("# Other\n\n## There\n")
    (pages / "left-out.md").write_text("# Left out\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {CONFIG}\ndocs_dir: {pages}\nnav: [index.md, other.md]\n")
    done = build(config, tmp_path / "site")
    assert done.returncode != 0
    for told in ("'nowhere.md'", "'other.md#nowhere'", "left-out.md"):
        assert told in done.stderr
    assert "#there'" not in done.stderr


class Structure(HTMLParser):
    """Items, blocks, cells and headings in their order, each with how deep in lists it is."""

    _COUNTED = frozenset({"li", "pre", "tr", "td", "th", "h1", "h2", "h3", "h4", "img", "strong", "em", "del"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, int]] = []
        self._depth = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._depth += tag == "li"
        if tag in self._COUNTED:
            self.found.append((tag, self._depth))

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "li"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_lists_tables_and_blocks_are_the_same_on_the_site_and_in_the_repository(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    repository = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    site = markdown.markdown(text, extensions=["tables", "pymdownx.superfences", "pymdownx.tilde"])
    assert Structure(site).found == Structure(repository).found


def links_of(page: Path) -> Iterator[str]:
    """Targets of the links and pictures of a page, as its text has them."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        for inline in token.children or []:
            target = inline.attrGet("href") or inline.attrGet("src")
            if target is not None:
                yield str(target)


def anchors_of(page: Path) -> set[str]:
    """As a repository makes them of headings: small letters, no punctuation, a dash for each space."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    heads = [after for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    plain = ("".join(part.content for part in head.children or []) for head in heads)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    wrong = []
    for target in links_of(page):
        place, _, anchor = target.partition("#")
        if place.startswith(("http://", "https://", "mailto:")):
            continue
        path = (page.parent / place).resolve() if place else page
        if not path.exists() or (anchor and anchor not in anchors_of(path)):
            wrong.append(target)
    assert wrong == []


def test_links_are_found() -> None:
    assert "decisions/0005-idle-only-while-the-clock-ticks.md" in set(links_of(DOCS / "concepts.md"))
    assert "pictures/one-second.png" in set(links_of(DOCS / "concepts.md"))
    assert "when-something-is-refused" in anchors_of(DOCS / "security.md")
    assert "flink_reachable" in anchors_of(DOCS / "alerts.md")


def test_every_drawing_can_be_drawn_anew(tmp_path: Path) -> None:
    for path in draw_all(tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert (DOCS / "pictures" / path.name).is_file()


def test_the_drawings_are_small() -> None:
    sizes = {name: (DOCS / "pictures" / name).stat().st_size for name in DRAWINGS}
    assert {name: size for name, size in sizes.items() if size > MAX_PICTURE_BYTES} == {}


def test_what_is_to_be_copied_from_a_table_is_the_same_on_the_site() -> None:
    """Within code the site keeps the backslash that a table needs before a `|`; a repository's page leaves it out."""
    for page in PAGES:
        escaped = re.findall(r"^\|.*`[^`]*\\\|[^`]*`.*$", page.read_text(encoding="utf-8"), re.M)
        assert escaped == [], page
