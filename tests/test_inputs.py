"""Files that a person names are opened in one place: whatever they are, nothing waits or fails."""

import codecs
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from minidl import _inputs
from minidl.errors import InputError


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def endless(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**40)


#: What a path may lead to, and what is said of it.
STRANGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "named pipe": (fifo, "a named pipe, not"),
    "link to itself": (loop, "leads nowhere"),
    "dangling link": (dangling, "leads nowhere"),
    "socket": (listening, "a socket, not"),
    "endless device": (zeros, "a device, not"),
    "terminal": (terminal, "a device, not"),
    "folder": (Path.mkdir, "a folder, not"),
}


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and ";" in message and message.isprintable()
    return message


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, kind: str) -> None:
    make, words = STRANGE[kind]
    make(tmp_path / "x.toml")
    assert words in refusal(_inputs.read_toml, tmp_path / "x.toml")


def test_the_size_is_known_before_anything_is_read(tmp_path: Path) -> None:
    endless(tmp_path / "x.toml")
    assert "1,099,511,627,776 bytes" in refusal(_inputs.read_toml, tmp_path / "x.toml")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc")
def test_a_file_that_says_it_is_empty_is_read_up_to_the_limit() -> None:
    path = Path("/proc/self/smaps")
    assert path.stat().st_size == 0 and stat.S_ISREG(path.stat().st_mode)
    with pytest.raises(InputError, match="may have 100 here"):
        _inputs.read_text(path, "a text", "give another", most=100)


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for path in (Path("a\0b"), tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="no file can have this name; check the path"):
            _inputs.read_toml(path)


def test_what_takes_the_place_of_a_file_that_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.toml").write_text("")
    seen = os.stat(tmp_path / "x.toml")
    (tmp_path / "x.toml").unlink()
    fifo(tmp_path / "x.toml")
    monkeypatch.setattr(_inputs, "check_regular", lambda *_: seen)
    assert "a named pipe" in refusal(_inputs.read_toml, tmp_path / "x.toml")


#: Contents that take a parser's stack, memory or time, and what is said.
EVIL = {
    "lists within lists": ("a = " + "[" * 100_000, "nested"),
    "tables within tables": ("a = " + "{a = " * 5_000, "nested"),
    "a key of many parts": ("a" + ".a" * 100_000 + " = 1", "nested"),
    "a heading of many parts": ("[" + '"a" . ' * 1000 + "a]", "nested"),
    "lists behind a string of many quotes": ('a = ["""x"""", ' + "[" * 50_000, "nested"),
    "lists behind a string without an end": ('a = ["\n' + "[" * 50_000, "nested"),
    "a number of a million digits": ("num_classes = " + "9" * 1_000_000, "limit"),
    "a number that cannot be printed": ("num_classes = 0x" + "f" * 1_000_000, "64 bits"),
    "a number of 65 bits": ("a = [{b = 18446744073709551615}]", "64 bits"),
    "a string of escaped quotes without an end": ('a = "' + '\\"' * 300_000, "not valid TOML"),
    "not even text": ("\udcff\udcff", "not text in UTF-8"),
}


@pytest.mark.parametrize("name", EVIL)
def test_what_would_hurt_the_parser_is_refused_before_it(tmp_path: Path, name: str) -> None:
    text, words = EVIL[name]
    (tmp_path / "x.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert words in refusal(_inputs.read_toml, tmp_path / "x.toml")


def test_ordinary_files_are_read(tmp_path: Path) -> None:
    text = 'a = [[1, 2], ["[[[["]]  # [[[[[[[\nb.c = "\\"[[["\nd = """\n[[["""\n' + "e = 1.5\n[f]\n255 = -1\n"
    (tmp_path / "x.toml").write_text(text * 1, encoding="utf-8")
    (tmp_path / "link.toml").symlink_to("x.toml")
    expected = {"a": [[1, 2], ["[[[["]], "b": {"c": '"[[['}, "d": "[[[", "e": 1.5, "f": {"255": -1}}
    assert _inputs.read_toml(tmp_path / "x.toml") == _inputs.read_toml(tmp_path / "link.toml") == expected
    names = ", ".join(f'"class {i}. [x]"' for i in range(65536))
    (tmp_path / "many.toml").write_text(f"classes = [{names}]")
    assert len(_inputs.read_toml(tmp_path / "many.toml")["classes"]) == 65536


def test_json_is_not_nested_deeper_than_anyone_would_write_it() -> None:
    assert _inputs.parse_json('{"[[[": ["]]", {"a": []}]}') == {"[[[": ["]]", {"a": []}]}
    for text in ("[" * 10**6, '{"a":' * 10**5, '["' + '\\"' * 10**5 + '",' + "[" * 10**5):
        with pytest.raises(ValueError, match="nested more than"):
            _inputs.parse_json(text)


@pytest.mark.parametrize("kind", ["link to itself", "dangling link"])
def test_a_link_that_leads_nowhere_does_not_count_as_nothing(tmp_path: Path, kind: str) -> None:
    STRANGE[kind][0](tmp_path / "x")
    assert "correct or remove the link" in refusal(_inputs.is_there, tmp_path / "x")
    assert not _inputs.is_there(tmp_path / "y") and _inputs.is_folder(tmp_path)


# --- encodings of text --------------------------------------------------------------------------------------

WORDS = 'classes = ["Häuser", "жилой дом", "背景"]\nval = "*_b"\n\n[labels]\n255 = 1 # größte Zahl\n'
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CR LF", "CR"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_is_read_in_every_encoding_that_editors_of_unicode_write(
    tmp_path: Path, encoding: str, end: str
) -> None:
    (tmp_path / "x.toml").write_bytes(WORDS.replace("\n", end).encode(encoding))
    assert _inputs.read_toml(tmp_path / "x.toml") == {
        "classes": ["Häuser", "жилой дом", "背景"],
        "val": "*_b",
        "labels": {"255": 1},
    }


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE, codecs.BOM_UTF32_LE])
def test_a_byte_order_mark_of_the_other_order_is_heeded(tmp_path: Path, mark: bytes) -> None:
    coding = {codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF32_BE: "utf-32-be"}.get(mark, "utf-32-le")
    (tmp_path / "x.toml").write_bytes(mark + WORDS.encode(coding))
    assert _inputs.read_toml(tmp_path / "x.toml")["val"] == "*_b"


@pytest.mark.parametrize(
    "data",
    ["name = 'Häuser'".encode("latin-1"), "a = 'дом'".encode("cp1251"), "a = 'ä'".encode("utf-16")[:-1],
     codecs.BOM_UTF32_LE + b"abc", b"a = '\xed\xa0\x80'"],
)  # fmt: skip
def test_text_in_another_encoding_is_one_line_with_the_remedy(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.toml").write_bytes(data)
    with pytest.raises(InputError, match=r"x.toml: not text in UTF-8 .at byte [0-9]+.; save it as UTF-8"):
        _inputs.read_toml(tmp_path / "x.toml")
