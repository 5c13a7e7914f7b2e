"""The mutants of the CUDA kernels: what is changed, and that a mutant is judged by what it does."""

import pytest

from minidl.kernels.cuda.launch import FOLDER
from mutation_cuda.__main__ import PAGE, RESULTS, everything, judged, kept, killed_share, page, reason
from mutation_cuda.judge import SURVIVED, judge
from mutation_cuda.mutants import Mutant, mutants
from oracles.devices import compiler_or_skip


def test_each_mutant_differs_in_one_line_and_has_a_key_of_its_own() -> None:
    source = (FOLDER / "max_pool2d.cu").read_text(encoding="utf-8")
    found = list(mutants("max_pool2d", source))
    assert len({mutant.key for mutant in found}) == len(found) > 100
    for mutant in found:
        changed = [
            number
            for number, (a, b) in enumerate(
                zip(source.split("\n"), mutant.source.split("\n"), strict=True), 1
            )
            if a != b
        ]
        assert changed == [mutant.line]


@pytest.mark.slow
def test_at_least_95_percent_die_and_each_survivor_has_its_reason() -> None:
    all_mutants, verdicts = everything(), kept(RESULTS)
    of = judged(all_mutants, verdicts)
    assert len(of) >= 300
    assert killed_share(of) >= 0.95
    assert not [m for m, verdict in of if verdict == SURVIVED and reason(m) == "not looked at yet"]
    assert PAGE.read_text(encoding="utf-8") == page(all_mutants, verdicts), (
        "write it anew: make mutants-cuda ARGS='--sample 0'"
    )


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("sum[i] = x[i] + y[i]", "sum[i] = x[i] - y[i]", "value"),
        ("sum[i] = x[i] + y[i]", "sum[i] = x[i] + y[i + 1000000000]", "finding"),
        ("sum[i] = x[i] + y[i]", "sum[i] = x[i] + z[i]", "no program"),
        ("sum[i] = x[i] + y[i]", "sum[i] = y[i] + x[i]", SURVIVED),
    ],
)
def test_a_verdict_says_what_noticed_the_change(before: str, after: str, verdict: str) -> None:
    compiler_or_skip()
    source = (FOLDER / "arithmetic.cu").read_text(encoding="utf-8")
    assert before in source
    assert judge(Mutant("arithmetic", 1, "", before, after, source.replace(before, after))).startswith(
        verdict
    )
