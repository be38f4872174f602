"""After the build: every link in the HTML that stays in the documentation leads to a file and an anchor that exist."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}


def _check(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for problem in broken_links(Path(app.outdir)):
            logger.warning(problem)


def broken_links(folder: Path) -> list[str]:
    """A line for each link of the HTML pages in `folder` that leads nowhere; other hosts are not asked."""
    pages = {path: _Page.of(path) for path in sorted(folder.rglob("*.html"))}
    problems = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            if not target.exists():
                problems.append(f"{path.relative_to(folder)}: the link {link} leads to no file")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                problems.append(f"{path.relative_to(folder)}: the link {link} leads to no anchor")
    return problems


class _Page(HTMLParser):
    """The links and the anchors of an HTML page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}

    @classmethod
    def of(cls, path: Path) -> _Page:
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each tag."""
        values = dict(attrs)
        self.anchors.update(value for key in ("id", "name") if (value := values.get(key)))
        link = values.get("href") if tag in ("a", "link") else values.get("src")
        if link:
            self.links.add(link)
