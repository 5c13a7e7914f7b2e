"""Wrong backwards, planted one at a time into the real operations: does a check notice each of them?

A check that has never failed has shown nothing. So every mistake that one makes when writing a backward is
made here on purpose, and the table says which checks catch it, and which of them a cotangent of all ones
would have let pass.

    planting.py   how a mistake is described and planted
    elementwise.py, moving.py, windows.py, losses_and_norms.py, tape.py   the mistakes
    page.py       the table, docs/proof/planted.md

``tests/test_planted_bugs.py`` and, for the comparison with torch, ``tests/parity/test_torch_planted.py`` hold
each row to what it claims.
"""
