"""The page of the mutation run is made from its numbers, and the numbers are good enough."""

from __future__ import annotations

import json

from mutation import page


def test_the_page_shows_the_numbers(root):
    folder = root / "docs" / "proof"
    data = json.loads((folder / "mutants.json").read_text(encoding="utf-8"))
    assert (folder / "mutants.md").read_text(encoding="utf-8") == page.render(data)


def test_enough_mutants_die_and_none_that_is_called_equivalent(root):
    data = json.loads((root / "docs" / "proof" / "mutants.json").read_text(encoding="utf-8"))
    counts = [
        (f["mutants"], f["killed"], len(f["equivalent"]), len(f["survivors"])) for f in data["files"].values()
    ]
    for mutants, killed, equivalent, survivors in counts:
        assert mutants == killed + equivalent + survivors
    mutants, killed, equivalent, _ = (sum(column) for column in zip(*counts, strict=True))
    assert mutants > 4000
    assert killed / (mutants - equivalent) >= 0.95
    assert data["called equivalent but killed"] == []
    assert all(one["reason"] for f in data["files"].values() for one in f["equivalent"])
