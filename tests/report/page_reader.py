"""What a browser that runs no script would make of a page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "br", "link", "img", "input", "hr", "base"}


class PageReader(HTMLParser):
    """The elements of a page, the text below each id, and its scripts, the data among them by id."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text_of_id: dict[str, str] = {}
        self.unbalanced: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()
        self.unbalanced += [tag for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop()[0] != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "script":
            self.scripts[-1] += data
        for _, identifier in self._open:
            if identifier is not None:
                self.text_of_id[identifier] = self.text_of_id.get(identifier, "") + data

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    def attributes_of(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for found, attributes in self.elements if found == tag]
