"""The table of all mistakes, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

from planted import elementwise, losses_and_norms, moving, tape, windows
from planted.planting import GRADCHECK, LOOPS, TORCH

MISTAKES = [
    *elementwise.MISTAKES,
    *moving.MISTAKES,
    *windows.MISTAKES,
    *losses_and_norms.MISTAKES,
    *tape.MISTAKES,
]

HEAD = """# Wrong backwards, planted

A check that has never failed has shown nothing. Each row is a mistake that one makes when writing a backward,
planted into the real operation (`tests/planted/`). A test runs the table: with the mistake the checks marked
*yes* fail, without it all pass; this page is made from the table, and a test holds the two equal.

- **gradcheck**: `minidl.gradcheck`, central differences of the operation itself along a random cotangent.
- **loops**: the gradient beside the slopes of literal loops (or the loops' own gradient, where values tie).
- **torch**: the gradient beside torch's, `make parity` (not dropout: torch draws other random numbers).
- **of ones**: difference quotients along a cotangent of all ones, as in `y.sum().backward()`. *No* means
  that it lets the mistake pass.
"""

WHY = """
A cotangent of ones asks one question only: what happens if all inputs change so that the sum of the outputs
changes? The outputs of a softmax always sum to one, those of a normalisation to zero, and an operation that
moves numbers around keeps their sum wherever it puts them; so every wrong answer of theirs looks right.

Ties (max pooling, `max` along a dimension) have no derivative, so no difference quotient can tell which of
the equal values should get the gradient: that is a convention, torch's, and only the loops and torch hold it.
The walk in the wrong order gives right numbers as long as nothing is freed, which is how gradcheck runs it; a
plain `backward()` then meets operations whose memory is already gone.
"""


def render() -> str:
    rows = [
        "| operation | mistake | gradcheck | loops | torch | of ones |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for m in MISTAKES:
        marks = ["yes" if check in m.caught else "no" for check in (GRADCHECK, LOOPS)]
        marks.append("yes" if TORCH in m.caught else "–")
        marks.append("yes" if m.ones_see else "no")
        rows.append(f"| `{m.operation}` | {m.what} | {' | '.join(marks)} |")
    missed = sum(not m.ones_see for m in MISTAKES)
    counted = (
        f"\n{len(MISTAKES)} mistakes, {len(MISTAKES)} caught; {missed} of them pass a cotangent of ones.\n"
    )
    return HEAD + counted + "\n" + "\n".join(rows) + "\n" + WHY


def write() -> None:
    """Write the page anew."""
    path = Path(__file__).resolve().parents[2] / "docs" / "proof" / "planted.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(render(), encoding="utf-8")
