"""A page of HTML read strictly: what is open, what is closed, what it shows and what it would load."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

_VOID = {"meta", "link", "br", "img", "hr", "input"}
_LOADING = {"src", "href", "srcset", "data", "poster", "background", "action", "xlink:href"}


@dataclass
class Outline(HTMLParser):
    """What a page consists of. `shape` is its tags with the names of their attributes, in order."""

    shape: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []

    @classmethod
    def of(cls, html: str) -> Self:
        """The outline of a whole page."""
        outline = cls()
        outline.feed(html)
        outline.close()
        outline.problems += [f"<{tag}> is not closed" for tag in outline._open]
        return outline

    @property
    def text(self) -> str:
        """All that can be read on it, with what is only written in tool tips."""
        return "".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.shape.append(f"{tag} {' '.join(names)}".rstrip())
        self.problems += [f"<{tag}> has {name} twice" for name in set(names) if names.count(name) > 1]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.loads += [value or "" for name, value in attrs if name in _LOADING]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.shape.append(f"/{tag}")
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:]}")
        else:
            self._open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.problems.append(f"<{tag}/>")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
