"""The pages of docs/: their code runs, prints what they say, and the files and tests they name are there.

A page is read as a lesson: its ```python blocks run in order, in one namespace. What a block prints must
stand in a ```text block right after it. A block of ``>>>`` lines is a doctest.
"""

import contextlib
import contextvars
import doctest
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oracles.devices import compiler_or_skip

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LESSONS = ("backprop", "convolution", "cpu-kernels", "engine", "equations", "own-op")

#: Pages whose code runs CUDA kernels on the CPU.
NEED_COMPILER = ("cuda",)

_FENCE = re.compile(r"^(```+)(\S*)[^\n]*\n(.*?)^\1[ ]*$\n?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: language, text, the page's lines before the text, and the ```text block right after."""

    language: str
    text: str
    line: int
    printed: str | None


def blocks(page: str) -> list[Block]:
    found = list(_FENCE.finditer(page))
    result = []
    for match, following in zip(found, [*found[1:], None][: len(found)], strict=True):
        printed = None
        if following is not None and following[2] == "text":
            between = page[match.end() : following.start()]
            printed = None if between.strip() else following[3]
        result.append(Block(match[2], match[3], page.count("\n", 0, match.start(3)), printed))
    return result


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page)


def run_page(page: Path) -> None:
    if page.stem in NEED_COMPILER:
        compiler_or_skip()
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            (run_doctest if block.text.lstrip().startswith(">>>") else run_block)(page, block, namespace)


def run_block(page: Path, block: Block, namespace: dict[str, Any]) -> None:
    code = compile("\n" * block.line + block.text, str(page), "exec")  # a traceback shows the page's own line
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured):
        exec(code, namespace)
    said = "" if block.printed is None else block.printed
    where = f"{page.name}, line {block.line + 1}"
    assert lines(captured.getvalue()) == lines(said), f"{where}: prints something else"


def run_doctest(page: Path, block: Block, namespace: dict[str, Any]) -> None:
    examples = doctest.DocTestParser().get_doctest(block.text, namespace, page.name, str(page), block.line)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report = io.StringIO()
    runner.run(examples, out=report.write, clear_globs=False)
    namespace.update(examples.globs)
    assert not runner.failures, report.getvalue()


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


# ---------------------------------------------------------------------------------------------
# Code
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a page may write files
    contextvars.copy_context().run(run_page, page)  # and prefer a backend


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_code(name):
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert sum(block.language == "python" for block in blocks(page)) >= 3


def test_a_wrong_print_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n\n```python\nx = 2\n```\n\n```python\nprint(x + 1)\n```\n\n```text\n3\n```\n")
    run_page(page)
    for broken in ("```text\n4\n```", ""):
        page.write_text("```python\nprint(1 + 2)\n```\n" + broken + "\n")
        with pytest.raises(AssertionError, match="line 2: prints something else"):
            run_page(page)
    page.write_text("```python\n>>> 1 + 2\n4\n```\n")
    with pytest.raises(AssertionError, match="Got"):
        run_page(page)


# ---------------------------------------------------------------------------------------------
# Names: files, tests, links, line counts
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_files_are_there(page):
    pattern = r"`((?:minidl|kernels|tests|docs|benchmarks)/[\w/.-]+\.(?:py|md|cu))(?:::\w+)?`"
    named = re.findall(pattern, page.read_text(encoding="utf-8"))
    missing = sorted({path for path in named if not (ROOT / path).is_file()})
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_tests_are_there(page):
    for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        assert f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {test}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"\w+://", target):
            continue
        path, _, fragment = target.partition("#")
        file = page if not path else page.parent / path
        assert file.exists(), f"{page.name} links to {target}"
        if fragment:
            assert fragment in anchors(file.read_text(encoding="utf-8")), f"{page.name} links to {target}"


def anchors(page: str) -> set[str]:
    """The fragments that GitHub makes of headings: lower case, punctuation gone, spaces to hyphens."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", LESSONS)
def test_line_counts_are_right_within_a_tenth(name):
    """Tables with a column of files and a column of lines: | `path` | lines | ..."""
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `([\w/.-]+\.py)` \| (\d+) \|", page)
    assert rows or name != "convolution"
    for path, said in rows:
        count = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        assert abs(count - int(said)) <= 0.1 * count, f"{path} has {count} lines, {name}.md says {said}"


@pytest.mark.parametrize("name", LESSONS)
def test_mathematics_survives_markdown(name):
    """GitHub reads Markdown first: a backslash before punctuation would be lost, a bar would end a cell."""
    page = prose((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    page = re.sub(r"`[^`\n]*`", "", page)
    formulas = re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", page, re.DOTALL)
    assert re.sub(r"\$\$.+?\$\$|\$[^$\n]+?\$", "", page, flags=re.DOTALL).count("$") == 0, "an unpaired $"
    for formula in map("".join, formulas):
        assert not re.search(r"\\[^a-zA-Z\s]", formula), f"a backslash before punctuation in {formula!r}"
        assert formula.count("{") == formula.count("}"), f"unpaired braces in {formula!r}"
    for row in re.findall(r"^\|.*\|$", page, re.MULTILINE):
        assert not any("|" in inline for inline in re.findall(r"\$([^$]+)\$", row)), (
            f"a bar in a cell: {row!r}"
        )
