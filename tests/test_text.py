"""Names of others on our lines: nothing in them acts on a terminal, and nothing is too long for one."""

import pytest

from minidl import _text
from minidl.errors import InputError

#: What would act on a terminal, or on who reads it.
ACTING = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;title\x07",
    "csi of one byte": "\x9b31m",
    "line break": "a\nminidl: error: b",
    "carriage return": "good\rbad",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "backspace": "ab\x08\x08",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069",
    "zero width": "a\u200bb",
    "byte that is no UTF-8": "\udcff",
    "delete": "\x7f",
    "tag": "\U000e0041",
}


@pytest.mark.parametrize("name", ACTING)
def test_what_acts_is_written_out(name: str) -> None:
    for made in (_text.visible(ACTING[name]), _text.shown(ACTING[name]), str(InputError(ACTING[name]))):
        assert made.isprintable() and "\\" in made
        made.encode()


def test_what_can_be_seen_stays_as_it_is() -> None:
    for text in ("cell", "Zellwände → 細胞", "é", "a b.png", "100 %", "\\x1b"):
        assert _text.visible(text) == _text.shown(text) == str(InputError(text)) == text


@pytest.mark.parametrize("text", ["x" * 10**6, "\x1b" * 10**6, "\x1b" * 100, "e\u0301" * 10**6])
def test_long_names_are_shortened_in_the_middle(text: str) -> None:
    assert len(_text.shown(f"images/{text}.png")) <= _text.NAME
    assert _text.shown(f"images/{text}.png").startswith("images/")
    assert _text.shown(f"images/{text}.png").endswith(".png")
    message = str(InputError(f"{text}: no such file; check the path"))
    assert len(message) <= _text.LINE and message.endswith("; check the path")


def test_many_names_are_counted() -> None:
    made = _text.listed(["\x1b" * 10**4] * 65536)
    assert len(made) < 6000 and made.isprintable() and made.endswith("(65536 in all)")
