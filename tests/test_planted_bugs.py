"""Every planted wrong backward is caught by the checks that its row of the table names, and by no luck:
without the mistake the same checks pass."""

from __future__ import annotations

import pytest

from planted import page
from planted.planting import GRADCHECK, LOOPS, gradcheck_passes, loops_pass, ones_pass, planted

MISTAKES = {m.name: m for m in page.MISTAKES}


def test_there_are_many_and_no_two_are_called_the_same():
    assert len(MISTAKES) == len(page.MISTAKES) >= 25
    assert sum(m.ones_miss for m in page.MISTAKES) >= 8


@pytest.mark.parametrize("name", MISTAKES)
def test_the_right_backward_passes(name):
    mistake = MISTAKES[name]
    if mistake.slope is None:  # where values tie there is no derivative
        assert gradcheck_passes(mistake)
        assert ones_pass(mistake)
    assert loops_pass(mistake)


@pytest.mark.parametrize("name", MISTAKES)
def test_the_wrong_one_is_caught_by_the_checks_that_the_table_names(name):
    mistake = MISTAKES[name]
    assert mistake.caught
    with planted(mistake):
        assert loops_pass(mistake) != (LOOPS in mistake.caught)
        if mistake.slope is None:
            assert gradcheck_passes(mistake) != (GRADCHECK in mistake.caught)
            assert ones_pass(mistake) != mistake.ones_see
    assert loops_pass(mistake)  # nothing is left behind


def test_the_page_shows_the_table(root):
    assert (root / "docs" / "proof" / "planted.md").read_text(encoding="utf-8") == page.render(), (
        "write it again: PYTHONPATH=tests python -c 'from planted import page; page.write()'"
    )
