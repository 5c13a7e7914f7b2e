"""A new op without a test is noticed; so is one that nothing proves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from minidl import ops
from oracles import proof_table

HERE = Path(__file__).resolve().parent
TEXT = "\n".join(
    p.read_text(encoding="utf-8") for p in sorted(HERE.glob("test_*.py")) if p.name != Path(__file__).name
)
ELSEWHERE = {"cast": HERE.parent / "test_tensor.py", "cat": HERE / "test_shaping.py"}
TABLE = proof_table.FOLDER / "ops.json"


@pytest.mark.parametrize("name", sorted(ops.__all__))
def test_it_is_called_by_a_test(name):
    text = TEXT + (ELSEWHERE[name].read_text(encoding="utf-8") if name in ELSEWHERE else "")
    method = {"cast": "astype"}.get(name, name)
    assert re.search(rf"\bops\.{name}\b|\.{method}\(", text), f"no test calls {name}"


def test_each_op_is_held_to_loops_gradcheck_and_torch():
    """By what the tests did when `make proof` ran, not by what their text says.

    A stated reason is the only way out: `oracles.proof_table.WITHOUT_GRADIENT` and `WITHOUT_TORCH`.
    """
    missing = proof_table.missing(json.loads(TABLE.read_text(encoding="utf-8")))
    assert not missing, f"write the tests, then run `make proof`: {missing}"


def test_the_page_is_made_of_the_counts():
    """docs/proof/ops.md is what docs/proof/ops.json says (its line on how it was made apart)."""
    said = (proof_table.FOLDER / "ops.md").read_text(encoding="utf-8")
    made_with = re.search(r"^Made with (.+)\.$", said, re.MULTILINE)
    assert made_with is not None
    assert said == proof_table.page(json.loads(TABLE.read_text(encoding="utf-8")), made_with[1])


def test_an_op_that_nothing_proves_is_named(monkeypatch):
    full = {kind: {"configurations": 1} for kind in proof_table.COLUMNS.values()}
    table = dict.fromkeys(ops.__all__, full)
    assert not proof_table.missing(table)
    monkeypatch.setattr(ops, "new", lambda x: x, raising=False)
    monkeypatch.setattr(ops, "__all__", [*ops.__all__, "new"])
    assert proof_table.missing(table) == {"new": "forward, gradcheck, memory orders, float32, torch float64"}
    without_torch = {kind: count for kind, count in full.items() if not kind.startswith("torch")}
    assert proof_table.missing(table | {"new": full, "conv2d": without_torch}) == {"conv2d": "torch float64"}
    assert not proof_table.missing(table | {"new": full, "dropout": without_torch, "argmax": {}})


def test_a_reason_is_given_only_where_there_is_an_op():
    reasons = proof_table.WITHOUT_GRADIENT | set(proof_table.WITHOUT_TORCH)
    assert reasons <= set(ops.__all__)
