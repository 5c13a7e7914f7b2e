"""A new op without a test is noticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minidl import ops

HERE = Path(__file__).resolve().parent
TEXT = "\n".join(
    p.read_text(encoding="utf-8") for p in sorted(HERE.glob("test_*.py")) if p.name != Path(__file__).name
)
ELSEWHERE = {"cast": HERE.parent / "test_tensor.py", "cat": HERE / "test_shaping.py"}


@pytest.mark.parametrize("name", sorted(ops.__all__))
def test_it_is_called_by_a_test(name):
    text = TEXT + (ELSEWHERE[name].read_text(encoding="utf-8") if name in ELSEWHERE else "")
    method = {"cast": "astype"}.get(name, name)
    assert re.search(rf"\bops\.{name}\b|\.{method}\(", text), f"no test calls {name}"
