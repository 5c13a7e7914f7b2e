"""Strict alternation, with stand-ins for the processes."""

from __future__ import annotations

from typing import Any

import pytest

from minidl.bench.alternate import alternate
from minidl.bench.processes import WorkerError


class Fake:
    """Answers like a worker; fails in one of its turns, if told so."""

    def __init__(self, name: str, diary: list[str], fails_at: int = -1) -> None:
        self.name, self.diary, self.fails_at, self.turns = name, diary, fails_at, 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request == {"do": "go"}
        self.diary.append(self.name)
        self.turns += 1
        if self.turns == self.fails_at:
            raise WorkerError("no more")
        return {"parts": {"forward": 1.0, "backward": float(self.turns)}, "idle": 0.25, "turn": 3.0}


def test_everyone_has_a_turn_before_anyone_has_the_next():
    diary: list[str] = []
    ticks: list[None] = []
    fakes = {name: Fake(name, diary) for name in "ABC"}
    samples = alternate(fakes, 3, lambda: ticks.append(None), pause=0)
    assert "".join(diary) == "ABCABCABC"
    assert len(ticks) == 9
    assert samples["B"].parts == {"forward": [1.0] * 3, "backward": [1.0, 2.0, 3.0]}
    assert samples["B"].idle == [0.25] * 3 and samples["B"].turns == [3.0] * 3
    assert samples["B"].error is None


def test_one_that_fails_has_no_more_turns_and_the_others_go_on():
    diary: list[str] = []
    fakes = {"A": Fake("A", diary), "B": Fake("B", diary, fails_at=2), "C": Fake("C", diary)}
    ticks: list[None] = []
    samples = alternate(fakes, 3, lambda: ticks.append(None), pause=0)
    assert "".join(diary) == "ABCABCAC"
    assert len(ticks) == 9, "the bar reaches its end"
    assert samples["B"].error == "no more"


def test_ctrl_c_is_not_swallowed():
    class Interrupted:
        def ask(self, request: dict[str, Any]) -> dict[str, Any]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alternate({"A": Interrupted()}, 1, pause=0)
