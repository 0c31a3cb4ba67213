"""A report's page as the tests read it: its headings, texts, links and what it would load."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

from glm2x.report import write_report


class Page(HTMLParser):
    """The elements of a page with their attributes, its ids and references, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self._stack = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self._stack = tag
        if tag == "h2":
            self.headings.append("")
        for name, value in attrs:
            value = value or ""
            assert not name.startswith("on"), f"an event handler: {name}"
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href") and value.startswith("#"):
                self.references.add(value[1:])
            elif (tag, name) == ("a", "href"):
                self.links.append(value)
            elif name in ("src", "href", "xlink:href", "data", "action"):
                self.loaded.append(value)
            self.references |= set(re.findall(r"url\(#([^)]+)\)", value))

    def handle_data(self, data: str) -> None:
        if self._stack in ("style", "script"):
            return
        if self._stack == "h2" and self.headings:
            self.headings[-1] += data
        self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._stack = ""

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(folder: Path, **options: object) -> Page:
    return Page(write_report(folder, **options).read_text())  # type: ignore[arg-type]
