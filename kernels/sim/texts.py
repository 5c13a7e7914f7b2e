"""A source's text looked at once: which line a place is on, how deep in braces, where brackets are closed.

A source may be anybody's. So everything here takes time in proportion to the text's length, whatever it is.
"""

from __future__ import annotations

import re
from bisect import bisect_left

# Unterminated strings and comments go to the end of the line and of the text: each is looked at once.
# The quote between digits of a number is no quote.
_COMMENT = re.compile(
    r"(?<=\d)(?<!u8)'(?=\d)|"
    r'"(?:\\.|[^"\\\n])*+"?|\'(?:\\.|[^\'\\\n])*+\'?|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/)?',
    re.S,
)
_BRACKET = re.compile(r"[()\[\]{}]")


def without_comments(text: str) -> str:
    """The text with spaces for comments: everything else, and every line, stays where it was.

    >>> without_comments('a = "/*"; // b')
    'a = "/*";     '
    """

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)

    return _COMMENT.sub(blank, text)


class Text:
    """A text without comments, and where things are in it.

    >>> text = Text("void f() {\\n  g(1);\\n}")
    >>> text.line(13), text.inside(13), text.closing(9), text.closing(14)
    (2, True, 19, 16)
    """

    def __init__(self, code: str) -> None:
        self.code = code
        #: The same without what is in quotes, each sign where it was.
        self.bare = _COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), code)
        self._breaks = [match.start() for match in re.finditer("\n", code)]
        self._depths: list[tuple[int, int]] = []  # (place, depth of braces behind it)
        self._pairs: dict[int, int] = {}
        waiting: list[int] = []
        depth = 0
        for match in _BRACKET.finditer(self.bare):
            sign, place = match.group(), match.start()
            if sign in "{}":
                depth += 1 if sign == "{" else -1
                self._depths.append((place, depth))
            if sign in "([{":
                waiting.append(place)
            elif waiting:
                self._pairs[waiting.pop()] = place

    def line(self, place: int) -> int:
        """The number of the line, from 1."""
        return bisect_left(self._breaks, place) + 1

    def inside(self, place: int) -> bool:
        """Whether more braces are opened than closed before it."""
        before = bisect_left(self._depths, (place, -len(self.code)))
        return before > 0 and self._depths[before - 1][1] > 0

    def closing(self, opening: int) -> int | None:
        """Where the bracket at ``opening`` is closed."""
        return self._pairs.get(opening)


def split(text: str) -> list[str]:
    """Split at commas that are in no bracket.

    >>> split("a[2], b<c, d>")
    ['a[2]', ' b<c, d>']
    """
    parts, depth, begin = [], 0, 0
    for match in re.finditer(r"[(\[{<)\]}>,]", text):
        sign = match.group()
        depth += (sign in "([{<") - (sign in ")]}>")
        if sign == "," and depth == 0:
            parts.append(text[begin : match.start()])
            begin = match.end()
    return [*parts, text[begin:]]
