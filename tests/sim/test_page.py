"""docs/cuda-check.md shows the sources as they are and what the command prints.

``MINIDL_WRITE_PAGES=1 pytest tests/sim/test_page.py`` writes both into the page anew.
"""

import os
import re
import shlex

import pytest

from minidl.cli import main

BLOCK = re.compile(r"^```(cuda|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def test_sources_and_transcripts_are_real(
    root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(root)
    page = root / "docs/cuda-check.md"
    text = page.read_text(encoding="utf-8")
    seen = []

    def anew(match: re.Match[str]) -> str:
        first = match[2].splitlines()[0]
        if match[1] == "cuda":
            path = first.removeprefix("// ")
            body = (root / path).read_text(encoding="utf-8")
        else:
            capsys.readouterr()
            seen.append(main(shlex.split(first.removeprefix("$ minidl "))))
            said = capsys.readouterr()
            assert said.err.startswith("note: the code of docs/cuda/") and said.err.count("\n") == 1
            body = said.out
        return f"```{match[1]}\n{first}\n{body}```\n"

    new = BLOCK.sub(anew, text)
    assert seen == [1, 1, 0, 0]
    if os.environ.get("MINIDL_WRITE_PAGES") == "1":
        page.write_text(new, encoding="utf-8")
    assert new == page.read_text(encoding="utf-8")
    assert "race" in new and "x[1024]" in new and "1024" in new
