"""Text of others (names of files and classes, what a library said) on a line of ours.

A name may hold anything: an escape sequence that moves the terminal's cursor, a line break that makes two
lines of one, marks that turn the reading direction around, a million letters. None of that may act on a
terminal or in a log: :func:`shown` writes out what cannot be seen, and shortens what is too long.
"""

from __future__ import annotations

from collections.abc import Iterable

#: A name is shown up to so many characters, a line up to so many.
NAME, LINE = 120, 2000
#: A list of names is shown up to so many of them.
NAMES = 40

_BRIEF = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object) -> str:
    r"""Every character that cannot be seen (control, direction, broken Unicode) written out as an escape.

    >>> print(visible("a\x1b[31m\nb\u202e.png"))
    a\x1b[31m\nb\u202e.png
    """
    given = str(text)
    if given.isprintable():
        return given
    return "".join(c if c.isprintable() else _BRIEF.get(c) or _escape(ord(c)) for c in given)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(text: object, most: int = NAME) -> str:
    r"""Text of others as part of a line: visible, and no longer than ``most`` characters.

    The end is kept as well as the beginning: there a path has the file's name, a message the remedy.

    >>> shown("cell\x07"), shown("x" * 1_000_000, 20)
    ('cell\\x07', 'xxxxxxxxx ... xxxxxx')
    """
    given = str(text)
    # Cut before each character is looked at: there may be a million.
    head, end = visible(given[:most]), visible(given[-most:])
    if len(given) <= most and len(head) <= most:
        return head
    tail = (most - 5) * 2 // 5
    return f"{head[: most - 5 - tail]} ... {end[-tail:]}"


def listed(names: Iterable[object], most: int = NAMES) -> str:
    """Names beside each other; of many the first ones, and how many there are.

    >>> listed(["cell", "border"]), listed(range(1000), 3)
    ('cell, border', '0, 1, 2, ... (1000 in all)')
    """
    everything = list(names)
    first = ", ".join(shown(name) for name in everything[:most])
    return first if len(everything) <= most else f"{first}, ... ({len(everything)} in all)"


def one_line(message: object) -> str:
    r"""What a library said, perhaps on several lines, on one.

    >>> one_line("missing:\n  a.weight\n")
    'missing: a.weight'
    """
    return " ".join(str(message).split())
